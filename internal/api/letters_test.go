package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/typostream/typostream/emitter"
)

// newLetterRig has the letters a.com, b.com and c.com to topic t, and one of an
// input.
func newLetterRig(t *testing.T) (*rig, []string) {
	t.Helper()
	r := newRig(t)
	r.cfg.OutputDir = t.TempDir()
	var text []byte
	line := func(kind, topic, raw string) {
		text = fmt.Appendf(text, `{"schema_version":"v1","failure_type":%q,"error":"[10] too large","raw_value":"","topic":%q,"key":"k","code":10,"attempts":1,"ts":1760601600000,"raw_base64":%q}`+"\n",
			kind, topic, base64.StdEncoding.EncodeToString([]byte(raw)))
	}
	for _, name := range []string{"a.com", "b.com", "c.com"} {
		line(emitter.FailureKafkaSend, "t", `{"canonical_fqdn":"`+name+`"}`)
	}
	line("json_parse_error", "raw.hosts", "[")
	if err := os.WriteFile(filepath.Join(r.cfg.OutputDir, "dead_letters.jsonl"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return r, walk(t, r, "/api/v1/dead-letters?limit=1", "letters", "id", "after")
}

func (r *rig) left(t *testing.T) []string {
	t.Helper()
	return walk(t, r, "/api/v1/dead-letters?limit=9", "letters", "id", "after")
}

func TestLettersAreShownAndDeleted(t *testing.T) {
	r, ids := newLetterRig(t)
	if len(ids) != 4 {
		t.Fatalf("%v", ids)
	}
	if got := walk(t, r, "/api/v1/dead-letters?limit=2&topic=t&type=kafka_send_error", "letters", "id", "after"); !slices.Equal(got, ids[:3]) {
		t.Errorf("%v", got)
	}
	r.wants(t, "GET", "/api/v1/dead-letters?after=x", "", 400)
	r.wants(t, "GET", "/api/v1/dead-letters/"+ids[1], "", 200, `{"id":"`+ids[1]+`","schema_version":"v1"`)
	r.wants(t, "GET", "/api/v1/dead-letters/x", "", 404)
	r.wants(t, "DELETE", "/api/v1/dead-letters/x", "", 404)
	r.wants(t, "DELETE", "/api/v1/dead-letters/"+ids[1], "", 204)
	for _, path := range []string{"/api/v1/dead-letters/purge", "/api/v1/dead-letters/replay"} {
		for _, body := range []string{"", "[]", "{}", `{"ids":[]}`, `{"ids":"x"}`, `{"all":false}`} {
			r.wants(t, "POST", path, body, 400)
		}
	}
	r.wants(t, "POST", "/api/v1/dead-letters/purge", `{"type":"json_parse_error"}`, 200, `{"removed":1}`)
	r.wants(t, "POST", "/api/v1/dead-letters/purge", `{"ids":["`+ids[0]+`"],"topic":"other"}`, 200, `{"removed":0}`)
	if got := r.left(t); !slices.Equal(got, []string{ids[0], ids[2]}) {
		t.Errorf("%v are left", got)
	}
	r.wants(t, "POST", "/api/v1/dead-letters/purge", `{"all":true}`, 200, `{"removed":2}`)
}

func TestLettersAreSentAgain(t *testing.T) {
	r, ids := newLetterRig(t)
	r.wants(t, "POST", "/api/v1/dead-letters/replay", `{"all":true}`, 503)
	var sent []emitter.Message
	fates, failure := []emitter.Fate{emitter.FateAcked, emitter.FateSpooled, emitter.FateUndelivered}, errors.New("Kafka is away")
	r.cfg.Emit = func(_ context.Context, messages ...emitter.Message) ([]emitter.Fate, error) {
		sent = append(sent, messages...)
		return fates[:len(messages)], failure
	}
	r.wants(t, "POST", "/api/v1/dead-letters/replay", `{"all":true}`, 200, `{"sent":1,"spooled":1,"refused":0,"left":1,"others":1,"more":false}`)
	if len(sent) != 3 || sent[0].Topic != "t" || sent[0].Key != "k" || string(sent[0].Value) != `{"canonical_fqdn":"a.com"}` {
		t.Errorf("%v", sent)
	}
	if got := r.left(t); !slices.Equal(got, ids[2:]) {
		t.Errorf("%v are left, want %v", got, ids[2:])
	}
	fates, failure = []emitter.Fate{emitter.FateDeadLettered}, nil
	r.wants(t, "POST", "/api/v1/dead-letters/replay", `{"ids":["`+ids[2]+`","x"]}`, 200, `{"sent":0,"spooled":0,"refused":1,"left":0,"others":0,"more":false}`)
	if got := r.left(t); !slices.Equal(got, ids[3:]) {
		t.Errorf("%v are left, want %v", got, ids[3:])
	}
}

func FuzzChosen(f *testing.F) {
	for _, seed := range []string{`{"ids":["a"]}`, `{"all":true}`, `{"topic":"t","type":null}`, `{}`, "[]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		meant, err := parseChosen(body)
		if err != nil {
			return
		}
		var c chosen
		if json.Unmarshal(body, &c) == nil && len(c.IDs) > 0 && meant(&emitter.StoredLetter{ID: "\x00"}) && !slices.Contains(c.IDs, "\x00") {
			t.Errorf("%q means a letter that it does not name", body)
		}
	})
}
