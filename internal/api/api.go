// Package api is what others ask of a worker over HTTP: to take seeds, and how
// far it is with them. openapi.json describes it, for its clients too.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/whereabouts"
	"github.com/typostream/typostream/pipeline"
)

//go:embed openapi.json
var openAPI []byte

// Queue takes seeds and says how far they are. Its methods are those of
// pipeline.QueueSource.
type Queue interface {
	Submit([]pipeline.Submission) ([]pipeline.QueuedScan, error)
	Stats() pipeline.QueueStats
	Scan(id string) (pipeline.ScanStatus, bool)
	Scans(state *pipeline.ScanState, before string, limit int) (list []pipeline.ScanStatus, more bool)
	Stop(id string) (known bool, err error)
}

// Config is what a Handler is made of.
type Config struct {
	Queue    Queue // nil: every submission is refused with 503
	Closed   bool  // submissions are refused with 503 though there is a queue
	Progress *Progress
	// Names returns what a scan of the seed asks about, and how many they are.
	Names func(pipeline.Seed) (iter.Seq[string], int)
	// OutputDir is where events are looked for besides Find, which searches what was
	// published; nil for nowhere.
	OutputDir string
	Find      whereabouts.Find
	History   History // nil: what asks for it is answered with 503
	Watched   Watched // likewise
	Allow     List    // likewise: domains that are nobody's squats
	Deny      List    // likewise: domains that are known to be hostile
	// Emit makes messages durable, as emitter.Kafka's EmitEach; nil: there is no
	// Kafka, and dead letters cannot be sent again.
	Emit func(context.Context, ...emitter.Message) ([]emitter.Fate, error)
	// Spool and Drain are SpoolState and DrainNow of emitter.Kafka, and Kafka its
	// Health; nil likewise.
	Spool func() emitter.SpoolState
	Drain func(context.Context) emitter.Drained
	Kafka func() emitter.Health
	// Token returns what a client must send as bearer token, and is asked for each
	// request; nil: none is wanted. On an error, or of an empty token, every
	// request is refused.
	Token func() (string, error)
	Log   *slog.Logger
}

// Handler serves everything below /api/. Safe for concurrent use.
type Handler struct {
	cfg        Config
	mux        *http.ServeMux
	guard      http.Handler
	refused    *prometheus.CounterVec
	streams    atomic.Int64
	searching  chan struct{}   // holds a token of the one who looks for events
	stopped    context.Context // ends with Stop, and streams with it
	endStreams context.CancelFunc
}

// The reasons for which a request is refused, the closed set of values of the
// metric's label.
const (
	refusedInvalid      = "invalid"
	refusedTooLarge     = "too_large"
	refusedFull         = "full"
	refusedUnavailable  = "unavailable"
	refusedUnauthorized = "unauthorized"
	refusedCrossOrigin  = "cross_origin"
	refusedNotFound     = "not_found"
	refusedMethod       = "method"
	refusedGone         = "gone"
)

// route is one path. A GET route serves HEAD as well.
type route struct {
	method, path string
	open         bool // without token
	serve        http.HandlerFunc
}

