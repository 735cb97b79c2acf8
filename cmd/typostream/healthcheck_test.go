package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealthcheck(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%q}`, r.URL.Path)
	}))
	addr := server.Listener.Addr().String()
	_, port, _ := strings.Cut(addr, ":")
	ask := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"typostream", "healthcheck"}, args...), func(string) (string, bool) { return "", false }, strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	expect := func(code int, stdout, stderr string, args ...string) {
		t.Helper()
		gotCode, gotOut, gotErr := ask(args...)
		if gotCode != code || gotOut != stdout || !strings.HasPrefix(gotErr, stderr) || stderr == "" && gotErr != "" {
			t.Errorf("%q: %d, %q, %q; expected %d, %q, %q", args, gotCode, gotOut, gotErr, code, stdout, stderr)
		}
	}
	expect(exitDone, "/readyz\n", "", "--http-addr", addr)
	expect(exitDone, "/livez\n", "", "--http-addr", addr, "--live")
	expect(exitDone, "/readyz\n", "", "--http-addr", ":"+port)
	expect(exitDone, "/readyz\n", "", "--http-addr", "0.0.0.0:"+port)
	status = http.StatusServiceUnavailable
	expect(exitFailed, "", "typostream: error: "+addr+"/readyz answers 503: /readyz\n", "--http-addr", addr)
	server.Close()
	expect(exitFailed, "", "typostream: error: no answer from the worker: ", "--http-addr", addr)
	expect(exitUsage, "", "typostream: error: ", "--http-addr", "127.0.0.1:0")
	expect(exitUsage, "", "typostream: error: healthcheck takes no arguments", "more")
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for listens, expected := range map[string]string{
		":8080": "127.0.0.1:8080", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "192.0.2.1:80": "192.0.2.1:80", "localhost:80": "localhost:80",
	} {
		if got, err := reachable(listens); err != nil || got != expected {
			t.Errorf("%s: %q, %v; expected %q", listens, got, err, expected)
		}
	}
}
