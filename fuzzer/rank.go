package fuzzer

import (
	"math"
	"slices"
	"sync"
)

// Names and sizes of the ranked profiles. Standard's name is [StandardName].
const (
	WideName      = "wide"
	FullName      = "full"
	StandardLimit = 5_000
	WideLimit     = 50_000
)

// RankOptions choose what [Rank] returns. The zero value is the full profile.
type RankOptions struct {
	Name       string      // goes into Variant.Passes: the profile's name; "" is "full"
	Limit      int         // at most so many names; 0 or less is no limit
	Algorithms []Algorithm // nil means all; without Dictionary no words, without TLDSwap no other suffixes
	Words      []string    // besides those of the model, as ReadWords returns them; others are passed over
	Suffixes   []string    // besides those of the model, as ReadSuffixes returns them; what is no name is passed over
	Model      *Model      // nil means DefaultModel
}

// RankProfile returns the options of a ranked profile: standard (at most
// [StandardLimit] names a seed), wide ([WideLimit]) or full. ok is false for any other name.
func RankProfile(name string) (options RankOptions, ok bool) {
	switch name {
	case StandardName:
		return RankOptions{Name: name, Limit: StandardLimit}, true
	case WideName:
		return RankOptions{Name: name, Limit: WideLimit}, true
	case FullName:
		return RankOptions{Name: name}, true
	}
	return RankOptions{}, false
}

// Rank returns the look-alikes of seed, the likeliest first: the brand or an
// edit of it, with or without words beside it, under its own or another suffix.
// How likely the parts are says the model; docs/RANKING.md explains it. The
// seed's subdomain stays in front, as the algorithms keep it; www does not. No name comes
// twice, nor the seed, nor a name inside its own registrable domain. The order
// depends on the seed, the options and the model alone.
//
// Without a limit everything comes: last, under one likelihood, what each
// algorithm by itself makes of the embedded lists and the model does not expect
// ([RankOptions.Algorithms]; nil is all of [Algorithms]).
//
// Names are made as they are asked for. A stream keeps 16 octets of hash for
// each name it has yielded, in tables of at most 40 octets a name, and nothing
// else that grows.
func Rank(seed Seed, options RankOptions) *Permutations {
	seed = seed.withoutWWW()
	if options.Model == nil {
		options.Model = DefaultModel()
	}
	rest := options.Algorithms
	if rest == nil {
		options.Algorithms, rest = rankedAlgorithms(), Algorithms()
	}
	if options.Name == "" {
		options.Name = FullName
	}
	options.Suffixes = Pass{Suffixes: options.Suffixes}.clone().Suffixes
	options.Words = slices.DeleteFunc(slices.Clone(options.Words), func(w string) bool {
		clean, reason := parseWord(w)
		return reason != "" || clean != w
	})
	options.Algorithms = slices.Clone(options.Algorithms)
	b := newBuilder(seed, options)
	r := &ranking{
		seed: seed, limit: max(0, options.Limit), families: b.families(), wholes: b.wholes(), passes: []string{options.Name},
		suffixes: map[string]bool{}, rest: slices.Clone(rest), words: options.Words, further: options.Suffixes,
	}
	for _, f := range b.suffix {
		for _, t := range f.tokens {
			r.suffixes[t.text] = true
		}
	}
	r.count = sync.OnceValue(r.measure)
	r.inverse = sync.OnceValue(func() *inverse { return newInverse(seed, b) })
	return &Permutations{seed: seed, ranked: r}
}

// ranking is the plan by which names are made in order: families of factors
// with costs. It does not change, and is safe for concurrent use.
type ranking struct {
	seed     Seed
	limit    int // 0 is none
	families []family
	wholes   []whole
	passes   []string
	suffixes map[string]bool

	rest           []Algorithm // whose own names end the ranking
	words, further []string    // of the options

	count   func() int
	inverse func() *inverse
}

// likelihood turns a cost back into a probability.
func likelihood(cost int) float64 { return math.Exp2(-float64(cost) / costUnit) }

// size is the number of names, or without a limit a bound to it.
func (r *ranking) size() int { return r.count() }

func (r *ranking) measure() int {
	if r.limit > 0 {
		n := 0
		for range r.stream {
			n++
		}
		return n
	}
	total := 0
	g := newGenerator(r.seed)
	r.remainder(g, func(Algorithm, []byte) bool { total++; return true })
	for i := range r.families {
		total += r.families[i].bound()
	}
	for _, w := range r.wholes {
		total += w.names
	}
	return total
}

// remainder yields the names that each algorithm makes by itself of the embedded
// lists and those of the options. It returns false when yield did.
func (r *ranking) remainder(g *generator, yield func(a Algorithm, name []byte) bool) bool {
	for _, word := range MergeLists(r.words, GeneralWords(), HighRiskWords()) {
		g.words = append(g.words, []rune(displayWord(word)))
	}
	g.suffixes = MergeLists(r.further, WideSuffixes(), HomeSuffixes(Country(r.seed)))
	for _, a := range r.rest {
		if !g.run(a, func(name []byte) bool { return yield(a, name) }) {
			return false
		}
	}
	return true
}

// bound counts the combinations of a family within the greatest cost.
func (f *family) bound() int {
	if f.cost > maxCost {
		return 0
	}
	counts := make([]int, maxCost+1) // combinations by cost
	counts[f.cost] = 1
	for _, part := range f.factors {
		next := make([]int, maxCost+1)
		for cost, n := range counts {
			for _, more := range part.costs {
				if n > 0 && cost+more <= maxCost {
					next[cost+more] += n * len(part.at(more))
				}
			}
		}
		counts = next
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// rankedAlgorithms are those whose edits the ranked profiles write the brand
// with, or that make whole names. Words around the brand, other suffixes and
// hosts are not edits: they are parts of their own.
func rankedAlgorithms() []Algorithm {
	return append(DNSTwistAlgorithms(), Edit, DoubleReplacement, Leet, AllOccurrences, VowelShuffle, Sound,
		Misspelling, NumberWord, WordOrder, SingularPlural, Dehyphenation, Confusable, WholeScript, Diacritic, BoundaryHyphen)
}
