package api

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

// newListsRig has two lists of up to five domains each.
func newListsRig(t *testing.T) (*rig, *store.File) {
	t.Helper()
	r := newRig(t)
	file, _, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	r.cfg.Allow, r.cfg.Deny = file.List(store.Allowed, 5), file.List(store.Denied, 5)
	return r, file
}

func TestDomainLists(t *testing.T) {
	for _, path := range []string{allowPath, denyPath} {
		t.Run(path, func(t *testing.T) {
			r, _ := newListsRig(t)
			r.wants(t, "GET", path, "", 200, `{"domains":[],"next":null}`)
			r.wants(t, "POST", path, `{"domains":["Example.COM.","*.bücher.de","shop.github.io","example.com"],"note":"ours"}`, 200, `{"added":3,"known":1}`)
			r.wants(t, "POST", path, `{"domains":["example.com","a.co.uk"],"note":null}`, 200, `{"added":1,"known":1}`)
			for _, limit := range []string{"1", "3", "9"} {
				all := walk(t, r, path+"?limit="+limit, "domains", "domain", "after")
				if strings.Join(all, " ") != "a.co.uk example.com shop.github.io xn--bcher-kva.de" {
					t.Errorf("limit %s: %v", limit, all)
				}
			}
			r.wants(t, "GET", path+"?after=b&limit=1", "", 200, `{"domains":[{"domain":"example.com","added":"20`, `Z","note":"ours"}],"next":"example.com"}`)
			other := map[string]string{allowPath: denyPath, denyPath: allowPath}[path]
			r.wants(t, "GET", other, "", 200, `{"domains":[],"next":null}`)

			// Too many: nothing is taken.
			r.wants(t, "POST", path, `{"domains":["x.com","y.com"]}`, 507, "more than 5 domains; nothing was taken")
			if testutil.ToFloat64(r.refused.WithLabelValues(refusedFull)) != 1 {
				t.Error("not counted as full")
			}
			r.wants(t, "POST", path, `{"domains":["x.com"]}`, 200, `{"added":1,"known":0}`)
			r.wants(t, "POST", path, `{"domains":["x.com"]}`, 200, `{"added":0,"known":1}`)

			r.wants(t, "DELETE", path+"/B%C3%BCcher.de", "", 204)
			r.wants(t, "DELETE", path+"/xn--bcher-kva.de", "", 404)
			r.wants(t, "DELETE", path+"/co.uk", "", 400, "is a public suffix")
			r.wants(t, "DELETE", path+"/www.example.com", "", 404) // below one that is listed
			r.wants(t, "GET", path+"?limit=0", "", 400)
			r.wants(t, "POST", path+"/x.com", "", 405)
			r.wants(t, "GET", path+"/x.com", "", 405)
		})
	}
}

// Of a body with a domain that cannot be used nothing is taken, and each that
// cannot is named.
func TestEnlistRefusals(t *testing.T) {
	r, file := newListsRig(t)
	r.wants(t, "POST", denyPath, `{"domains":["a.com","co.uk","com","a b.com","b.com",null]}`, 400,
		`"detail":"4 of 6 domains cannot be used, and none was taken; the first: \"co.uk\" is a public suffix`,
		`"errors":[{"index":1,"error":"\"co.uk\" is a public suffix, under which others register their names"},{"index":2,"error":"\"com\" is a single label, not a domain"},{"index":3,`, `{"index":5,`)
	if testutil.ToFloat64(r.refused.WithLabelValues(refusedInvalid)) != 1 {
		t.Error("not counted as invalid")
	}
	var answer mistakenProblem
	many := `{"domains":["a.com"` + strings.Repeat(`,"com"`, 9999) + `]}`
	if err := json.Unmarshal([]byte(r.wants(t, "POST", denyPath, many, 400)), &answer); err != nil || len(answer.Errors) != maxMistaken || answer.Status != 400 {
		t.Errorf("%d errors named, %v", len(answer.Errors), err)
	}
	for body, want := range map[string]string{
		`{"domains":[]}`:                  "domains is missing or empty",
		`{}`:                              "domains is missing or empty",
		`["a.com"]`:                       "the body is not a JSON object",
		`{"domains":"a.com"}`:             "domains is a JSON string",
		`{"domains":["a.com"`:             "the body is not JSON",
		"{\"domains\":\"\xff":             "the body is not UTF-8",
		many[:len(many)-2] + `,"a.com"]}`: "domains has 10001 names, more than 10000",
		fmt.Sprintf(`{"domains":["a.com"],"note":%q}`, strings.Repeat("n", 257)): "note has 257 bytes, more than 256",
	} {
		r.wants(t, "POST", denyPath, body, 400, want)
	}
	r.wants(t, "POST", denyPath, `{"domains":["a.com"],"note":"`+strings.Repeat("n", 1<<20)+`"}`, 413)
	if w := do(r, "POST", denyPath, `{"domains":["a.com"]}`, "Origin", "https://evil.example"); w.Code != 403 {
		t.Errorf("from another origin: %d", w.Code)
	}
	if w := do(r, "DELETE", denyPath+"/a.com", "", "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("from another site: %d", w.Code)
	}
	r.cfg.Token = func() (string, error) { return "s3cret", nil }
	for _, method := range []string{"GET", "POST"} {
		r.wants(t, method, denyPath, `{"domains":["a.com"]}`, 401)
	}
	r.wants(t, "DELETE", denyPath+"/a.com", "", 401)
	r.cfg.Token = nil
	r.wants(t, "GET", denyPath, "", 200, `{"domains":[],"next":null}`)

	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	r.wants(t, "GET", denyPath, "", 503)
	r.wants(t, "POST", denyPath, `{"domains":["a.com"]}`, 503, "the list cannot be written")
	r.wants(t, "DELETE", denyPath+"/a.com", "", 503)
	r.cfg.Deny = nil
	r.wants(t, "GET", denyPath, "", 503, "this worker keeps no lists")
	r.wants(t, "POST", denyPath, `{"domains":["a.com"]}`, 503)
	r.wants(t, "DELETE", denyPath+"/a.com", "", 503)
}

func FuzzToList(f *testing.F) {
	for _, seed := range []string{`{"domains":["a.com","*.b.de"],"note":"n"}`, `{"domains":[null]}`, `[]`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := parseToList(body)
		if err == nil && (len(b.Domains) == 0 || len(b.Domains) > maxBulk || len(b.Note) > maxNote) {
			t.Errorf("%q: %d domains, a note of %d bytes", body, len(b.Domains), len(b.Note))
		}
		for _, input := range b.Domains {
			domain, err := fuzzer.ParseListed(input)
			if again, e := fuzzer.ParseListed(domain); err == nil && (e != nil || again != domain) {
				t.Errorf("%q is %q, which is %q, %v", input, domain, again, e)
			}
		}
	})
}
