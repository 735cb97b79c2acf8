package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// addressOf waits until the worker tells where it serves, and returns the first
// address, or of NAME@N the Nth.
func addressOf(ts *testscript.TestScript, name string) string {
	var address []string
	name, which, _ := strings.Cut(name, "@")
	await(ts, "the worker's address", func() bool {
		address = httpAddress.FindStringSubmatch(ts.ReadFile(name + ".err"))
		return address != nil
	})
	addresses := strings.Split(address[1], ",")
	n := 1
	if which != "" {
		var err error
		n, err = strconv.Atoi(which)
		ts.Check(err)
	}
	return addresses[n-1]
}

// scanID is that of the first scan in an answer.
var scanID = regexp.MustCompile(`queue-[0-9]+-[0-9]+`)

func cmdPost(ts *testscript.TestScript, neg bool, args []string) {
	cmdSend(ts, http.MethodPost, neg, args)
}

func cmdPut(ts *testscript.TestScript, neg bool, args []string) {
	cmdSend(ts, http.MethodPut, neg, args)
}

func cmdSend(ts *testscript.TestScript, method string, neg bool, args []string) {
	usage(ts, neg, len(args) == 3 || len(args) == 4, "post or put NAME PATH FILE [TOKEN]")
	request, err := http.NewRequest(method, "http://"+addressOf(ts, args[0])+args[1], strings.NewReader(ts.ReadFile(args[2])))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	if len(args) == 4 {
		request.Header.Set("Authorization", "Bearer "+args[3])
	}
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	if scan := scanID.Find(body); scan != nil {
		ts.Setenv("SCAN", string(scan))
	}
	fmt.Fprintf(ts.Stdout(), "%d\n%s", response.StatusCode, body)
}

func cmdStream(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "stream NAME PATH REGEXP")
	wanted := regexp.MustCompile(args[2])
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	ts.Defer(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addressOf(ts, args[0])+args[1], nil)
	ts.Check(err)
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	ts.Defer(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if wanted.MatchString(lines.Text()) {
			fmt.Fprintln(ts.Stdout(), lines.Text())
			return
		}
	}
	ts.Fatalf("no line matches %s: %v", wanted, lines.Err())
}

func cmdAddress(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "address NAME")
	ts.Setenv("HTTP_ADDR", addressOf(ts, args[0]))
}
