package httpd

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// debugHandler serves Go's profiles and the log's level to those on the same
// machine who speak to us directly. It does not exist for anybody else: not for
// other machines, for what a proxy passes on, nor for a web page in a browser
// here, whose requests have another origin or another name for this machine.
func debugHandler(level *slog.LevelVar, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound) // flags may hold secrets
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/loglevel", func(w http.ResponseWriter, _ *http.Request) { showLevel(w, level) })
	mux.HandleFunc("PUT /debug/loglevel", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64))
		var wanted slog.Level
		if err != nil || wanted.UnmarshalText([]byte(strings.TrimSpace(string(body)))) != nil {
			http.Error(w, "the body must be debug, info, warn or error", http.StatusBadRequest)
			return
		}
		log.Info("log level changed", "from", level.Level().String(), "to", wanted.String())
		level.Set(wanted)
		showLevel(w, level)
	})
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r) {
			http.NotFound(w, r)
			return
		}
		// A profile takes longer than a request may.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		guarded.ServeHTTP(w, r)
	})
}

func showLevel(w http.ResponseWriter, level *slog.LevelVar) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, strings.ToLower(level.Level().String()))
}

// local reports whether the request comes from this machine, and was meant for
// it by a name that no foreign zone can give it.
func local(r *http.Request) bool {
	for _, passedOn := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(passedOn) != "" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); !strings.EqualFold(host, "localhost") && (ip == nil || !ip.IsLoopback()) {
		return false
	}
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(peer)
	return err == nil && ip != nil && ip.IsLoopback()
}
