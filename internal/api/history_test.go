package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/typostream/typostream/internal/store"
)

var begin = time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)

// newHistoryRig has three seeds with three names each, the third of which is
// gone, and a change for each name.
func newHistoryRig(t *testing.T) (*rig, *store.Bolt) {
	t.Helper()
	r := newRig(t)
	file, _, err := store.Open(filepath.Join(t.TempDir(), "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	bolt := file.Published(200 * 365 * 24 * time.Hour)
	for i, seed := range []string{"a.com", "b.com", "c.com"} {
		brand := []string{"A", "B", "B"}[i]
		var entries []store.Entry
		var changed []store.Change
		for n := range 3 {
			at := begin.Add(time.Duration(n) * time.Hour)
			e := store.Entry{Name: fmt.Sprintf("%d%s", n, seed), ID: "id", Published: at, FirstSeen: at, LastSeen: at, Records: store.Records{A: []string{"192.0.2.1"}, MX: []string{"=mx.example", "b.example"}}}
			kind := "new"
			if n == 2 {
				e.Gone, kind = at.Add(time.Hour), "gone"
			}
			if n > 0 { // the first was remembered by an earlier version
				e.Change, e.ChangedAt = kind, at
			}
			entries = append(entries, e)
			changed = append(changed, store.Change{At: at, Seed: seed, Brand: brand, Name: e.Name, Event: "id", Kind: kind, Records: e.Records})
		}
		if err := bolt.Remember(t.Context(), seed, entries, changed...); err != nil {
			t.Fatal(err)
		}
		if err := bolt.Scanned(t.Context(), seed, store.SeedRecord{Brand: brand, Baseline: begin, LastScan: begin, Registered: 3}); err != nil {
			t.Fatal(err)
		}
	}
	r.cfg.History = bolt
	return r, bolt
}

// walk follows the pages of a list and returns what field is in all of them.
func walk(t *testing.T, r *rig, path, list, field, cursor string) (all []string) {
	t.Helper()
	next := ""
	for pages := 0; pages < 100; pages++ {
		var answer map[string]any
		at := path
		if next != "" {
			at += "&" + cursor + "=" + next
		}
		if err := json.Unmarshal([]byte(r.wants(t, "GET", at, "", 200)), &answer); err != nil {
			t.Fatal(err)
		}
		for _, item := range answer[list].([]any) {
			all = append(all, item.(map[string]any)[field].(string))
		}
		more, counts := answer["more"].(bool)
		if next, _ = answer["next"].(string); next == "" || counts && !more {
			return all
		}
	}
	t.Errorf("%s has no end", path)
	return all
}

func TestHistoryInPages(t *testing.T) {
	r, _ := newHistoryRig(t)
	for _, c := range []struct{ path, list, field, cursor, want string }{
		{"/api/v1/seeds?limit=1", "seeds", "seed", "after", "a.com b.com c.com"},
		{"/api/v1/seeds?limit=2&cse_id=B", "seeds", "seed", "after", "b.com c.com"},
		{"/api/v1/candidates?limit=2", "candidates", "name", "after", "0a.com 1a.com 2a.com 0b.com 1b.com 2b.com 0c.com 1c.com 2c.com"},
		{"/api/v1/candidates?limit=1&seed=B.com.", "candidates", "name", "after", "0b.com 1b.com 2b.com"},
		{"/api/v1/candidates?limit=1&cse_id=B&state=gone", "candidates", "name", "after", "2b.com 2c.com"},
		{"/api/v1/candidates?limit=5&cse_id=B&seed=a.com", "candidates", "name", "after", ""},
		{"/api/v1/candidates?limit=5&state=registered&since=2026-01-31T09:00:00Z", "candidates", "name", "after", "1a.com 1b.com 1c.com"},
		{"/api/v1/candidates?limit=5&since=2026-01-31T11:00:00Z", "candidates", "name", "after", "2a.com 2b.com 2c.com"},
		{"/api/v1/candidates?limit=2&change=new", "candidates", "name", "after", "1a.com 1b.com 1c.com"},
		{"/api/v1/candidates?limit=2&change=gone&cse_id=B", "candidates", "name", "after", "2b.com 2c.com"},
		{"/api/v1/candidates?limit=2&change=activated", "candidates", "name", "after", ""},
		{"/api/v1/changes?limit=2", "changes", "name", "after", "0a.com 1a.com 2a.com 0b.com 1b.com 2b.com 0c.com 1c.com 2c.com"},
		{"/api/v1/changes?limit=2&change=gone", "changes", "name", "after", "2a.com 2b.com 2c.com"},
		{"/api/v1/changes?limit=1&cse_id=B&since=2026-01-31T09:00:00Z&change=new", "changes", "name", "after", "1b.com 1c.com"},
		{"/api/v1/changes?limit=9&seed=nothing.com", "changes", "name", "after", ""},
	} {
		if got := strings.Join(walk(t, r, c.path, c.list, c.field, c.cursor), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.path, got, c.want)
		}
	}
	for _, path := range []string{
		"/api/v1/seeds?limit=0", "/api/v1/candidates?limit=1001", "/api/v1/candidates?state=x", "/api/v1/candidates?change=unchanged", "/api/v1/changes?change=x", "/api/v1/candidates?since=today",
		"/api/v1/candidates?after=x", "/api/v1/changes?after=x", "/api/v1/changes?limit=x", "/api/v1/candidates.csv?since=1",
		"/api/v1/candidates.jsonl?state=1", "/api/v1/changes/stream?after=x", "/api/v1/changes/stream?since=x", "/api/v1/scans?state=x", "/api/v1/scans?limit=-1",
	} {
		r.wants(t, "GET", path, "", 400, `"status":400`)
	}
}

func TestExports(t *testing.T) {
	r, _ := newHistoryRig(t)
	lines := r.wants(t, "GET", "/api/v1/candidates.jsonl", "", 200)
	if strings.Count(lines, "\n") != 9 {
		t.Errorf("%s", lines)
	}
	var first candidate
	if err := json.Unmarshal([]byte(lines[:strings.Index(lines, "\n")]), &first); err != nil || first.Name != "0a.com" || first.Change != nil || first.Brand != "A" || first.State != "registered" {
		t.Errorf("%+v, %v", first, err)
	}
	want := `cse_id,seed,name,state,first_seen,last_seen,gone,published,event,ns,a,aaaa,mx,cname,change,changed_at
B,c.com,2c.com,gone,2026-01-31T10:00:00Z,2026-01-31T10:00:00Z,2026-01-31T11:00:00Z,2026-01-31T10:00:00Z,id,,192.0.2.1,,'=mx.example;b.example,,gone,2026-01-31T10:00:00Z
`
	if got := r.wants(t, "GET", "/api/v1/candidates.csv?seed=c.com&change=gone", "", 200); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := r.wants(t, "GET", "/api/v1/candidates.csv?seed=nothing.com", "", 200); strings.Count(got, "\n") > 1 {
		t.Errorf("%s", got)
	}
}

func TestNoHistory(t *testing.T) {
	r := newRig(t)
	paths := []string{"/api/v1/seeds", "/api/v1/candidates", "/api/v1/candidates.csv", "/api/v1/candidates.jsonl", "/api/v1/changes", "/api/v1/changes/stream"}
	for _, path := range paths {
		r.wants(t, "GET", path, "", 503, `"status":503`)
	}
	r.cfg.History = &journal{broken: errors.New("no disk")}
	for _, path := range paths {
		r.wants(t, "GET", path, "", 503, "what was asked for cannot be read")
	}
}

// journal is a History of changes alone.
type journal struct {
	mu     sync.Mutex
	lines  []store.Change
	broken error
}

func (j *journal) Seed(context.Context, string) (store.SeedRecord, error) {
	return store.SeedRecord{}, j.broken
}
func (j *journal) Seeds(context.Context, func(string, store.SeedRecord)) error { return j.broken }
func (j *journal) Candidates(context.Context, string, string, int) ([]store.Entry, bool, error) {
	return nil, false, j.broken
}

func (j *journal) Changes(_ context.Context, after string, limit int) ([]store.Change, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := slices.IndexFunc(j.lines, func(c store.Change) bool { return c.ID > after })
	if at < 0 {
		return nil, j.broken
	}
	return j.lines[at:min(len(j.lines), at+limit)], j.broken
}

func (j *journal) LastChange(context.Context) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.lines) == 0 {
		return "", j.broken
	}
	return j.lines[len(j.lines)-1].ID, j.broken
}

