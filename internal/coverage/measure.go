package main

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/typostream/typostream/fuzzer"
)

// sizes are the numbers of names a seed at which recall is told.
var sizes = []int{1000, 5000, 20000, 50000, 100000}

// report is what was measured.
type report struct {
	brands   int
	dnstwist int // names of the dnstwist profile in total
	results  []result
}

// result is one squat with the places at which it was generated, from 1; 0 is never.
type result struct {
	squat
	pattern  string // see fuzzer.Patterns
	dnstwist int
	ours     int // with counts of all other brands
	foreign  int // with counts of the brands of other sources
}

// measure generates for every brand with models that know nothing of it.
func measure(ctx context.Context, list squatList) (report, error) {
	seeds, evidence := list.seeds(), list.evidence()
	reports := make([]report, len(seeds))
	err := inParallel(ctx, len(seeds), func(i int) { reports[i] = measureSeed(list, evidence, seeds[i]) })
	total := report{brands: len(seeds)}
	for _, r := range reports {
		total.dnstwist += r.dnstwist
		total.results = append(total.results, r.results...)
	}
	return total, err
}

// inParallel calls f for 0 to n-1, on as many goroutines as there are processors.
func inParallel(ctx context.Context, n int, f func(i int)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			f(i)
			return nil
		})
	}
	return group.Wait()
}

func measureSeed(list squatList, evidence *fuzzer.Evidence, seed fuzzer.Seed) report {
	squats, sources := list.of(seed), list.sources()
	weights, limit := fuzzer.DefaultWeights(), sizes[len(sizes)-1]
	ours, _ := places(squats, ranked(seed, evidence.Count(weights, others(seed)), limit))
	foreign, _ := places(squats, ranked(seed, evidence.Count(weights, func(other fuzzer.Seed) bool {
		return other.Label != seed.Label && sources[other] != sources[seed]
	}), limit))
	dnstwist, n := places(squats, fuzzer.PermuteDNSTwist(seed, fuzzer.DNSTwist(fuzzer.GeneralWords(), fuzzer.CommonSuffixes())))
	names := make([]string, len(squats))
	for i, s := range squats {
		names[i] = s.name
	}
	r := report{dnstwist: n}
	for i, pattern := range fuzzer.Patterns(seed, names) {
		r.results = append(r.results, result{squats[i], pattern, dnstwist[i], ours[i], foreign[i]})
	}
	return r
}

func ranked(seed fuzzer.Seed, model *fuzzer.Model, limit int) *fuzzer.Permutations {
	return fuzzer.Rank(seed, fuzzer.RankOptions{Model: model, Limit: limit})
}

// places tells at which place each squat, or its registrable domain, is
// generated, 0 for never, and how many names are generated in all.
func places(squats []squat, p *fuzzer.Permutations) (at []int, names int) {
	wanted := map[string][]int{} // indexes of squats by name
	for i, s := range squats {
		registrable := fuzzer.Registrable(s.name)
		wanted[s.name] = append(wanted[s.name], i)
		if registrable != "" && registrable != s.name {
			wanted[registrable] = append(wanted[registrable], i)
		}
	}
	at = make([]int, len(squats))
	for v := range p.All() {
		names++
		for _, i := range wanted[v.FQDN] {
			if at[i] == 0 {
				at[i] = names
			}
		}
	}
	return at, names
}

// within counts the results whose place is no later than size.
func within(results []result, size int, place func(result) int) int {
	n := 0
	for _, r := range results {
		if at := place(r); at > 0 && at <= size {
			n++
		}
	}
	return n
}

// bySource groups results by source; the names are sorted, the total is last.
func (r report) bySource() (names []string, groups map[string][]result) {
	groups = map[string][]result{}
	for _, res := range r.results {
		if groups[res.source] == nil {
			names = append(names, res.source)
		}
		groups[res.source] = append(groups[res.source], res)
	}
	slices.Sort(names)
	groups["total"] = r.results
	return append(names, "total"), groups
}
