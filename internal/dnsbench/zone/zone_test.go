package zone_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/typostream/typostream/internal/dnsbench/zone"
)

func TestNamesDifferAndNest(t *testing.T) {
	const n = 200_000
	names := zone.Names(n)
	seen := make(map[string]bool, n)
	for _, name := range names {
		if seen[name] {
			t.Fatalf("%s is there twice", name)
		}
		seen[name] = true
	}
	if len(seen) != n {
		t.Fatalf("%d names, want %d", len(seen), n)
	}
	if short := zone.Names(1000); !slices.Equal(short, names[:1000]) {
		t.Error("a short list is no prefix of a long one")
	}
}

func TestShares(t *testing.T) {
	registered, bare, queries := 0, 0, 0
	names := zone.Names(200_000)
	for _, name := range names {
		queries += zone.Queries(name)
		r, ok := zone.Of(name)
		if !ok {
			if r.NS != nil || r.A != nil || r.AAAA != nil || r.MX != nil {
				t.Fatalf("%s does not exist and has %+v", name, r)
			}
			continue
		}
		registered++
		if len(r.A) == 0 {
			bare++
		}
		check(t, name, r)
	}
	if share := float64(registered) / float64(len(names)); share < 0.049 || share > 0.051 {
		t.Errorf("%.4f of the names are registered, want 0.05", share)
	}
	if share := float64(bare) / float64(registered); share < 0.09 || share > 0.11 {
		t.Errorf("%.3f of the registered names have no A record, want 0.10", share)
	}
	if want := len(names) + 3*registered; queries != want {
		t.Errorf("%d queries, want %d", queries, want)
	}
}

func check(t *testing.T, name string, r zone.Records) {
	t.Helper()
	if len(r.NS) == 0 {
		t.Errorf("%s has no NS record", name)
	}
	for _, list := range [][]string{r.NS, r.A, r.AAAA, r.MX} {
		if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%s: %q is not sorted, or repeats", name, list)
		}
	}
	for _, address := range slices.Concat(r.A, r.AAAA) {
		if a, err := netip.ParseAddr(address); err != nil || a.String() != address {
			t.Errorf("%s: %q is no address in its canonical form", name, address)
		}
	}
}

// Other programs have to agree on what is in the zone, today and tomorrow.
func TestOfStaysTheSame(t *testing.T) {
	var found []string
	for _, name := range zone.Names(100) {
		if r, ok := zone.Of(name); ok {
			found = append(found, name)
			found = append(found, slices.Concat(r.NS, r.A, r.AAAA, r.MX)...)
		}
	}
	want := []string{
		"fedexaaaa.co.uk", "ns1.dns2268.example", "ns2.dns2268.example", "198.18.146.124", "198.18.146.125", "2001:2::2577:a927", "mx.mail2268.example",
		"dropboxpsla.in", "ns1.dns3010.example", "ns2.dns3010.example", "198.18.211.2", "mx.mail3010.example",
		"microsoftonlinepsla.ch", "ns1.dns4612.example", "ns2.dns4612.example", "198.18.125.94", "mx.mail4612.example",
		"outlookpsla.fr", "ns1.dns4994.example", "ns2.dns4994.example", "198.18.58.60", "198.18.58.61", "2001:2::9b6d:73a3", "mx.mail4994.example",
	}
	if !slices.Equal(found, want) {
		t.Errorf("got  %q\nwant %q", found, want)
	}
}

// Nothing is below what does not exist, and everything above what does exists too.
func TestTreeHolds(t *testing.T) {
	below := 0
	for _, domain := range zone.Names(2000) {
		_, registered := zone.Of(domain)
		for _, name := range []string{"www." + domain, "a.b." + domain} {
			if _, ok := zone.Of(name); ok != registered {
				t.Errorf("%s exists: %t, and %s: %t", name, ok, domain, registered)
			} else if ok {
				below++
			}
		}
		for up := zone.Suffix(domain); up != ""; up = zone.Suffix(up) {
			if _, ok := zone.Of(up); !ok {
				t.Errorf("%s does not exist", up)
			}
		}
	}
	if _, ok := zone.Of(""); !ok || below == 0 {
		t.Errorf("the root exists: %t; %d names below a domain", ok, below)
	}
}

func TestSuffix(t *testing.T) {
	for name, want := range map[string]string{"a.co.uk": "co.uk", "uk": "", "": ""} {
		if got := zone.Suffix(name); got != want {
			t.Errorf("Suffix(%q) = %q, want %q", name, got, want)
		}
	}
}
