package main

import (
	"iter"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/pipeline"
)

// permuteFunc generates a seed's look-alikes; a positive limit keeps so many of
// them, the likeliest.
type permuteFunc func(seed fuzzer.Seed, limit int) *fuzzer.Permutations

// seedPlan is a seed with what is to be generated of it.
type seedPlan struct {
	seed    pipeline.Seed
	permute func(fuzzer.Seed) *fuzzer.Permutations
}

// plans yields the good seeds of an input with their limits. Without a budget
// they come as they are read. With one all are read first; then each seed in
// turn may have an equal share, rounded down, of what the seeds before it have
// left, so that what a seed does not need goes to those that follow.
func (t *terminal) plans(in seedInput, tally *inputTally, s *settings, permute permuteFunc) iter.Seq[seedPlan] {
	if s.Budget == 0 {
		return func(yield func(seedPlan) bool) {
			for seed := range t.seeds(in, tally) {
				if !yield(seedPlan{seed, func(seed fuzzer.Seed) *fuzzer.Permutations { return permute(seed, s.Limit) }}) {
					return
				}
			}
		}
	}
	return func(yield func(seedPlan) bool) {
		var seeds []pipeline.Seed
		for seed := range t.seeds(in, tally) {
			seeds = append(seeds, seed)
		}
		if tally.broken != nil {
			return
		}
		if len(seeds) > s.Budget {
			tally.broken = usagef("give at least one name a seed", "%s: must be no less than the number of seeds, %d (got %d)",
				s.sources["budget"].name, len(seeds), s.Budget)
			return
		}
		left := s.Budget
		for i, seed := range seeds {
			share := left / (len(seeds) - i)
			if s.Limit > 0 {
				share = min(share, s.Limit)
			}
			names := permute(seed.Seed, share)
			left -= min(share, names.Len())
			if !yield(seedPlan{seed, func(fuzzer.Seed) *fuzzer.Permutations { return names }}) {
				return
			}
		}
	}
}