func (j *journal) add(brand string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, store.Change{ID: fmt.Sprintf("%03d", len(j.lines)+1), Brand: brand, Name: fmt.Sprintf("n%d.com", len(j.lines)+1)})
}

// client takes what a stream sends; it stops taking at full bytes.
type client struct {
	*httptest.ResponseRecorder
	full int
}

func (c *client) Write(b []byte) (int, error) {
	if c.full > 0 && c.Body.Len() > c.full {
		return 0, errors.New("the client does not read")
	}
	return c.ResponseRecorder.Write(b)
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		j.add("A")
		h := New(Config{Progress: NewProgress(), History: j, Log: slog.New(slog.DiscardHandler)})
		open := func(ctx context.Context, path, last string, full int) (c *client, ended chan struct{}) {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
			if last != "" {
				r.Header.Set("Last-Event-ID", last)
			}
			c, ended = &client{httptest.NewRecorder(), full}, make(chan struct{})
			go func() { defer close(ended); h.ServeHTTP(c, r) }()
			synctest.Wait()
			return c, ended
		}
		leave, cancel := context.WithCancel(t.Context())
		fromNow, left := open(leave, "/api/v1/changes/stream", "", 0)
		again, stopped := open(t.Context(), "/api/v1/changes/stream?after=999", "000", 0)
		filtered, _ := open(t.Context(), "/api/v1/changes/stream?cse_id=B", "", 0)
		_, slow := open(t.Context(), "/api/v1/changes/stream", "", 60)
		const hello = ": the changes as they come\n\n"
		if got := fromNow.Body.String(); got != hello || fromNow.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%q", got)
		}
		if got := again.Body.String(); !strings.HasPrefix(got, hello+"id: 001\nevent: change\ndata: {\"id\":\"001\"") {
			t.Errorf("%q", got)
		}
		j.add("B")
		time.Sleep(lookEvery)
		synctest.Wait()
		for _, c := range []*client{fromNow, again, filtered} {
			if got := c.Body.String(); strings.Count(got, "id: 002\n") != 1 || !strings.HasSuffix(got, "}\n\n") {
				t.Errorf("%q", got)
			}
		}
		j.add("A")
		time.Sleep(heartbeat + lookEvery)
		synctest.Wait()
		<-slow // its third part was not taken
		if got := filtered.Body.String(); strings.Contains(got, "id: 003") || strings.Count(got, ": still here\n\n") != 1 {
			t.Errorf("%q", got)
		}
		cancel()
		<-left
		for range 3 * streamPage {
			j.add("A")
		}
		time.Sleep(lookEvery)
		synctest.Wait()
		if got := again.Body.String(); strings.Count(got, "event: change") != 3*streamPage+3 {
			t.Errorf("%d changes", strings.Count(got, "event: change"))
		}
		h.Stop()
		<-stopped
		synctest.Wait()
		if n := h.streams.Load(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	r := newRig(t)
	r.cfg.History = &journal{}
	r.streams.Store(maxStreams)
	if w := r.ask(t, "GET", "/api/v1/changes/stream", ""); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := r.streams.Load(); got != maxStreams {
		t.Errorf("%d are counted", got)
	}
}

