package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// lockedText is a text that several goroutines write to.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A collector that takes a connection and never answers does not keep the
// process from ending: what is left of the spans is given up, and said.
func TestCollectorHangs(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done() // the client has gone
	}))
	defer server.Close()
	log := &lockedText{} // what is given up late is told late
	tracer, closeTracer, err := openTracer(&settings{OTLPEndpoint: server.URL}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	_, span := tracer.Start(t.Context(), "scan")
	span.End()
	closeTracer()
	select {
	case <-asked:
	default:
		t.Error("the collector was not asked")
	}
	if text := log.String(); !strings.Contains(text, "the collector has not taken the last spans") {
		t.Errorf("log:\n%s", text)
	}
}
