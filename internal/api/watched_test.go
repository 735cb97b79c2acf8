package api

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
)

func TestWatched(t *testing.T) {
	r := newRig(t)
	r.wants(t, "GET", "/api/v1/watched", "", 503)
	file, _, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	r.cfg.Watched = pipeline.NewWatch(pipeline.WatchConfig{Store: file.Watch(), Interval: time.Hour, Log: slog.New(slog.DiscardHandler)})
	for _, domain := range []string{"a.com", "b.com", "c.com"} {
		seed := store.Watched{Domain: domain, Brand: "B", Origin: "csv", Last: begin, Next: begin.Add(24 * time.Hour)}
		if domain == "b.com" {
			seed.Unknown, seed.Ask, seed.Brand = []string{"bb.com"}, begin.Add(time.Hour), pipeline.UnknownBrand
		}
		if err := file.Watch().Put(t.Context(), seed, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/api/v1/watched?limit=1", "/api/v1/watched?limit=3"} {
		if all := walk(t, r, path, "watched", "seed", "after"); len(all) != 3 {
			t.Errorf("%s: %v", path, all)
		}
	}
	want := `{"seed":"b.com","cse_id":"UNKNOWN","origin":"csv","last_scan":"2026-01-31T08:00:00Z","next_scan":"2026-02-01T08:00:00Z","unknown":1,"next_ask":"2026-01-31T09:00:00Z"}`
	if got := r.wants(t, "GET", "/api/v1/watched", "", 200); !strings.Contains(got, want) {
		t.Errorf("%s has not %s", got, want)
	}
	r.wants(t, "GET", "/api/v1/watched?limit=0", "", 400)
	r.wants(t, "DELETE", "/api/v1/watched/co.uk", "", 400)
	r.wants(t, "DELETE", "/api/v1/watched/a.com", "", 404) // its brand is B
	r.wants(t, "DELETE", "/api/v1/watched/a.com?cse_id=B", "", 204)
	r.wants(t, "DELETE", "/api/v1/watched/B.com.", "", 204)
	if all := walk(t, r, "/api/v1/watched?limit=3", "watched", "seed", "after"); strings.Join(all, " ") != "c.com" {
		t.Errorf("left: %v", all)
	}
}
