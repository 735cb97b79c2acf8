// Package httpd serves what an operator's tools ask of a worker: is it alive,
// is it ready, what has it counted. It carries the API, which is a handler of its
// own.
package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one thing that /readyz looks at. Problem must return at once, from
// what is already known; nil is good.
type Check struct {
	Name    string
	Problem func() error
	// Required: without it the worker can do nothing, and is not ready. Else a
	// problem means degraded: slower or later, but nothing is lost.
	Required bool
}

// Server answers GET /livez, /readyz and /metrics, and has /api/ answered.
type Server struct {
	http     *http.Server
	listener net.Listener
	checks   []Check
	details  func() any
	draining atomic.Bool
	log      *slog.Logger
}

// Listen opens addr ("127.0.0.1:8080"; port 0 picks one), so that an address in
// use is an error before anything has begun. Run serves it. What details returns,
// at once, is shown by /readyz?verbose; it may be nil, and so may api.
func Listen(addr string, gatherer prometheus.Gatherer, checks []Check, details func() any, api http.Handler, log *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: listener, checks: checks, details: details, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	if api != nil {
		mux.Handle("/api/", api)
	}
	s.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Addr is the address that is listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Drain makes /readyz answer 503 from now on: the process is about to stop.
func (s *Server) Drain() { s.draining.Store(true) }

// Run serves until ctx is done, then lets requests in progress finish for a
// second.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	defer context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.http.Shutdown(grace) != nil {
			_ = s.http.Close() // a client that does not read does not keep us
		}
	})()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("http server: %w", err)
	}
	<-stopped
	return nil
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "alive")
}

// readiness is the body of /readyz. Problems maps a check's name to what is
// wrong with it.
type readiness struct {
	Status   string            `json:"status"` // ready, degraded, not ready, stopping
	Problems map[string]string `json:"problems,omitempty"`
	Details  any               `json:"details,omitempty"` // with ?verbose
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	body := readiness{Status: "ready", Problems: map[string]string{}}
	code := http.StatusOK
	for _, check := range s.checks {
		problem := check.Problem()
		if problem == nil {
			continue
		}
		body.Problems[check.Name] = problem.Error()
		if check.Required {
			body.Status, code = "not ready", http.StatusServiceUnavailable
		} else if body.Status == "ready" {
			body.Status = "degraded"
		}
	}
	if s.draining.Load() {
		body.Status, code = "stopping", http.StatusServiceUnavailable
	}
	if r.URL.Query().Has("verbose") && s.details != nil {
		body.Details = s.details()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody to tell
}