func TestScansOfV1(t *testing.T) {
	r := newRig(t)
	r.wants(t, "POST", "/api/v1/scans", `{"domains":["a.com","co.uk","A.com"],"cse_id":"A"}`, 202, `"accepted":1,"merged":1,"scans":[{"index":0,"domain":"a.com"`, `"errors":[{"index":1,`)
	r.wants(t, "POST", "/api/v1/scans", `{"domains":["b.com"]}`, 202)
	for _, body := range []string{"", "{}", `{"domains":["co.uk"]}`, `{"domains":[1]}`, `{"domains":["a.com"` + strings.Repeat(`,"a.com"`, maxBulk) + `]}`} {
		r.wants(t, "POST", "/api/v1/scans", body, 400, `"status":400`)
	}
	d := <-r.deliveries
	r.cfg.Progress.generated(d.Seed, 7)
	r.wants(t, "GET", "/api/v1/scans/"+d.Seed.Scan, "", 200, `"progress":{"total":7,"answered":0,"registered":0}`)
	d.Done(nil)
	if got := walk(t, r, "/api/v1/scans?limit=1", "scans", "domain", "before"); !slices.Equal(got, []string{"b.com", "a.com"}) {
		t.Errorf("%v", got)
	}
	second := <-r.deliveries
	defer func() { second.Done(second.Context.Err()) }()
	w := r.ask(t, "DELETE", "/api/v1/scans/"+second.Seed.Scan, "")
	if w.Code != 204 || w.Body.Len() != 0 || second.Context.Err() == nil {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r.wants(t, "DELETE", "/api/v1/scans/queue-1-1", "", 404)
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"seed=a.com&after=a.com/b.com&limit=3", "since=2026-01-31T08:00:00Z&state=gone", "after=/&limit=1e9", "after=%00%ff&cse_id=%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		if limit, err := limitOf(r); err == nil && (limit < 1 || limit > maxPage) {
			t.Errorf("limit %d", limit)
		}
		_, _ = filterOf(r)
		if at, err := positionOf(r.URL.Query().Get("after")); err == nil {
			if again, err := positionOf(at.String()); err != nil && at != (position{}) || err == nil && again != at {
				t.Errorf("%q became %v, then %v", query, at, again)
			}
		}
	})
}

