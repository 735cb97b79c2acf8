package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
)

func newSource(t *testing.T, limit int) (*pipeline.QueueSource, *store.File) {
	t.Helper()
	file, _, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	kept, err := file.Queue()
	if err != nil {
		t.Fatal(err)
	}
	queue, err := pipeline.NewQueueSource(pipeline.QueueConfig{Store: kept, Limit: limit, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return queue, file
}

func newHandler(t *testing.T, limit int) (*Handler, *pipeline.QueueSource) {
	t.Helper()
	queue, _ := newSource(t, limit)
	return New(Config{Queue: queue, Progress: NewProgress(), Log: slog.New(slog.DiscardHandler)}), queue
}

func do(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// schemas are those of openapi.json; one goroutine at a time.
var schemas = sync.OnceValue(func() *jsonschema.Compiler {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		panic(err)
	}
	return compiler
})

// response is where openapi.json describes the answers with a status.
func response(t *testing.T, path, method string, status int) (pointer string) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[int]struct {
				Ref string `json:"$ref"`
			}
		}
	}
	if err := json.Unmarshal(openAPI, &document); err != nil {
		t.Fatal(err)
	}
	method = strings.ToLower(method)
	return cmp.Or(document.Paths[path][method].Responses[status].Ref,
		fmt.Sprintf("#/paths/%s/%s/responses/%d", strings.NewReplacer("/", "~1", "{", "%7B", "}", "%7D").Replace(path), method, status))
}

// described checks an answer with the schema that openapi.json has for it.
func described(t *testing.T, path, method string, w *httptest.ResponseRecorder) {
	t.Helper()
	kind := strings.ReplaceAll(w.Header().Get("Content-Type"), "/", "~1")
	if w.Body.Len() == 0 {
		return
	}
	schema, err := schemas().Compile("openapi.json" + response(t, path, method, w.Code) + "/content/" + kind + "/schema")
	if err != nil {
		t.Fatalf("%s %s: %d is not described: %v", method, path, w.Code, err)
	}
	if !strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "ndjson") {
		return
	}
	answer, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(answer); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
}

func TestSubmit(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, path, body string
		status           int
		answer           string // part of it
	}{
		{"domain", "/api/submit", `{"domain":"SBI.co.in"}`, 200, `{"success":true,"domain":"sbi.co.in","scan_id":"queue-`},
		{"url", "/api/submit", `{"url":"https://user@sbi.co.in:8443/a?b#c","cse_id":"SBI","notes":"see mail","use_full_pipeline":true}`, 200, `"domain":"sbi.co.in"`},
		{"url wins", "/api/submit", `{"url":"a.com","domain":"b.com"}`, 200, `"domain":"a.com"`},
		{"nulls", "/api/submit", `{"url":null,"domain":"b.com","cse_id":null,"notes":null,"use_full_pipeline":null}`, 200, `"merged":false`},
		{"unknown field", "/api/submit", `{"domain":"b.com","more":{"a":[1]}}`, 200, `"domain":"b.com"`},
		{"U-labels", "/api/submit", `{"domain":"bücher.de"}`, 200, `"domain":"xn--bcher-kva.de"`},
		{"no domain", "/api/submit", `{}`, 400, `{"success":false,"error":"url or domain is missing"}`},
		{"empty domain", "/api/submit", `{"domain":""}`, 400, `url or domain is missing`},
		{"address", "/api/submit", `{"domain":"192.0.2.1"}`, 400, `{"success":false,"error":"\"192.0.2.1\" `},
		{"suffix", "/api/submit", `{"domain":"co.uk"}`, 400, `is a public suffix`},
		{"no name", "/api/submit", `{"domain":"a b"}`, 400, `"success":false`},
		{"long brand", "/api/submit", `{"domain":"a.com","cse_id":"` + long + `"}`, 400, `the cse_id has 5000 bytes`},
		{"control character", "/api/submit", `{"domain":"a.com","cse_id":"\u0000"}`, 400, `control character`},
		{"long notes", "/api/submit", `{"domain":"a.com","notes":"` + long + `"}`, 400, `notes has 5000 bytes, more than 4096`},
		{"number", "/api/submit", `{"domain":1}`, 400, `domain is a JSON number`},
		{"string for a flag", "/api/submit", `{"domain":"a.com","use_full_pipeline":"yes"}`, 400, `use_full_pipeline is a JSON string`},
		{"array", "/api/submit", `["a.com"]`, 400, `the body is not a JSON object`},
		{"null", "/api/submit", `null`, 400, `the body is not a JSON object`},
		{"nothing", "/api/submit", ``, 400, `the body is not a JSON object`},
		{"form", "/api/submit", `domain=a.com`, 400, `the body is not a JSON object`},
		{"cut off", "/api/submit", `{"domain":"a.com"`, 400, `the body is not JSON`},
		{"two objects", "/api/submit", `{"domain":"a.com"}{}`, 400, `the body is not JSON`},
		{"not UTF-8", "/api/submit", "{\"domain\":\"a\xff.com\"}", 400, `the body is not UTF-8`},
		{"too large", "/api/submit", `{"domain":"a.com","x":"` + strings.Repeat("x", 1<<20) + `"}`, 413, `the body has more than 1 MiB`},
		{"bulk", "/api/submit-bulk", `{"urls":["a.com","co.uk","https://b.com/","A.com"]}`, 200, `"accepted":2,"merged":1,"scans":[{"index":0,"domain":"a.com"`},
		{"bulk of none", "/api/submit-bulk", `{"urls":[]}`, 400, `urls is missing or empty`},
		{"bulk without", "/api/submit-bulk", `{"domain":"a.com"}`, 400, `urls is missing or empty`},
		{"bulk of bad ones", "/api/submit-bulk", `{"urls":["co.uk",null]}`, 400, `none of urls can be used; the first: \"co.uk\" is a public suffix`},
		{"bulk of numbers", "/api/submit-bulk", `{"urls":["a.com",7]}`, 400, `urls is a JSON number`},
		{"bulk too many", "/api/submit-bulk", `{"urls":["a.com"` + strings.Repeat(`,"a.com"`, 10000) + `]}`, 400, `urls has 10001 names, more than 10000`},
		{"bulk of 10,000", "/api/submit-bulk", `{"urls":["a.com"` + strings.Repeat(`,"a.com"`, 9999) + `]}`, 200, `"accepted":1,"merged":9999,`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, queue := newHandler(t, 100)
			w := do(h, "POST", c.path, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) {
				t.Errorf("%d %.300s, want %d and %s", w.Code, w.Body, c.status, c.answer)
			}
			if accepted := queue.Stats().Accepted > 0; accepted != (c.status == 200) {
				t.Errorf("accepted: %v", accepted)
			}
			described(t, c.path, "POST", w)
		})
	}
}

