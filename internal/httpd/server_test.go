package httpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestEndpoints(t *testing.T) {
	defer goleak.VerifyNone(t)
	var kafka, dns error
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "typostream_test_total", Help: "A counter."})
	registry.MustRegister(counter)
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "api "+r.URL.Path) })
	s, err := Listen(Config{Addrs: []string{"127.0.0.1:0", "127.0.0.1:0"}, Gatherer: registry, Checks: []Check{
		{Name: "kafka", Problem: func() error { return kafka }},
		{Name: "dns", Problem: func() error { return dns }, Required: true},
	}, Details: func() any { return map[string]int{"acked": 3} }, API: api, LogLevel: new(slog.LevelVar), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	asked := 0
	get := func(path string) (int, string) {
		t.Helper()
		asked++
		resp, err := client.Get("http://" + s.Addrs()[asked%2] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	expect := func(path string, code int, text string) {
		t.Helper()
		if gotCode, got := get(path); gotCode != code || !strings.Contains(got, text) {
			t.Errorf("GET %s: %d %q, want %d and %q", path, gotCode, got, code, text)
		}
	}
	expect("/livez", 200, "alive")
	expect("/readyz", 200, `{"status":"ready"}`)
	expect("/readyz?verbose", 200, `{"status":"ready","details":{"acked":3}}`)
	expect("/metrics", 200, "typostream_test_total 0")
	kafka = errors.New("no broker answers")
	expect("/readyz", 200, `{"status":"degraded","problems":{"kafka":"no broker answers"}}`)
	dns = errors.New("no resolver answers")
	expect("/readyz", 503, `"status":"not ready"`)
	expect("/livez", 200, "alive")
	kafka, dns = nil, nil
	s.Drain()
	expect("/readyz", 503, `"status":"stopping"`)
	expect("/api/a/b", 200, "api /api/a/b")
	expect("/nothing", 404, "")
	expect("/debug/loglevel", 200, "info")
	expect("/debug/loglevel", 200, "info")
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestListenOnAddressInUse(t *testing.T) {
	listen := func(addrs ...string) (*Server, error) {
		return Listen(Config{Addrs: addrs, Gatherer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
	}
	first, err := listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.closeListeners()
	if _, err := listen("127.0.0.1:0", first.Addrs()[0]); err == nil {
		t.Error("a second listener on the same address is no error")
	}
}
