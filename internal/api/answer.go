package api

import (
	"encoding/json"
	"net/http"
	"strings"
)

// retryAfter is when a client that was refused for want of room may ask again,
// in seconds.
const retryAfter = "30"

// What is said of a queue or a scan that is not there.
const (
	noQueue = "this worker has no queue"
	noScan  = "no scan has this id, or it ended long ago or before the worker started"
)

// problem is an error of /api/v1 (RFC 9457); its type is about:blank, so that
// the title is the status' own.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// failure is an error of the paths that the service before had.
type failure struct {
	Success bool   `json:"success"`
	Error   string `json:"error"`
}

// refuse counts the reason and answers in the form of the path.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, status int, reason, detail string) {
	h.refused.WithLabelValues(reason).Inc()
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/api/v1/"):
		write(w, status, "application/problem+json", problem{http.StatusText(status), status, detail})
	case path == "/api/scans" || strings.HasPrefix(path, "/api/scans/"):
		write(w, status, "application/json", twistMessage{detail})
	default:
		write(w, status, "application/json", failure{Error: detail})
	}
}

// unavailable asks the client to come again.
func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, detail string) {
	w.Header().Set("Retry-After", retryAfter)
	h.refuse(w, r, http.StatusServiceUnavailable, refusedUnavailable, detail)
}

func write(w http.ResponseWriter, status int, kind string, body any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody to tell
}
