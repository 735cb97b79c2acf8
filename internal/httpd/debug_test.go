package httpd

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestDebugIsForThisMachineOnly(t *testing.T) {
	level := new(slog.LevelVar)
	h := debugHandler(level, slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		name, method, path, body, peer, host string
		header                               []string
		status                               int
	}{
		{"index", "GET", "/debug/pprof/", "", "127.0.0.1:1", "127.0.0.1:8080", nil, 200},
		{"goroutines", "GET", "/debug/pprof/goroutine?debug=1", "", "[::1]:1", "localhost:8080", nil, 200},
		{"v6", "GET", "/debug/loglevel", "", "[::1]:1", "[::1]:8080", nil, 200},
		{"arguments", "GET", "/debug/pprof/cmdline", "", "127.0.0.1:1", "localhost", nil, 404},
		{"another machine", "GET", "/debug/pprof/", "", "192.0.2.1:1", "127.0.0.1:8080", nil, 404},
		{"another name", "GET", "/debug/pprof/", "", "127.0.0.1:1", "evil.example:8080", nil, 404},
		{"a proxy", "GET", "/debug/pprof/", "", "127.0.0.1:1", "127.0.0.1:8080", []string{"X-Forwarded-For", "192.0.2.1"}, 404},
		{"a web page", "PUT", "/debug/loglevel", "debug", "127.0.0.1:1", "127.0.0.1:8080", []string{"Origin", "https://evil.example"}, 403},
		{"no level", "PUT", "/debug/loglevel", "loud", "127.0.0.1:1", "127.0.0.1:8080", nil, 400},
		{"long", "PUT", "/debug/loglevel", strings.Repeat(" ", 100) + "debug", "127.0.0.1:1", "127.0.0.1:8080", nil, 400},
		{"method", "POST", "/debug/loglevel", "debug", "127.0.0.1:1", "127.0.0.1:8080", nil, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			r.RemoteAddr, r.Host = c.peer, c.host
			for i := 0; i < len(c.header); i += 2 {
				r.Header.Set(c.header[i], c.header[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
	if level.Level() != slog.LevelInfo {
		t.Fatalf("the level is %v", level.Level())
	}
	r := httptest.NewRequest("PUT", "/debug/loglevel", strings.NewReader("debug\n"))
	r.RemoteAddr, r.Host = "127.0.0.1:1", "localhost:8080"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Body.String() != "debug\n" || level.Level() != slog.LevelDebug {
		t.Errorf("%d %q, level %v", w.Code, w.Body, level.Level())
	}
}
