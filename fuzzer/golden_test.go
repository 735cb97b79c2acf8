package fuzzer

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// vector is one file of testdata/dnstwist: what dnstwist makes of a domain.
type vector struct {
	Input  string `json:"input"`
	Domain string `json:"domain"`
	Split  struct{ Subdomain, Domain, TLD string }
	Meta   struct {
		Dictionary    []string `json:"dictionary"`
		TLDDictionary []string `json:"tld_dictionary"`
		FuzzerOrder   []string `json:"fuzzer_order"`
	}
	Fuzzers      map[string][]string `json:"fuzzers"`
	Permutations []struct{ Domain, Fuzzer string }
}

func readVector(t testing.TB, path string) vector {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.NewDecoder(unzipped).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func vectorPaths(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("../testdata/dnstwist/*.json.gz")
	if err != nil || len(paths) != 39 {
		t.Fatalf("%d vectors (%v), want 39", len(paths), err)
	}
	// GOLDEN_EXTRA names a directory of further vectors in the same format,
	// for those who have dnstwist at hand.
	if extra := os.Getenv("GOLDEN_EXTRA"); extra != "" {
		more, err := filepath.Glob(filepath.Join(extra, "*.json.gz"))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, more...)
	}
	return paths
}

func TestDNSTwistParity(t *testing.T) {
	for _, path := range vectorPaths(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json.gz"), func(t *testing.T) {
			v := readVector(t, path)
			seed, err := ParseSeed(v.Input)
			if err != nil {
				t.Fatal(err)
			}
			if want := (Seed{v.Domain, v.Split.Subdomain, v.Split.Domain, v.Split.TLD}); seed != want {
				t.Fatalf("split %+v, want %+v", seed, want)
			}
			checkWhole(t, seed, v)
			for _, name := range v.Meta.FuzzerOrder {
				checkAlone(t, seed, v, name)
			}
		})
	}
}

// checkWhole holds a plain run against dnstwist's permutations: names, labels, order.
func checkWhole(t *testing.T, seed Seed, v vector) {
	t.Helper()
	p := PermuteDNSTwist(seed, DNSTwist(v.Meta.Dictionary, v.Meta.TLDDictionary))
	if p.Len() != len(v.Permutations) {
		t.Errorf("%d names, want %d", p.Len(), len(v.Permutations))
	}
	i := 0
	for got := range p.All() {
		if i >= len(v.Permutations) {
			t.Fatalf("surplus %s %s", got.Algorithm, got.FQDN)
		}
		if want := v.Permutations[i]; got.FQDN != want.Domain || got.Algorithm.String() != want.Fuzzer {
			t.Fatalf("name %d: %s %s, want %s %s", i, got.Algorithm, got.FQDN, want.Fuzzer, want.Domain)
		}
		for _, a := range got.Algorithms() {
			if _, found := slices.BinarySearch(v.Fuzzers[a.String()], got.FQDN); !found {
				t.Fatalf("%s: dnstwist's %s does not make it", got.FQDN, a)
			}
		}
		i++
	}
}

// checkAlone holds one algorithm by itself against dnstwist's.
func checkAlone(t *testing.T, seed Seed, v vector, name string) {
	t.Helper()
	algorithm, err := ParseAlgorithm(name)
	if err != nil {
		t.Fatal(err)
	}
	pass := DNSTwist(v.Meta.Dictionary, v.Meta.TLDDictionary)
	pass.Algorithms = []Algorithm{algorithm}
	var got []string
	for variant := range PermuteDNSTwist(seed, pass).All() {
		got = append(got, variant.FQDN)
	}
	if !slices.Equal(got, v.Fuzzers[name]) {
		t.Errorf("%s alone: %d names, want %d; surplus %v, missing %v", name, len(got), len(v.Fuzzers[name]),
			difference(got, v.Fuzzers[name]), difference(v.Fuzzers[name], got))
	}
}

// difference returns up to ten members of a that b lacks.
func difference(a, b []string) (only []string) {
	for _, s := range a {
		if !slices.Contains(b, s) && len(only) < 10 {
			only = append(only, s)
		}
	}
	return only
}

func TestCanonicalOrderIsDNSTwists(t *testing.T) {
	for _, path := range vectorPaths(t)[:1] {
		if v := readVector(t, path); !slices.Equal(v.Meta.FuzzerOrder, algorithmNames[:numDNSTwist]) {
			t.Errorf("order %v, want %v", algorithmNames[:numDNSTwist], v.Meta.FuzzerOrder)
		}
	}
}

// TestTables holds our tables against the ones read out of dnstwist.
func TestTables(t *testing.T) {
	data, err := os.ReadFile("../testdata/dnstwist/tables.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		ASCII     map[string][]string            `json:"glyphs_ascii"`
		Unicode   map[string][]string            `json:"glyphs_unicode"`
		BySuffix  map[string]map[string][]string `json:"glyphs_idn_by_tld"`
		Cyrillic  map[string]string              `json:"latin_to_cyrillic"`
		Keyboards map[string]map[string]string   `json:"keyboards"`
		Order     []string                       `json:"keyboards_order"`
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	checkGlyphs(t, "ASCII", glyphsASCII, want.ASCII)
	checkGlyphs(t, "Unicode", glyphsUnicode, want.Unicode)
	if len(glyphsBySuffix) != len(want.BySuffix) {
		t.Errorf("%d suffixes with a table, want %d", len(glyphsBySuffix), len(want.BySuffix))
	}
	for suffix, table := range want.BySuffix {
		checkGlyphs(t, suffix, glyphsBySuffix[suffix], table)
	}
	if len(cyrillicOf) != len(want.Cyrillic) {
		t.Errorf("%d Cyrillic look-alikes, want %d", len(cyrillicOf), len(want.Cyrillic))
	}
	for latin, cyrillic := range want.Cyrillic {
		if got := string(cyrillicOf[[]rune(latin)[0]]); got != cyrillic {
			t.Errorf("Cyrillic %s: %s, want %s", latin, got, cyrillic)
		}
	}
	for i, name := range want.Order {
		if len(keyboards[i]) != len(want.Keyboards[name]) {
			t.Errorf("%s: %d keys, want %d", name, len(keyboards[i]), len(want.Keyboards[name]))
		}
		for key, near := range want.Keyboards[name] {
			if got := keyboards[i][[]rune(key)[0]]; got != near {
				t.Errorf("%s %s: %s, want %s", name, key, got, near)
			}
		}
	}
}

func checkGlyphs(t *testing.T, name string, got glyphTable, want map[string][]string) {
	t.Helper()
	if got == nil || len(got) != len(want) {
		t.Errorf("%s: %d keys, want %d", name, len(got), len(want))
	}
	for key, glyphs := range want {
		if !slices.Equal(strings.Fields(got[key]), glyphs) {
			t.Errorf("%s %s: %s, want %v", name, key, got[key], glyphs)
		}
	}
}
