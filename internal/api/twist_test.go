package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

// rig is a handler with a queue whose scans the test does itself.
type rig struct {
	*Handler
	queue      *pipeline.QueueSource
	deliveries chan pipeline.Delivery
}

func newRig(t *testing.T) *rig {
	t.Helper()
	queue, _ := newSource(t, 100)
	r := &rig{queue: queue, deliveries: make(chan pipeline.Delivery)}
	r.Handler = New(Config{Queue: queue, Progress: NewProgress(), Names: func(s pipeline.Seed) (iter.Seq[string], int) {
		return slices.Values([]string{"a." + s.FQDN, "b." + s.FQDN, "c." + s.FQDN}), 3
	}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- queue.Persons().Run(ctx, r.deliveries) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// ask is do, and the answer must be as openapi.json describes it.
func (r *rig) ask(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := do(r, method, path, body)
	plain, _, _ := strings.Cut(path, "?")
	for _, to := range r.routes() {
		if to.method == method && matches(to.path, plain) {
			kept := w.Body.String()
			described(t, to.path, method, w)
			w.Body.Reset()
			w.Body.WriteString(kept)
		}
	}
	return w
}

func matches(pattern, path string) bool {
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(a, b, func(p, s string) bool { return p == s || strings.HasPrefix(p, "{") })
}

func (r *rig) wants(t *testing.T, method, path, body string, status int, parts ...string) string {
	t.Helper()
	w := r.ask(t, method, path, body)
	if w.Code != status {
		t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	for _, part := range parts {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("%s %s: %s, want %s", method, path, w.Body, part)
		}
	}
	return w.Body.String()
}

func (r *rig) scan(t *testing.T, url string) (id string) {
	t.Helper()
	var answer struct{ ID string }
	if err := json.Unmarshal([]byte(r.wants(t, "POST", "/api/scans", fmt.Sprintf(`{"url":%q}`, url), 201)), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.ID
}

func answer(seed pipeline.Seed, name string, algorithm fuzzer.Algorithm, state resolver.State) *pipeline.Result {
	return &pipeline.Result{
		Seed: &seed, Variant: fuzzer.Variant{FQDN: name, Algorithm: algorithm},
		Answer: resolver.Answer{State: state, A: []string{"192.0.2.1", "192.0.2.2"}},
	}
}

func TestScansAsDnstwistHasThem(t *testing.T) {
	r := newRig(t)
	id := r.scan(t, "https://user:word@ACME.com:8443/login?x=1")
	d := <-r.deliveries
	seed := d.Seed
	r.wants(t, "GET", "/api/scans/"+id, "", 200, `"url":"https://acme.com:8443/login?x=1","domain":"acme.com","total":3,"complete":0,"remaining":3,"registered":0}`)
	r.wants(t, "GET", "/api/scans/"+id+"/json", "", 200, "[]\n")
	r.cfg.Progress.generated(seed, 4)
	r.cfg.Progress.answered(answer(seed, "xn--cme-5cd.com", fuzzer.Homoglyph, resolver.Registered))
	r.cfg.Progress.answered(answer(seed, "acmes.com", fuzzer.Addition, resolver.Registered))
	r.cfg.Progress.answered(answer(seed, "acmex.com", fuzzer.Addition, resolver.Absent))
	r.wants(t, "GET", "/api/scans/"+id, "", 200, `"total":4,"complete":3,"remaining":1,"registered":2}`)
	d.Finished(pipeline.Summary{Generated: 4, Registered: 2, Absent: 2})
	d.Done(nil)
	r.wants(t, "GET", "/api/scans/"+id, "", 200, `"total":4,"complete":4,"remaining":0,"registered":2}`)
	r.wants(t, "GET", "/api/scans/"+id+"/csv", "", 200, "fuzzer,domain,dns_a,dns_aaaa,dns_mx,dns_ns,state,tags\naddition,acmes.com,192.0.2.1,,,,registered,special_address\nhomoglyph,xn--cme-5cd.com,192.0.2.1,,,,registered,special_address\n")
	r.wants(t, "GET", "/api/scans/"+id+"/json", "", 200, `"domain": "xn--cme-5cd.com"`, `"fuzzer": "homoglyph"`)
	r.wants(t, "GET", "/api/scans/"+id+"/domains", "", 200, `"domain": "аcme.com"`)
	r.wants(t, "GET", "/api/scans/"+id+"/list", "", 200, "a.acme.com\nb.acme.com\nc.acme.com\n")
	r.wants(t, "POST", "/api/scans/"+id+"/stop", "", 200, "{}")
	r.wants(t, "GET", "/api/scans/"+id, "", 200, `"total":4,"complete":4,"remaining":0,`)
	for _, path := range []string{"", "/domains", "/csv", "/json", "/list"} {
		r.wants(t, "GET", "/api/scans/queue-1-1"+path, "", 404, `{"message":"`)
	}
	r.wants(t, "POST", "/api/scans/queue-1-1/stop", "", 404, `{"message":"`)
	for _, body := range []string{"", "[]", "{}", `{"url":1}`, `{"url":"co.uk"}`, `{"url":""}`, `{"url":"ftp://`} {
		r.wants(t, "POST", "/api/scans", body, 400, `{"message":"`)
	}
	r.wants(t, "POST", "/api/scans", `{"url":"`+strings.Repeat("x", maxBody)+`"}`, 413, `{"message":"`)
}

func TestStopOfAScanOverHTTP(t *testing.T) {
	r := newRig(t)
	id := r.scan(t, "acme.com")
	d := <-r.deliveries
	r.cfg.Progress.generated(d.Seed, 4)
	r.cfg.Progress.answered(answer(d.Seed, "acmes.com", fuzzer.Addition, resolver.Registered))
	r.wants(t, "POST", "/api/scans/"+id+"/stop", "", 200, "{}")
	d.Done(<-endOf(d.Context))
	r.wants(t, "GET", "/api/scans/"+id, "", 200, `"total":1,"complete":1,"remaining":0,"registered":1}`)
	r.wants(t, "GET", "/api/scans/"+id+"/list", "", 200)
	r.wants(t, "GET", "/api/scans/"+id+"/json", "", 200, "acmes.com")
	r.wants(t, "GET", "/api/v1/scans/"+id, "", 200, `"state":"stopped"`)
	if s := r.queue.Stats(); s.Stopped != 1 || s.Waiting()+s.InWork != 0 {
		t.Errorf("%+v", s)
	}
}

func endOf(ctx context.Context) chan error {
	ended := make(chan error, 1)
	context.AfterFunc(ctx, func() { ended <- ctx.Err() })
	return ended
}

// What is kept of scans is bounded, and what is not kept is told.
func TestRowsAreBounded(t *testing.T) {
	r := newRig(t)
	p := r.cfg.Progress
	fill := func(url string, rows int) string {
		id := r.scan(t, url)
		d := <-r.deliveries
		p.generated(d.Seed, rows)
		for i := range rows {
			p.answered(answer(d.Seed, fmt.Sprintf("%d.com", i), fuzzer.Addition, resolver.Registered))
		}
		d.Done(nil)
		return id
	}
	first := fill("a.com", maxRows+2)
	w := r.ask(t, "GET", "/api/scans/"+first+"/csv", "")
	if got := strings.Count(w.Body.String(), "\n"); got != maxRows+1 || w.Header().Get(droppedHeader) != "2" {
		t.Errorf("%d lines, %q dropped", got, w.Header().Get(droppedHeader))
	}
	var last string
	for i := range maxAllRows / maxRows {
		last = fill(fmt.Sprintf("b%d.com", i), maxRows)
	}
	r.wants(t, "GET", "/api/scans/"+first+"/csv", "", 410, `{"message":"the names that this scan found are no longer kept`)
	r.wants(t, "GET", "/api/scans/"+first, "", 200, fmt.Sprintf(`"registered":%d}`, maxRows+2))
	r.wants(t, "GET", "/api/scans/"+last+"/json", "", 200)
	if p.rows > maxAllRows {
		t.Errorf("%d rows are kept", p.rows)
	}
	for i := range maxKept {
		p.waits(fmt.Sprint(i), 1)
	}
	if p.rows != 0 || p.scans.Len() != maxKept {
		t.Errorf("%d rows of %d scans, want none", p.rows, p.scans.Len())
	}
	r.wants(t, "GET", "/api/scans/"+last+"/json", "", 410)
}

func FuzzTwist(f *testing.F) {
	for _, seed := range []string{`{"url":"a.com"}`, `{"url":"http://u:p@a.com:1/x?y#z"}`, `{"url":"http://[::1]/"}`, `[]`, "\xff", `{"url":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		input, err := parseTwist(body)
		if err != nil {
			return
		}
		if s, err := pipeline.ParseSubmission(input, "", false); err == nil {
			if got := fullURL(input, s.Seed.FQDN); got != "" && !strings.Contains(got, "://"+s.Seed.FQDN) {
				t.Errorf("%q became %q", input, got)
			}
		}
	})
}
