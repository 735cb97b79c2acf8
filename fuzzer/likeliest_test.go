package fuzzer

import (
	"slices"
	"testing"
)

func TestLikeliest(t *testing.T) {
	seed := mustSeed(t, "my-bank.co.uk")
	p := Permute(seed, ContractPasses(seed, Lists{})...)
	all := map[string]Variant{}
	for v := range p.All() {
		all[v.FQDN] = v
	}
	for _, n := range []int{1, 500, p.Len() - 1} {
		cut := Likeliest(p, n, RankOptions{})
		got := names(cut)
		if len(got) != n || cut.Len() != n {
			t.Fatalf("%d of %d: %d names, %d counted", n, p.Len(), len(got), cut.Len())
		}
		seen := map[string]bool{}
		last := 1.0
		for v := range cut.All() {
			was, known := all[v.FQDN]
			if !known || seen[v.FQDN] || v.Likelihood > last {
				t.Fatalf("%d: %s: known %v, repeated %v, likelihood %g after %g", n, v.FQDN, known, seen[v.FQDN], v.Likelihood, last)
			}
			if v.Algorithm != was.Algorithm || !slices.Equal(v.Algorithms(), was.Algorithms()) || !slices.Equal(v.Passes, was.Passes) {
				t.Fatalf("%s: %+v was %+v", v.FQDN, v, was)
			}
			seen[v.FQDN], last = true, v.Likelihood
		}
		if n == 500 && !slices.Equal(got, names(Likeliest(p, n, RankOptions{}))) {
			t.Fatalf("%d: not deterministic", n)
		}
	}
	// The first of the ranked profile that a pass has is the first here.
	first := names(Likeliest(p, 1, RankOptions{}))[0]
	for v := range Rank(seed, RankOptions{}).All() {
		if _, has := all[v.FQDN]; has {
			if v.FQDN != first {
				t.Errorf("first is %s, want %s", first, v.FQDN)
			}
			break
		}
	}
	for _, n := range []int{0, -1, p.Len(), p.Len() + 1} {
		if Likeliest(p, n, RankOptions{}) != p {
			t.Errorf("%d of %d are not all", n, p.Len())
		}
	}
}
