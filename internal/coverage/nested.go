package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/typostream/typostream/fuzzer"
)

// folds is how many groups of brands the outer validation has.
const folds = 5

// search says among what weights are chosen.
type search struct {
	names []string // of the weights that may change
	limit int      // names a seed
}

// wholeSearch looks at all weights and as many names as the wide profile has.
func wholeSearch() search {
	weights := fuzzer.DefaultWeights()
	return search{names: weights.Names(), limit: fuzzer.WideLimit}
}

// enough is by how much a weight has to better the score to be changed: below
// it is noise.
const enough = 0.002

// nested chooses the weights of the model anew, by the brands of four groups in
// five, and tells what they find for the brands of the fifth, beside the default
// weights. No brand has a say in the weights or counts that it is measured with.
// At last it chooses by all brands.
func (c search) nested(ctx context.Context, w io.Writer, list squatList) error {
	seeds, evidence := list.seeds(), list.evidence()
	var chosen, usual []result
	upTo := slices.DeleteFunc(slices.Clone(sizes), func(size int) bool { return size > c.limit })
	for fold := range folds {
		outside := map[string]bool{}
		for i, seed := range seeds {
			if i%folds == fold {
				outside[seed.Label] = true
			}
		}
		if len(outside) == 0 {
			continue
		}
		inner := squatList{squats: list.squatsIf(func(s squat) bool { return !outside[s.seed.Label] })}
		weights, err := c.choose(ctx, inner)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "group %d: %s\n", fold+1, weights)
		for _, choice := range []struct {
			weights fuzzer.Weights
			into    *[]result
		}{{weights, &chosen}, {fuzzer.DefaultWeights(), &usual}} {
			results, err := c.validate(ctx, list, evidence, choice.weights, func(s fuzzer.Seed) bool { return outside[s.Label] })
			if err != nil {
				return err
			}
			*choice.into = append(*choice.into, results...)
		}
	}
	fmt.Fprintf(w, "\nWith the weights that the other groups chose\n")
	if err := (report{results: chosen}).table(w, upTo, ours); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWith the default weights\n")
	if err := (report{results: usual}).table(w, upTo, ours); err != nil {
		return err
	}
	weights, err := c.choose(ctx, list)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nChosen by all brands: %s\n", weights)
	return err
}

// choose betters one weight after the other by halving and doubling it, as long
// as that betters the score, in a single round.
func (c search) choose(ctx context.Context, list squatList) (fuzzer.Weights, error) {
	all := func(fuzzer.Seed) bool { return true }
	best, evidence := fuzzer.DefaultWeights(), list.evidence()
	results, err := c.validate(ctx, list, evidence, best, all)
	if err != nil {
		return best, err
	}
	top := c.score(results)
	for _, name := range c.names {
		for _, factor := range []float64{0.5, 2} {
			for {
				tried := best
				if !tried.Scale(name, factor) {
					break
				}
				results, err := c.validate(ctx, list, evidence, tried, all)
				if err != nil {
					return best, err
				}
				if s := c.score(results); s < top+enough {
					break
				} else {
					best, top = tried, s
				}
			}
		}
	}
	return best, nil
}

// score is how early squats are found: for each source the mean of the bits by
// which places are before twice the limit, and of these the mean of logarithms.
func (c search) score(results []result) float64 {
	names, groups := report{results: results}.bySource()
	sum := 0.0
	for _, name := range names[:len(names)-1] {
		bits := 0.0
		for _, r := range groups[name] {
			if r.ours > 0 {
				bits += math.Log2(float64(2*c.limit) / float64(r.ours))
			}
		}
		sum += math.Log(max(bits, 1) / float64(len(groups[name])))
	}
	return sum / float64(len(names)-1)
}

// validate finds the places of the squats of some brands, each with the counts
// of all other brands of the evidence.
func (c search) validate(ctx context.Context, list squatList, evidence *fuzzer.Evidence, weights fuzzer.Weights, some func(fuzzer.Seed) bool) ([]result, error) {
	var seeds []fuzzer.Seed
	for _, seed := range list.seeds() {
		if some(seed) {
			seeds = append(seeds, seed)
		}
	}
	parts := make([][]result, len(seeds))
	err := inParallel(ctx, len(seeds), func(i int) {
		squats := list.of(seeds[i])
		at, _ := places(squats, ranked(seeds[i], evidence.Count(weights, others(seeds[i])), c.limit))
		for j, s := range squats {
			parts[i] = append(parts[i], result{squat: s, ours: at[j]})
		}
	})
	var results []result
	for _, part := range parts {
		results = append(results, part...)
	}
	return results, err
}