func TestScanAndQueue(t *testing.T) {
	h, _ := newHandler(t, 10)
	if w := do(h, "GET", "/api/v1/queue", ""); !strings.Contains(w.Body.String(), `"length":0,"waiting":0,"in_work":0,"limit":10,`) || !strings.Contains(w.Body.String(), `"oldest":null`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var answer accepted
	w := do(h, "POST", "/api/submit", `{"domain":"a.com","use_full_pipeline":false}`)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	w = do(h, "GET", "/api/v1/queue", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"length":1,"waiting":1,"in_work":0,"limit":10,"accepted":1,"done":0,"stopped":0,"by_priority":{"file":0,"person":1,"rescan":0},"oldest":"20`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	described(t, "/api/v1/queue", "GET", w)
	w = do(h, "GET", "/api/v1/scans/"+answer.ScanID, "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"domain":"a.com","cse_id":"UNKNOWN","use_full_pipeline":false,"priority":"person","state":"queued",`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	described(t, "/api/v1/scans/{id}", "GET", w)
	w = do(h, "GET", "/api/v1/scans/queue-1-1", "")
	if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	described(t, "/api/v1/scans/{id}", "GET", w)
}

// A scan that is done is told with its summary.
func TestFinishedScan(t *testing.T) {
	h, queue := newHandler(t, 10)
	var answer accepted
	if err := json.Unmarshal(do(h, "POST", "/api/submit", `{"domain":"a.com"}`).Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	out, ended := make(chan pipeline.Delivery), make(chan error, 1)
	go func() { ended <- queue.Persons().Run(t.Context(), out) }()
	d := <-out
	d.Finished(pipeline.Summary{Generated: 5, Registered: 2})
	d.Done(nil)
	w := do(h, "GET", "/api/v1/scans/"+answer.ScanID, "")
	if !strings.Contains(w.Body.String(), `"state":"done"`) || !strings.Contains(w.Body.String(), `"summary":{"generated":5,"registered":2,`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	described(t, "/api/v1/scans/{id}", "GET", w)
}

func TestRefusals(t *testing.T) {
	const body = `{"domain":"a.com"}`
	full, _ := newHandler(t, 1)
	do(full, "POST", "/api/submit", `{"domain":"first.com"}`)
	none := New(Config{Log: slog.New(slog.DiscardHandler)})
	open, _ := newSource(t, 10)
	closed := New(Config{Queue: open, Closed: true, Progress: NewProgress(), Log: slog.New(slog.DiscardHandler)})
	queue, file := newSource(t, 1)
	file.Close()
	broken := New(Config{Queue: queue, Log: slog.New(slog.DiscardHandler)})
	token := func(value string, err error) *Handler {
		queue, _ := newSource(t, 10)
		return New(Config{Queue: queue, Progress: NewProgress(), Log: slog.New(slog.DiscardHandler), Token: func() (string, error) { return value, err }})
	}
	for _, c := range []struct {
		name         string
		h            *Handler
		method, path string
		header       []string
		status       int
		reason       string // "" if it is not refused
	}{
		{"full", full, "POST", "/api/submit", nil, 429, refusedFull},
		{"no queue", none, "POST", "/api/submit", nil, 503, refusedUnavailable},
		{"no source", closed, "POST", "/api/submit", nil, 503, refusedUnavailable},
		{"no queue, state", none, "GET", "/api/v1/queue", nil, 503, refusedUnavailable},
		{"no queue, scan", none, "GET", "/api/v1/scans/queue-1-1", nil, 503, refusedUnavailable},
		{"no disk", broken, "POST", "/api/submit", nil, 503, refusedUnavailable},
		{"method", none, "GET", "/api/submit", nil, 405, refusedMethod},
		{"method of v1", none, "DELETE", "/api/v1/queue", nil, 405, refusedMethod},
		{"path", none, "GET", "/api/nothing", nil, 404, refusedNotFound},
		{"path of v1", none, "GET", "/api/v1/nothing", nil, 404, refusedNotFound},
		{"other origin", none, "POST", "/api/submit", []string{"Origin", "https://evil.example"}, 403, refusedCrossOrigin},
		{"other site", none, "POST", "/api/submit", []string{"Sec-Fetch-Site", "cross-site"}, 403, refusedCrossOrigin},
		{"no token", token("s3cret", nil), "POST", "/api/submit", nil, 401, refusedUnauthorized},
		{"no token, unknown path", token("s3cret", nil), "GET", "/api/nothing", nil, 401, refusedUnauthorized},
		{"wrong token", token("s3cret", nil), "GET", "/api/v1/queue", []string{"Authorization", "Bearer s3cre"}, 401, refusedUnauthorized},
		{"wrong scheme", token("s3cret", nil), "POST", "/api/submit", []string{"Authorization", "Basic s3cret"}, 401, refusedUnauthorized},
		{"empty token", token("", nil), "POST", "/api/submit", []string{"Authorization", "Bearer "}, 503, refusedUnavailable},
		{"unreadable token", token("", errors.New("gone")), "POST", "/api/submit", []string{"Authorization", "Bearer "}, 503, refusedUnavailable},
		{"right token", token("s3cret", nil), "POST", "/api/submit", []string{"Authorization", "bearer s3cret"}, 200, ""},
		{"document without token", token("s3cret", nil), "GET", "/api/openapi.json", nil, 200, ""},
		{"head", token("s3cret", nil), "HEAD", "/api/v1/queue", []string{"Authorization", "Bearer s3cret"}, 200, ""},
		{"own origin", token("s3cret", nil), "POST", "/api/submit", []string{"Authorization", "Bearer s3cret", "Sec-Fetch-Site", "same-origin"}, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := do(c.h, c.method, c.path, body, c.header...)
			if w.Code != c.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
			if c.reason == "" {
				return
			}
			if testutil.ToFloat64(c.h.refused.WithLabelValues(c.reason)) == 0 {
				t.Errorf("not counted as %s", c.reason)
			}
			var answer map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			v1 := strings.HasPrefix(c.path, "/api/v1/")
			if v1 && (answer["status"] != float64(c.status) || w.Header().Get("Content-Type") != "application/problem+json") || !v1 && answer["success"] != false {
				t.Errorf("%s", w.Body)
			}
			for name, statuses := range map[string][]int{"Retry-After": {429, 503}, "Allow": {405}, "Www-Authenticate": {401}} {
				if has := w.Header().Get(name) != ""; has != slices.Contains(statuses, c.status) {
					t.Errorf("%s: %q", name, w.Header().Get(name))
				}
			}
		})
	}
}

// openapi.json has the paths and methods that are served, and no others.
func TestOpenAPI(t *testing.T) {
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	w := do(New(Config{Log: slog.New(slog.DiscardHandler)}), "GET", "/api/openapi.json", "")
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if document.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", document.OpenAPI)
	}
	var documented, served []string
	for path, methods := range document.Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range (&Handler{}).routes() {
		served = append(served, r.method+" "+r.path)
	}
	slices.Sort(documented)
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented %q, served %q", documented, served)
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"domain":"a.com"}`, `{"urls":["a.com"],"cse_id":"A","use_full_pipeline":false}`, `[]`, `{"url":{}}`, "\xff", `{"urls":[null]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if s, input, err := parseSingle(body); err == nil {
			if input == "" || len(s.Notes) > maxNotes {
				t.Errorf("%q: %+v", body, s)
			}
			if submission, err := pipeline.ParseSubmission(input, s.Brand, s.nameOnly()); err == nil && (submission.Seed.FQDN == "" || submission.Seed.Brand == "" || submission.Seed.Recheck != s.nameOnly()) {
				t.Errorf("%q: %+v", body, submission)
			}
		}
		if b, err := parseBulk(body); err == nil && (len(b.URLs) == 0 || len(b.URLs) > maxBulk) {
			t.Errorf("%q: %d names", body, len(b.URLs))
		}
	})
}
