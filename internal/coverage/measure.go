package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"github.com/typostream/typostream/fuzzer"
)

// sizes are the numbers of names a seed at which recall is told.
var sizes = []int{1000, 5000, 20000, 50000, 100000}

// missedFrom is the number of names a seed beyond which a squat counts as missed for -missed.
const missedFrom = 50000

// report is what was measured.
type report struct {
	brands   int
	dnstwist int // names of the dnstwist profile in total
	ranked   int // names of ours, at the largest size
	results  []result
}

// result is one squat with the places at which it was generated, from 1; 0 is never.
type result struct {
	squat
	ours, dnstwist int
}

// measure generates for every brand with a model that knows nothing of it.
func measure(ctx context.Context, list squatList) (report, error) {
	seeds := list.seeds()
	reports := make([]report, len(seeds))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, seed := range seeds {
		group.Go(func() error {
			reports[i] = measureSeed(list, seed)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return report{}, err
	}
	total := report{brands: len(seeds)}
	for _, r := range reports {
		total.dnstwist += r.dnstwist
		total.ranked += r.ranked
		total.results = append(total.results, r.results...)
	}
	return total, nil
}

func measureSeed(list squatList, seed fuzzer.Seed) report {
	places := map[string]*[2]int{}
	for _, s := range list.squats {
		if s.seed == seed {
			places[s.name] = &[2]int{}
			if registrable := fuzzer.Registrable(s.name); registrable != "" {
				places[registrable] = &[2]int{}
			}
		}
	}
	mark := func(which int, p *fuzzer.Permutations) int {
		n := 0
		for v := range p.All() {
			n++
			if place := places[v.FQDN]; place != nil && place[which] == 0 {
				place[which] = n
			}
		}
		return n
	}
	var r report
	model := fuzzer.CountPairs(list.without(seed.Label))
	r.ranked = mark(0, fuzzer.Rank(seed, fuzzer.RankOptions{Model: model, Limit: sizes[len(sizes)-1]}))
	r.dnstwist = mark(1, fuzzer.PermuteDNSTwist(seed, fuzzer.DNSTwist(fuzzer.GeneralWords(), fuzzer.CommonSuffixes())))
	for _, s := range list.squats {
		if s.seed == seed {
			best := *places[s.name]
			if other := places[fuzzer.Registrable(s.name)]; other != nil {
				best = [2]int{first(best[0], other[0]), first(best[1], other[1])}
			}
			r.results = append(r.results, result{s, best[0], best[1]})
		}
	}
	return r
}

// first returns the earlier of two places.
func first(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// print writes the table, and with missed what was not found within 50,000 names.
func (r report) print(w io.Writer, missed bool) error {
	sources := map[string][]result{}
	for _, res := range r.results {
		sources[res.source] = append(sources[res.source], res)
	}
	fmt.Fprintf(w, "%d brands; dnstwist profile: %d names a seed on average; ours: %d at the largest size\n",
		r.brands, r.dnstwist/max(1, r.brands), r.ranked/max(1, r.brands))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "source\tsquats\tdnstwist\t")
	for _, size := range sizes {
		fmt.Fprintf(table, "%d\t", size)
	}
	fmt.Fprintln(table)
	for _, source := range slices.Sorted(maps.Keys(sources)) {
		row(table, source, sources[source])
	}
	row(table, "total", r.results)
	if err := table.Flush(); err != nil || !missed {
		return err
	}
	for _, res := range r.results {
		if res.ours == 0 || res.ours > missedFrom {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", res.source, res.seed.FQDN, res.name, res.ours, res.dnstwist)
		}
	}
	return nil
}

func row(w io.Writer, name string, results []result) {
	count := func(hit func(result) bool) string {
		n := 0
		for _, res := range results {
			if hit(res) {
				n++
			}
		}
		return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(max(1, len(results))))
	}
	fmt.Fprintf(w, "%s\t%d\t%s\t", name, len(results), count(func(res result) bool { return res.dnstwist > 0 }))
	for _, size := range sizes {
		fmt.Fprintf(w, "%s\t", count(func(res result) bool { return res.ours > 0 && res.ours <= size }))
	}
	fmt.Fprintln(w)
}
