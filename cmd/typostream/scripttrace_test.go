package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdCollector appends the bodies of what is posted to /v1/traces to a file:
// protobuf, in which names and texts stand as they are.
func cmdCollector(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "collector FILE")
	file, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := file.Write(body); err != nil {
			w.WriteHeader(http.StatusInsufficientStorage)
		}
	}))
	ts.Defer(func() {
		server.Close()
		file.Close()
	})
	ts.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
}
