package fuzzer

import (
	"slices"
	"strings"
	"testing"
)

// Oddities of dnstwist that its profile keeps, and what makes up for each
// outside the profile.
func TestOddities(t *testing.T) {
	for _, c := range []struct {
		oddity    string
		domain    string
		dnstwists Algorithm
		missing   string // what dnstwist's algorithm does not make
		ours      Algorithm
	}{
		{"no key is added beside the last letter", "example.com", Insertion, "examplew.com", Edit},
		{"no hyphen but between two letters, no digit by other keys", "example.com", Insertion, "ex7ample.com", Edit},
		{"plural knows neither y → ies nor the last word", "citybank.com", Plural, "citiesbank.com", SingularPlural},
		{"plural makes no singular", "cars.com", Plural, "car.com", SingularPlural},
		{"a digit in the label ends the whole-script search", "bank24.com", Cyrillic, "ьапк24.com", WholeScript},
		{"a letter without look-alike in dnstwist's table ends it too", "rooms.com", Cyrillic, "гоомѕ.com", WholeScript},
		{"look-alikes change one or two letters, not all of a kind", "bonobono.com", Homoglyph, "b0n0b0n0.com", AllOccurrences},
	} {
		name, err := NormalizeFQDN(c.missing)
		if err != nil {
			t.Fatal(err)
		}
		theirs := names(PermuteDNSTwist(mustSeed(t, c.domain), Pass{Algorithms: []Algorithm{c.dnstwists}}))
		if slices.Contains(theirs, name) {
			t.Errorf("%s: dnstwist's %s makes %s", c.oddity, c.dnstwists, c.missing)
		}
		if !slices.Contains(alone(t, c.domain, c.ours, nil, nil), name) {
			t.Errorf("%s: %s of %s lacks %s", c.oddity, c.ours, c.domain, c.missing)
		}
	}
}

// dnstwist's tables of accented letters know exact suffixes only, so that .uk
// has none and .org.uk all. What registries take is looked up by the last label too.
func TestSecondLevelTables(t *testing.T) {
	accented := func(list []string) (n int) {
		for _, name := range list {
			if strings.Contains(name, acePrefix) {
				n++
			}
		}
		return n
	}
	for _, a := range []Algorithm{Confusable, WholeScript} {
		if n := accented(alone(t, "apple.org.uk", a, nil, nil)); n > 0 {
			t.Errorf("%s makes %d accented names under org.uk", a, n)
		}
	}
	if n := accented(names(PermuteDNSTwist(mustSeed(t, "apple.org.uk"), Pass{Algorithms: []Algorithm{Homoglyph}}))); n == 0 {
		t.Error("dnstwist's profile makes none, the oddity is gone")
	}
}

// The registry of the suffix at hand decides, not the seed's.
func TestEditsUnder(t *testing.T) {
	g := newGenerator(mustSeed(t, "apple.org.uk"))
	count := func(suffix string, a Algorithm) (n int) {
		g.editsUnder(suffix, a, func([]rune) bool { n++; return true })
		return n
	}
	for _, a := range []Algorithm{Confusable, WholeScript, Homoglyph} {
		wide, narrow := count("com", a), count("co.uk", a)
		if wide <= narrow || count("com", a) != wide {
			t.Errorf("%s: %d under com, %d under co.uk", a, wide, narrow)
		}
	}
	if count("org.uk", Confusable) != 0 {
		t.Error("org.uk takes no accents")
	}
}

// The dnstwist profile has dnstwist's algorithms only, whatever is asked.
func TestDNSTwistHasNoMore(t *testing.T) {
	seed := mustSeed(t, "example.com")
	if n := PermuteDNSTwist(seed, Pass{Algorithms: Algorithms()[numDNSTwist-1:]}).Len(); n != 0 {
		t.Errorf("%d names", n)
	}
	all := PermuteDNSTwist(seed, Pass{Algorithms: append([]Algorithm{Original}, Algorithms()...)})
	if plain := PermuteDNSTwist(seed, DNSTwist(nil, nil)); !slices.Equal(names(all), names(plain)) {
		t.Errorf("%d names, want %d", all.Len(), plain.Len())
	}
}

// Memory holds A-labels, so bits flip in them. dnstwist flips bits in the
// U-label, and so misses what becomes of the part in which Punycode says where
// the ü stands.
func TestBitsquatsOfIDNs(t *testing.T) {
	const domain, flipped = "xn--mnchen-3ya.de", "xn--mnchen-2ya.de"
	theirs := names(PermuteDNSTwist(mustSeed(t, domain), Pass{Algorithms: []Algorithm{Bitsquatting}}))
	ours := alone(t, domain, Bitsquatting, nil, nil)
	if slices.Contains(theirs, flipped) || !slices.Contains(ours, flipped) {
		t.Errorf("%s: dnstwist %v, ours %v", flipped, theirs, ours)
	}
	for _, name := range ours {
		flips := 0
		for i := range name {
			if d := name[i] ^ domain[i]; d != 0 && d&(d-1) == 0 {
				flips++
			}
		}
		if len(name) != len(domain) || flips != 1 {
			t.Errorf("%s is not one bit from %s", name, domain)
		}
	}
}

// Asked about a private suffix alone, dnstwist takes it for label and suffix at
// once and writes it twice: of github.io it makes bithub.io.github.io. To us
// such a name is a domain like any other, with the label github under io; the
// dnstwist profile starts from the same seed and has no use for the doubling.
func TestSuffixIsNotDoubled(t *testing.T) {
	seed := mustSeed(t, "github.io")
	for profile, p := range map[string]*Permutations{
		"dnstwist": PermuteDNSTwist(seed, DNSTwist(nil, nil)), "permute": Permute(seed, Standard(nil, nil)),
		"standard": Rank(seed, RankOptions{Limit: StandardLimit}),
	} {
		list := names(p)
		if !slices.Contains(list, "bithub.io") && !slices.Contains(list, "githubb.io") && !slices.Contains(list, "gihub.io") {
			t.Errorf("%s: no typo of github", profile)
		}
		for _, name := range list {
			if strings.HasSuffix(name, ".io.github.io") {
				t.Fatalf("%s: %s", profile, name)
			}
		}
	}
}

// dnstwist cuts names at the suffix list that its library brought; one from
// before 2025 knows no bank.in, and edits the suffix instead of the brand. Ours
// is x/net's, whose version the table of suffixes is held to.
func TestSuffixListIsCurrent(t *testing.T) {
	seed := mustSeed(t, "sbi.bank.in")
	if seed.Label != "sbi" || seed.PublicSuffix != "bank.in" {
		t.Fatalf("%+v", seed)
	}
	for _, name := range alone(t, "sbi.bank.in", Omission, nil, nil) {
		if !strings.HasSuffix(name, ".bank.in") {
			t.Errorf("%s edits the suffix", name)
		}
	}
}

// dnstwist's class takes an IPv4 address for a name with subdomain, label and
// TLD, and makes 1.2.34.com of 1.2.3.4. An address is nobody's brand.
func TestAddressesAreRefused(t *testing.T) {
	for _, address := range []string{"1.2.3.4", "192.0.2.1", "http://192.0.2.1/", "0x7f.1"} {
		if seed, err := ParseSeed(address); err == nil {
			t.Errorf("%s is the seed %+v", address, seed)
		}
	}
}
