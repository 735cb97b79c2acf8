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
	"sync"
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
	http      *http.Server
	listeners []net.Listener
	checks    []Check
	details   func() any
	draining  atomic.Bool
	log       *slog.Logger
}

// Config is what a Server is made of.
type Config struct {
	// Addrs are listened on, all of them or none: at least one, such as
	// "127.0.0.1:8080"; port 0 picks one.
	Addrs    []string
	Gatherer prometheus.Gatherer
	Checks   []Check
	Details  func() any     // shown by /readyz?verbose, and must return at once; may be nil
	API      http.Handler   // of /api/; may be nil
	Stopping func()         // called when Run begins to stop, so that what never ends by itself does; may be nil
	LogLevel *slog.LevelVar // what PUT /debug/loglevel sets; nil: nothing is served below /debug/
	Log      *slog.Logger
}

// Listen opens the addresses, so that one in use is an error before anything
// has begun. Run serves them.
func Listen(cfg Config) (*Server, error) {
	s := &Server{checks: cfg.Checks, details: cfg.Details, log: cfg.Log}
	for _, addr := range cfg.Addrs {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			s.closeListeners()
			return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
		}
		s.listeners = append(s.listeners, listener)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{}))
	if cfg.LogLevel != nil {
		mux.Handle("/debug/", debugHandler(cfg.LogLevel, cfg.Log))
	}
	if cfg.API != nil {
		mux.Handle("/api/", cfg.API)
	}
	s.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	if cfg.Stopping != nil {
		s.http.RegisterOnShutdown(cfg.Stopping)
	}
	return s, nil
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close() // nothing was served on it
	}
}

// Addrs are the addresses that are listened on.
func (s *Server) Addrs() []string {
	var addrs []string
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

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
	// Where one listener fails, for whatever reason, the process goes on with the
	// others: what it does does not depend on who asks after it.
	errs := make([]error, len(s.listeners))
	var serving sync.WaitGroup
	for i, l := range s.listeners {
		serving.Go(func() {
			if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				errs[i] = fmt.Errorf("http server at %s: %w", l.Addr(), err)
				s.log.Error("an HTTP address is no longer served", "address", l.Addr().String(), "cause", err)
			}
		})
	}
	serving.Wait()
	if err := errors.Join(errs...); ctx.Err() == nil {
		return err // none is served any more
	}
	<-stopped
	return errors.Join(errs...)
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