func (h *Handler) routes() []route {
	return []route{
		{method: http.MethodPost, path: "/api/submit", serve: h.submit},
		{method: http.MethodPost, path: "/api/submit-bulk", serve: h.submitBulk},
		{method: http.MethodPost, path: "/api/scans", serve: h.twistSubmit},
		{method: http.MethodGet, path: "/api/scans/{id}", serve: h.twistShow},
		{method: http.MethodGet, path: "/api/scans/{id}/domains", serve: h.twistDomains},
		{method: http.MethodGet, path: "/api/scans/{id}/csv", serve: h.twistCSV},
		{method: http.MethodGet, path: "/api/scans/{id}/json", serve: h.twistJSON},
		{method: http.MethodGet, path: "/api/scans/{id}/list", serve: h.twistList},
		{method: http.MethodPost, path: "/api/scans/{id}/stop", serve: h.twistStop},
		{method: http.MethodGet, path: "/api/v1/queue", serve: h.queue},
		{method: http.MethodGet, path: "/api/v1/scans", serve: h.scans},
		{method: http.MethodPost, path: "/api/v1/scans", serve: h.submitScans},
		{method: http.MethodGet, path: "/api/v1/scans/{id}", serve: h.scan},
		{method: http.MethodDelete, path: "/api/v1/scans/{id}", serve: h.stopScan},
		{method: http.MethodGet, path: "/api/v1/seeds", serve: h.seeds},
		{method: http.MethodGet, path: "/api/v1/seeds/{seed}", serve: h.seed},
		{method: http.MethodGet, path: "/api/v1/watched", serve: h.watched},
		{method: http.MethodDelete, path: "/api/v1/watched/{seed}", serve: h.unwatch},
		{method: http.MethodGet, path: allowPath, serve: h.listed},
		{method: http.MethodPost, path: allowPath, serve: h.enlist},
		{method: http.MethodDelete, path: allowPath + "/{domain}", serve: h.unlist},
		{method: http.MethodGet, path: denyPath, serve: h.listed},
		{method: http.MethodPost, path: denyPath, serve: h.enlist},
		{method: http.MethodDelete, path: denyPath + "/{domain}", serve: h.unlist},
		{method: http.MethodGet, path: "/api/v1/deliveries", serve: h.deliveries},
		{method: http.MethodGet, path: "/api/v1/dead-letters", serve: h.letters},
		{method: http.MethodGet, path: "/api/v1/dead-letters/{id}", serve: h.letter},
		{method: http.MethodDelete, path: "/api/v1/dead-letters/{id}", serve: h.removeLetter},
		{method: http.MethodPost, path: "/api/v1/dead-letters/replay", serve: h.replayLetters},
		{method: http.MethodPost, path: "/api/v1/dead-letters/purge", serve: h.purgeLetters},
		{method: http.MethodGet, path: "/api/v1/spool", serve: h.spool},
		{method: http.MethodPost, path: "/api/v1/spool/replay", serve: h.replaySpool},
		{method: http.MethodGet, path: "/api/v1/candidates", serve: h.candidates},
		{method: http.MethodGet, path: "/api/v1/candidates.jsonl", serve: h.exportLines},
		{method: http.MethodGet, path: "/api/v1/candidates.csv", serve: h.exportCSV},
		{method: http.MethodGet, path: "/api/v1/changes", serve: h.changes},
		{method: http.MethodGet, path: "/api/v1/changes/stream", serve: h.stream},
		{method: http.MethodGet, path: "/api/openapi.json", serve: h.describe, open: true},
	}
}

// New makes a Handler; Metrics are what to register.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, mux: http.NewServeMux(), searching: make(chan struct{}, 1), refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "typostream_http_refused_total", Help: "Requests to the HTTP API that were refused, by reason.",
	}, []string{"reason"})}
	byPath := map[string][]route{}
	for _, r := range h.routes() {
		byPath[r.path] = append(byPath[r.path], r)
	}
	h.stopped, h.endStreams = context.WithCancel(context.Background())
	for path, routes := range byPath {
		h.mux.HandleFunc(path, h.only(routes))
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if h.authorized(w, r) {
			h.refuse(w, r, http.StatusNotFound, refusedNotFound, "there is nothing at this path")
		}
	})
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.refuse(w, r, http.StatusForbidden, refusedCrossOrigin, "requests from other origins are refused")
	}))
	h.guard = protection.Handler(h.mux)
	return h
}

// Stop ends the streams; other requests are answered as before.
func (h *Handler) Stop() { h.endStreams() }

// Metrics are the collectors of the handler.
func (h *Handler) Metrics() []prometheus.Collector { return []prometheus.Collector{h.refused} }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.guard.ServeHTTP(w, r)
}

// only lets the methods of a path pass, of those who may.
func (h *Handler) only(routes []route) http.HandlerFunc {
	serve, allow := map[string]route{}, []string{}
	for _, to := range routes {
		serve[to.method] = to
		allow = append(allow, to.method)
		if to.method == http.MethodGet {
			serve[http.MethodHead] = to
			allow = append(allow, http.MethodHead)
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		to, known := serve[r.Method]
		if !to.open && !h.authorized(w, r) {
			return
		}
		if !known {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			h.refuse(w, r, http.StatusMethodNotAllowed, refusedMethod, "the method must be "+strings.Join(allow, " or "))
			return
		}
		to.serve(w, r)
	}
}

// authorized answers those who lack the token (RFC 6750).
func (h *Handler) authorized(w http.ResponseWriter, r *http.Request) bool {
	if h.cfg.Token == nil {
		return true
	}
	want, err := h.cfg.Token()
	if err == nil && want == "" {
		err = errors.New("the token is empty")
	}
	if err != nil {
		h.cfg.Log.Error("the HTTP token cannot be read; requests are refused", "cause", err)
		h.unavailable(w, r, "the worker cannot check tokens")
		return false
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(strings.TrimLeft(got, " ")))
	if subtle.ConstantTimeCompare(a[:], b[:]) == 1 && strings.EqualFold(scheme, "Bearer") {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="typostream"`)
	h.refuse(w, r, http.StatusUnauthorized, refusedUnauthorized, "a bearer token is needed")
	return false
}

func (h *Handler) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // the client has gone: nobody to tell
}
