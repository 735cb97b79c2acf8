package health

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var report = Report{State: Degraded, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Issues: []Issue{slow}}

// TestWebhook: what a receiver gets, and that it gets it at last.
func TestWebhook(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	got := make(chan struct{}, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/hook/s3cret" {
			t.Errorf("%s %s %v: %v", r.Method, r.URL, r.Header, err)
		}
		mu.Lock()
		bodies = append(bodies, string(body))
		mu.Unlock()
		got <- struct{}{}
	}))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	h, err := NewWebhook(server.URL+"/hook/s3cret", Identity{"v1.2.3", "box"}, transport, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	h.Notify(report)
	<-got
	h.Notify(Report{State: Healthy, Since: report.Since})
	<-got
	cancel()
	<-done
	want := []string{
		`{"state":"degraded","since":"2026-01-02T03:04:05Z","issues":[{"name":"ack_p99","state":"degraded","detail":"slow"}],"version":"v1.2.3","hostname":"box"}`,
		`{"state":"healthy","since":"2026-01-02T03:04:05Z","version":"v1.2.3","hostname":"box"}`,
	}
	if strings.Join(bodies, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(bodies, "\n"), strings.Join(want, "\n"))
	}
}

// script is a transport that answers as it is told, in turn.
type script struct {
	codes []int // 0: no answer
	at    []time.Duration
	begun time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	code := s.codes[min(len(s.at), len(s.codes)-1)]
	s.at = append(s.at, time.Since(s.begun))
	if code == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Location": {"http://elsewhere.example/"}}, Body: io.NopCloser(strings.NewReader("no")), Request: r}, nil
}

// TestWebhookTries: what is tried again, how often, and what is given up; the
// URL, whose path and query are secrets, is never told.
func TestWebhookTries(t *testing.T) {
	for name, tc := range map[string]struct {
		codes []int
		tries int
		log   string
	}{
		"taken at once":  {[]int{204}, 1, ""},
		"taken later":    {[]int{503, 429, 0, 200}, 4, "trying again"},
		"refused":        {[]int{404}, 1, "given up"},
		"moved":          {[]int{302}, 1, "given up"},
		"never taken":    {[]int{500}, 8, "given up"},
		"never answered": {[]int{0}, 8, "given up"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := &script{codes: tc.codes, begun: time.Now()}
				var log bytes.Buffer
				h, err := NewWebhook("https://user:pa55@hooks.example/T0/s3cret?token=t0ken", Identity{}, wire, slog.New(slog.NewTextHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); h.Run(ctx) }()
				h.Notify(report)
				time.Sleep(time.Hour)
				cancel()
				<-done
				if len(wire.at) != tc.tries || !strings.Contains(log.String(), tc.log) || tc.log == "" && log.Len() > 0 {
					t.Errorf("%d tries at %v\n%s", len(wire.at), wire.at, log.String())
				}
				for i := 1; i < len(wire.at); i++ {
					if wire.at[i]-wire.at[i-1] < alertBackoff*8/10 {
						t.Errorf("tries at %v", wire.at)
					}
				}
				for _, secret := range []string{"s3cret", "pa55", "t0ken"} {
					if strings.Contains(log.String(), secret) {
						t.Errorf("the log tells %s:\n%s", secret, log.String())
					}
				}
			})
		})
	}
}

// TestWebhookNeverBlocks: nobody takes the alerts, and the newest are kept.
func TestWebhookNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := &script{codes: []int{0}, begun: time.Now()}
		h, err := NewWebhook("http://hooks.example", Identity{}, wire, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.Run(ctx) }()
		for i := range 100 {
			h.Notify(Report{Since: time.Unix(int64(i), 0)})
		}
		took := time.Since(wire.begun)
		synctest.Wait() // in the middle of a request
		if took != 0 || len(h.queue) > alertQueue {
			t.Errorf("%v, %d wait", took, len(h.queue))
		}
		if last := h.queue[len(h.queue)-1]; last.Since.Unix() != 99 {
			t.Errorf("the last that waits is %v", last.Since.Unix())
		}
		cancel()
		<-done
	})
}

func TestWebhookURL(t *testing.T) {
	for _, bad := range []string{"", "hooks.example/s3cret", "ftp://x/s3cret", "http:///s3cret", "http://[s3cret"} {
		_, err := NewWebhook(bad, Identity{}, nil, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "s3cret") || errors.Unwrap(err) != nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