func TestDeliveries(t *testing.T) {
	r, bolt := newHistoryRig(t)
	r.cfg.OutputDir, r.cfg.Find = t.TempDir(), bolt.Find
	letter := `{"schema_version":"v1","failure_type":"kafka_send_error","error":"[10] too large","raw_value":"","topic":"t","code":10,"attempts":1,"ts":1760601600000,"raw_base64":"eyJjYW5vbmljYWxfZnFkbiI6IjBhLmNvbSJ9"}` + "\n"
	if err := os.WriteFile(filepath.Join(r.cfg.OutputDir, "dead_letters.jsonl"), []byte(letter), 0o600); err != nil {
		t.Fatal(err)
	}
	r.wants(t, "GET", "/api/v1/deliveries?q=0A.com&q=nothing.com", "", 200, `"state":"acked","name":"0a.com","id":"id","seed":"a.com","time":"2026-01-31T08:00:00Z"`,
		`"state":"dead_lettered","name":"0a.com"`, `{"query":"nothing.com","state":"not_found"}`, `"incomplete":false`)
	for _, query := range []string{"", "?q=acme", "?q=" + strings.Repeat("&q=a.com", maxQueries+1)} {
		r.wants(t, "GET", "/api/v1/deliveries"+query, "", 400, `"status":400`)
	}
	r.cfg.Find = func(context.Context, store.Query, func(string, store.Entry)) error { return errors.New("no disk") }
	r.wants(t, "GET", "/api/v1/deliveries?q=a.com", "", 503)
	r.wants(t, "GET", "/api/v1/seeds/a.com", "", 200, `"cse_id":"A"`)
	r.wants(t, "GET", "/api/v1/seeds/nothing.com", "", 404)
}
