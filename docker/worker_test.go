//go:build image || dist

package docker

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = time.Minute

// address is in the line by which a worker says where it serves.
var address = regexp.MustCompile(`"msg":"worker started".*"http":"([^"]+)"`)

// output is what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func submit(t *testing.T, address, domain string) {
	t.Helper()
	response, err := http.Post("http://"+address+"/api/submit", "application/json", strings.NewReader(fmt.Sprintf(`{"domain":%q,"cse_id":"ACME"}`, domain)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Fatalf("submitting %s: %s", domain, response.Status)
	}
}
