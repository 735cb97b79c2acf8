//go:build !race

// The race detector has memory of its own, and allocations that are none of the package's.

package fuzzer

import (
	"testing"
)

// Two allocations a name are the most in any profile.
func TestAllocations(t *testing.T) {
	for _, domain := range []string{"example.com", "microsoftonline.com", "my-bank.co.uk"} {
		seed := mustSeed(t, domain)
		ranked := func(limit int) func() *Permutations {
			return func() *Permutations { return Rank(seed, RankOptions{Limit: limit}) }
		}
		for _, profile := range []struct {
			name string
			make func() *Permutations
		}{
			{"dnstwist", func() *Permutations { return PermuteDNSTwist(seed, DNSTwist(nil, nil)) }},
			{"permute", func() *Permutations { return Permute(seed, Standard(GeneralWords(), CommonSuffixes())) }},
			{"contract", func() *Permutations { return Permute(seed, ContractPasses(seed, Lists{})...) }},
			{"standard", ranked(StandardLimit)},
			{"wide", ranked(WideLimit)},
			{"full", ranked(4 * WideLimit)},
		} {
			n := 0
			spent := testing.AllocsPerRun(1, func() {
				n = 0
				for range profile.make().All() {
					n++
				}
			})
			if per := spent / float64(n); n == 0 || per > 2 {
				t.Errorf("%s, %s: %.2f allocations for each of %d names", domain, profile.name, per, n)
			} else {
				t.Logf("%s, %s: %.2f allocations for each of %d names", domain, profile.name, per, n)
			}
		}
	}
}

// A stream of the full profile keeps at most 64 octets a name in memory,
// garbage and the plan of the ranking included, over what the package has
// loaded before.
func TestPeakMemory(t *testing.T) {
	const most = 64
	for range Rank(mustSeed(t, "example.com"), RankOptions{Limit: 1}).All() {
	}
	before := liveHeap()
	peak, n := before, 0
	for range Rank(mustSeed(t, "microsoftonline.com"), RankOptions{}).All() {
		if n++; n%10_000 == 0 {
			peak = max(peak, heapInUse())
		}
	}
	per := float64(peak-before) / float64(n)
	if n < 1_000_000 || per > most {
		t.Errorf("%.1f octets for each of %d names, at most %d are allowed", per, n, most)
	}
	t.Logf("%.1f octets for each of %d names", per, n)
}
