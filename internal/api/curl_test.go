package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What curl 7.88 sends, byte for byte, besides its first line, length and body.
const (
	curlJSON   = "Host: localhost:3001\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Type: application/json\r\n"
	curlPlain  = "Host: dnstwist-runner:3001\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded\r\n" // of -d alone
	curlShort  = "Host: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"           // of --json
	curlExpect = curlJSON + "Expect: 100-continue\r\n"                                                                                         // where the body is large
)

// TestCurl sends the submissions of the contract of the service before as curl
// does, and reads the answer as its clients do.
func TestCurl(t *testing.T) {
	var many []string
	for i := range maxBulk {
		many = append(many, fmt.Sprintf("https://n%d.example.com/", i))
	}
	bulk, err := json.Marshal(map[string]any{"urls": many, "cse_id": "SBI", "notes": "seen in mail", "use_full_pipeline": true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, header, body string
		status, scans            int
		full                     bool // look-alikes are wanted
	}{
		{"url", "/api/submit", curlJSON, `{"url":"https://sbi.co.in/","cse_id":"SBI","notes":"seen in mail","use_full_pipeline":true}`, 200, 1, true},
		{"domain", "/api/submit", curlJSON, `{"domain":"sbi.co.in"}`, 200, 1, true},
		{"without a header", "/api/submit", curlPlain, `{"url":"sbi.co.in","cse_id":"SBI"}`, 200, 1, true},
		{"--json", "/api/submit", curlShort, `{"domain":"sbi.co.in","use_full_pipeline":false}`, 200, 1, false},
		{"bulk", "/api/submit-bulk", curlJSON, `{"urls":["sbi.co.in","https://icicibank.com/login"],"cse_id":"SBI","use_full_pipeline":false}`, 200, 2, false},
		{"bulk without a header", "/api/submit-bulk", curlPlain, `{"urls":["sbi.co.in"]}`, 200, 1, true},
		{"bulk of 10,000", "/api/submit-bulk", curlExpect, string(bulk), 200, maxBulk, true},
		{"no domain", "/api/submit", curlJSON, `{"cse_id":"SBI"}`, 400, 0, false},
		{"no domain, without a header", "/api/submit", curlPlain, `{"url":"not a domain"}`, 400, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, queue := newHandler(t, maxBulk)
			server := httptest.NewServer(h)
			defer server.Close()
			status, answer := sendWire(t, server.Listener.Addr().String(), c.path, c.header, c.body)
			var said struct {
				Success       *bool
				Domain, Error string
				Job           string `json:"job_id"`
			}
			if err := json.Unmarshal(answer, &said); err != nil || said.Success == nil {
				t.Fatalf("%d %.300s, %v", status, answer, err)
			}
			ok := c.status == 200
			if status != c.status || *said.Success != ok || (said.Error == "") != ok {
				t.Errorf("%d %.300s", status, answer)
			}
			if ok && (c.path == "/api/submit" && said.Domain != "sbi.co.in" || c.path == "/api/submit-bulk" && said.Job == "") {
				t.Errorf("%.300s", answer)
			}
			if got := queue.Stats().Accepted; got != c.scans {
				t.Errorf("%d seeds are in the queue, want %d", got, c.scans)
			}
			list, _ := queue.Scans(nil, "", 1)
			if ok && list[0].NameOnly == c.full {
				t.Errorf("%+v", list[0])
			}
		})
	}
}

// sendWire posts a body whose header is given as it stands on the wire; a client
// that expects 100-continue sends it only then.
func sendWire(t *testing.T, address, path, header, body string) (status int, answer []byte) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n", path, header, len(body)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(header, "100-continue") {
		response, err := http.ReadResponse(in, nil)
		if err != nil || response.StatusCode != http.StatusContinue {
			t.Fatalf("%v, %v", response, err)
		}
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}
