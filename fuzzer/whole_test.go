//go:build !race

package fuzzer

import "testing"

// The tests of this file go through millions of names in one goroutine: there is
// nothing in them that could race, and under the race detector they take minutes.

// Every profile keeps the promises in every kind of seed; of full the beginning
// is looked at.
func TestRankedProfiles(t *testing.T) {
	for _, domain := range []string{"example.com", "www.my-bank.co.uk", "xn--mnchen-3ya.de", "sbi.bank.in", "myshop.github.io", "x.pl"} {
		seed := mustSeed(t, domain)
		for _, profile := range []string{StandardName, WideName, FullName} {
			options, _ := RankProfile(profile)
			if profile == FullName {
				options.Limit = 2 * WideLimit
			}
			checkRanked(t, seed, Rank(seed, options), options.Limit)
		}
	}
}

// Without a limit Len is a bound, and the stream ends by itself.
func TestRankFull(t *testing.T) {
	seed := mustSeed(t, "ab.com")
	p := Rank(seed, RankOptions{Algorithms: []Algorithm{Omission, Homoglyph, TLDSwap, Dictionary}, Model: tinyModel(t)})
	list := checkRanked(t, seed, p, 0)
	if n := p.Len(); len(list) == 0 || n < len(list) {
		t.Errorf("%d names, Len %d", len(list), n)
	}
}

// Full is everything: what any algorithm makes by itself is in it.
func TestRankFullHoldsEverything(t *testing.T) {
	for _, domain := range []string{"ab.com", "my-bank.co.uk", "sbi.bank.in", "forum.4chan.org", "löwe.de"} {
		seed := mustSeed(t, domain)
		full := map[string]bool{}
		for v := range Rank(seed, RankOptions{Model: tinyModel(t)}).All() {
			full[v.FQDN] = true
		}
		for _, a := range Algorithms() {
			pass := Pass{Name: "alone", Algorithms: []Algorithm{a}, Words: GeneralWords(), Suffixes: CommonSuffixes()}
			missing := 0
			for v := range Permute(seed, pass).All() {
				if !full[v.FQDN] {
					if missing == 0 {
						t.Errorf("%s: %s is not in full", a, v.FQDN)
					}
					missing++
				}
			}
			if missing > 1 {
				t.Errorf("%s of %s: %d names are not in full", a, domain, missing)
			}
		}
	}
}
