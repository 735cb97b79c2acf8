package fuzzer

import (
	"maps"
	"slices"
	"strings"
)

// family is a pattern with the factors it is made of, in the order of the text.
// The last factor is the suffix.
type family struct {
	cost    int
	hyphen  []bool // whether a hyphen stands before the factor
	factors []*factor
	brand   int   // which factor is the brand
	plain   bool  // nothing stands beside the brand
	least   []int // the lowest cost of the factors from i on
	most    []int
}

// whole is a family of the names that one algorithm makes by itself.
type whole struct {
	algorithm Algorithm
	cost      int
	names     int // how many it makes, repeats included
}

// builder makes the families of a seed.
type builder struct {
	model   *Model
	seed    Seed
	options RankOptions
	region  string
	words   map[string]*factor // by side
	runs    map[string]*factor // by class
	suffix  map[string]*factor // by group
	brand   *factor
	edits   map[editKey]*factor
	list    *formList
	priors  map[string]float64 // of suffixes
}

// editKey is a class of edits, and whether the brand stands alone.
type editKey struct {
	class string
	alone bool
}

func newBuilder(seed Seed, options RankOptions) *builder {
	b := &builder{
		model: options.Model, seed: seed, options: options, region: "/" + region(seed),
		words: map[string]*factor{}, runs: map[string]*factor{}, suffix: map[string]*factor{}, edits: map[editKey]*factor{},
		list: newFormList(seed, options.Algorithms, false), priors: priorSuffixes(&options.Model.weights),
	}
	b.brand = newFactor([]token{{text: seed.Label, idn: !isASCII(seed.Label)}})
	return b
}

func (b *builder) has(a Algorithm) bool { return slices.Contains(b.options.Algorithms, a) }

// families returns the patterns of the model with their factors: those that
// were counted, and those whose sides were.
func (b *builder) families() []family {
	var list []family
	chances := b.patterns()
	for _, pattern := range slices.Sorted(maps.Keys(chances)) {
		if !b.has(Dictionary) && len(pattern) > 1 || pattern == "B" && !b.has(TLDSwap) {
			continue
		}
		cost := costOf(chances[pattern])
		if cost > maxCost {
			continue
		}
		if f, ok := b.family(pattern, cost); ok && f.cost+f.least[0] <= maxCost {
			list = append(list, f)
		}
	}
	if f, ok := b.typos(); ok {
		list = append(list, f)
	}
	return list
}

// patterns returns the chances of all patterns. What a pattern is made of, two
// sides and a brand or an edit, tells how likely it is where it was not counted.
func (b *builder) patterns() map[string]float64 {
	chances := map[string]float64{}
	contexts := []string{"pattern", "pattern" + b.region}
	lefts, rights := b.sides("left"), b.sides("right")
	for _, brand := range brandClasses {
		class := b.model.weights.Sides * b.model.prob(brand, 0, "brand", "brand"+b.region)
		for left, p := range lefts {
			for right, q := range rights {
				if base := class * p * q; costOf(base) <= maxCost {
					pattern := strings.TrimSuffix(strings.TrimPrefix(left+" "+brand+" "+right, noSide+" "), " "+noSide)
					chances[pattern] = b.model.prob(pattern, base, contexts...)
				}
			}
		}
	}
	for _, pattern := range b.model.keys("pattern") {
		if _, known := chances[pattern]; !known && !strings.ContainsAny(pattern[:1], "?@!") {
			chances[pattern] = b.model.prob(pattern, 0, contexts...)
		}
	}
	return chances
}

// sides returns the chances of what may stand on one side of the brand.
func (b *builder) sides(side string) map[string]float64 {
	chances := map[string]float64{}
	for _, key := range b.model.keys("side/" + side) {
		if key != unseenKey {
			chances[key] = b.model.prob(key, 0, "side", "side/"+side, "side/"+side+b.region)
		}
	}
	return chances
}

// part returns the factor of a unit of a pattern; nil if there is no such unit.
func (b *builder) part(class, side string, alone bool) *factor {
	switch class {
	case "B", "E", "A", "I":
		return b.forms(class, alone)
	case "w":
		return b.wordsOf(side)
	}
	return b.runsOf(class)
}

// affordable reports whether any name of a pattern costs no more than the
// greatest cost. Most patterns that are made of sides have none.
func (b *builder) affordable(pattern string, cost int) bool {
	side, alone := "left", len(pattern) == 1
	for class := range strings.FieldsSeq(pattern) {
		if class == "-" {
			continue
		}
		part := b.part(class, side, alone)
		if part == nil || len(part.tokens) == 0 {
			return false
		}
		if cost += part.lowest; cost > maxCost {
			return false
		}
		if isBrand(class) {
			side = "right"
		}
	}
	return true
}

func (b *builder) family(pattern string, cost int) (f family, ok bool) {
	if !b.affordable(pattern, cost) {
		return f, false
	}
	f = family{cost: cost, brand: -1, plain: len(pattern) == 1}
	side, hyphen := "left", false
	for class := range strings.FieldsSeq(pattern) {
		if class == "-" {
			hyphen = true
			continue
		}
		f.factors, f.hyphen = append(f.factors, b.part(class, side, f.plain)), append(f.hyphen, hyphen)
		hyphen = false
		if isBrand(class) {
			f.brand, side = len(f.factors)-1, "right"
		}
	}
	f.factors, f.hyphen = append(f.factors, b.suffixesOf(group(pattern))), append(f.hyphen, false)
	if f.brand < 0 || hyphen {
		return f, false
	}
	return newFamily(f)
}

// newFamily completes a family; ok is false when a factor has nothing to offer.
func newFamily(f family) (_ family, ok bool) {
	if slices.ContainsFunc(f.factors, func(part *factor) bool { return len(part.tokens) == 0 }) {
		return f, false
	}
	f.least, f.most = make([]int, len(f.factors)+1), make([]int, len(f.factors)+1)
	for i := len(f.factors) - 1; i >= 0; i-- {
		f.least[i] = f.least[i+1] + f.factors[i].lowest
		f.most[i] = f.most[i+1] + f.factors[i].highest()
	}
	return f, true
}
