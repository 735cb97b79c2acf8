package emitter

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What waits in the spool is read as it is: through or damaged lines are left out, files in their order.
func TestReadSpool(t *testing.T) {
	dir := t.TempDir()
	if bad, err := ReadSpool(filepath.Join(dir, "missing"), func(Kept) bool { t.Error("something"); return true }); bad != 0 || err != nil {
		t.Errorf("no directory: %d, %v", bad, err)
	}
	line := func(n int, unknown bool) []byte {
		m := msg(fmt.Sprintf("k%d.example", n), n)
		return appendSpoolLine(nil, &m, unknown)
	}
	write := func(name string, lines ...[]byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	damaged := bytes.Replace(line(2, false), []byte("k2"), []byte("k9"), 1)
	torn := line(9, false)
	second := write("spool_20251016T080000Z_1.jsonl", line(5, false))
	first := write("spool_20251016T080000Z.jsonl", line(0, false), line(1, false), damaged, line(3, true), line(4, false), torn[:len(torn)-3])
	write("other.jsonl", line(7, false))
	f := &spoolFile{path: first}
	for _, note := range []string{notes([][2]int{{0, 1}}, 0), notes(nil, 2)} { // the first is through, the second was tried
		if err := f.note(note); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	bad, err := ReadSpool(dir, func(k Kept) bool {
		got = append(got, fmt.Sprintf("%s:%d %s %v %s", filepath.Base(k.File), k.Line, k.Key, k.Unknown, stamp(k.Since)))
		return true
	})
	want := []string{
		"spool_20251016T080000Z.jsonl:2 k1.example true 20251016T080000Z",
		"spool_20251016T080000Z.jsonl:4 k3.example true 20251016T080000Z",
		"spool_20251016T080000Z.jsonl:5 k4.example false 20251016T080000Z",
		filepath.Base(second) + ":1 k5.example false 20251016T080000Z",
	}
	if err != nil || bad != 1 || !slices.Equal(got, want) {
		t.Errorf("%d bad, %v, read %q, want %q", bad, err, got, want)
	}
	n := 0
	if _, err := ReadSpool(dir, func(Kept) bool { n++; return n < 2 }); err != nil || n != 2 {
		t.Errorf("ended after 2: %d, %v", n, err)
	}
}

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"domains.candidates_20251016T080000Z.jsonl":     "{\"a\":1}\n{\"a\":2}\n{\"torn",
		"domains.candidates_20251016T080000Z_1.jsonl":   "{\"a\":3}\n",
		"spool_20251016T080000Z.jsonl":                  "{\"a\":4}\n",
		"dead_letters.jsonl":                            "{\"a\":5}\n",
		"domains.candidates_20251399T080000Z.jsonl":     "{\"a\":6}\n",
		"phish.urls.crawl_20251016T080000Z.jsonl.copy":  "{\"a\":7}\n",
		"domains.candidates_20251016T080000Z.jsonl.zst": "{\"a\":8}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	err := ReadFiles(dir, func(k Kept) bool {
		got = append(got, fmt.Sprintf("%s:%d %s", filepath.Base(k.File), k.Line, k.Value))
		return true
	})
	want := []string{
		"domains.candidates_20251016T080000Z.jsonl:1 {\"a\":1}",
		"domains.candidates_20251016T080000Z.jsonl:2 {\"a\":2}",
		"domains.candidates_20251016T080000Z_1.jsonl:1 {\"a\":3}",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

func TestIdentityOf(t *testing.T) {
	for text, want := range map[string]Identity{
		`{"canonical_fqdn":"a.com","seed_registrable":"b.com","typostream":{"id":"x","seed":"www.b.com"}}`: {"x", "a.com", "www.b.com"},
		`{"canonical_fqdn":"a.com","seed_registrable":"b.com"}`:                                            {"", "a.com", "b.com"},
		`{"fqdn":"a.com"}`:         {},
		`[]`:                       {},
		`{"canonical_fqdn":["x"]}`: {},
		``:                         {},
	} {
		if got, ok := IdentityOf([]byte(text)); got != want || ok != (want != Identity{}) {
			t.Errorf("%s is of %+v, %v", text, got, ok)
		}
	}
}
