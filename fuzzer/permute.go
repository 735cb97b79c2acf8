package fuzzer

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Variant is one look-alike name.
type Variant struct {
	FQDN       string    // A-labels, lower case, no trailing dot
	Algorithm  Algorithm // the first that reaches the name, in the order of generation
	Passes     []string  // names of all passes that reach it, in the order given; shared, do not change
	Likelihood float64   // of the ranked profiles: rises and falls with the chance that a squatter takes the name; else 0

	algorithms []Algorithm // all that reach it, where they were noted
	ranked     *ranking    // what can tell them otherwise
}

// Algorithms returns all algorithms that reach the name, in canonical order.
// Where generation did not note them, as in the ranked profiles, they are found
// by taking the name apart, which costs some microseconds. The slice may be
// shared; do not change it.
func (v Variant) Algorithms() []Algorithm {
	switch {
	case v.algorithms != nil:
		return v.algorithms
	case v.ranked != nil:
		return v.ranked.algorithmsOf(v)
	}
	return []Algorithm{v.Algorithm}
}

// Permutations is the set of variants of one seed. Of passes it keeps a hash and
// eight octets per name, not the names. It is safe for concurrent use.
type Permutations struct {
	seed   Seed
	rules  rules
	steps  []step
	hash   [2]maphash.Seed
	index  map[nameKey]entry // of passes under our own rules
	ways   []way
	list   []Variant // sorted, in the dnstwist profile only
	ranked *ranking  // in the ranked profiles only
}

// rules tells our own rules from dnstwist's.
type rules uint8

const (
	ownRules rules = iota
	dnstwistRules
)

// step is one algorithm of one pass: the unit and order of generation.
type step struct {
	algorithm Algorithm
	pass      *Pass
	words     [][]rune // for Dictionary
}

// nameKey is a 128-bit hash of a name; its seeds are random, so nobody can
// choose names that collide.
type nameKey [2]uint64

// entry is what the index knows of a name.
type entry struct {
	first uint32 // ordinal of the raw name that was the first of its kind
	way   uint32 // which ways lead to it: an index of Permutations.ways
}

// Permute returns the variants of seed that the passes reach together, under
// our own rules: never the seed itself, no name twice, no bare ICANN suffix,
// nothing inside the seed's own registrable domain, and every algorithm and pass
// that reaches a name is kept. The order is that of the passes, in each that of
// its algorithms, in each that of generation.
//
// All names are generated once here, to count them and to note who reaches
// them (a name costs about 50 octets), and again as [Permutations.All] streams them.
func Permute(seed Seed, passes ...Pass) *Permutations {
	p := newPermutations(seed, ownRules, passes)
	p.count()
	return p
}

// PermuteDNSTwist returns what dnstwist 20250130 generates for seed: the same
// names with the same labels, sorted by label and name. The seed itself is
// among them ("*original", first) if pass lists [Original], and dnstwist's
// oddities are kept. Algorithms that dnstwist lacks are left out. The whole set
// is held in memory.
func PermuteDNSTwist(seed Seed, pass Pass) *Permutations {
	pass.Algorithms = slices.Sorted(slices.Values(pass.steps(true)))
	pass.Algorithms = slices.DeleteFunc(pass.Algorithms, func(a Algorithm) bool { return int(a) >= numDNSTwist })
	p := newPermutations(seed, dnstwistRules, []Pass{pass})
	p.collect()
	return p
}

func newPermutations(seed Seed, r rules, passes []Pass) *Permutations {
	p := &Permutations{
		seed:  seed,
		rules: r,
		hash:  [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
	}
	for _, pass := range passes {
		p.addSteps(pass.clone())
	}
	return p
}

func (p *Permutations) addSteps(pass Pass) {
	words := make([][]rune, 0, len(pass.Words))
	for _, word := range pass.Words {
		if p.rules == ownRules {
			word = displayWord(word)
		}
		words = append(words, []rune(word))
	}
	for _, a := range pass.steps(p.rules == dnstwistRules) {
		p.steps = append(p.steps, step{algorithm: a, pass: &pass, words: words})
	}
}

// Len returns the number of variants. For a ranking with a limit the first call
// generates the names to count them; for one without it is an upper bound, which
// counts a name as often as there are ways to it.
func (p *Permutations) Len() int {
	switch {
	case p.ranked != nil:
		return p.ranked.size()
	case p.list != nil:
		return len(p.list)
	}
	return len(p.index)
}

// All streams the variants, each once, always in the same order. It may be
// ranged over repeatedly and from several goroutines, and stops working as soon
// as the loop ends.
func (p *Permutations) All() iter.Seq[Variant] {
	switch {
	case p.ranked != nil:
		return p.ranked.stream
	case p.list != nil:
		return slices.Values(p.list)
	}
	return p.stream
}

// generate yields the raw names of all steps in order, repeats included.
func (p *Permutations) generate(yield func(step int, name []byte) bool) {
	g := newGenerator(p.seed)
	if p.rules == dnstwistRules {
		g.carried = g.label
	}
	for i, step := range p.steps {
		g.words, g.suffixes = step.words, step.pass.Suffixes
		if !g.run(step.algorithm, func(name []byte) bool { return yield(i, name) }) {
			return
		}
	}
}

// count is the first generation: it fills the index.
func (p *Permutations) count() {
	p.index = make(map[nameKey]entry)
	ways := newWayTable(p.steps)
	other := othersThan(p.seed)
	var ordinal uint32
	p.generate(func(step int, name []byte) bool {
		ordinal++
		key := p.key(name)
		known, found := p.index[key]
		if !found {
			if !other.hold(name) {
				return true
			}
			known = entry{first: ordinal}
		}
		if way := ways.after(known.way, step); way != known.way || !found {
			known.way = way
			p.index[key] = known
		}
		return true
	})
	p.ways = ways.ways
}

// collect is the only generation of the dnstwist profile: it holds the names, to
// sort them by label and name.
func (p *Permutations) collect() {
	type collected struct {
		name string
		way  uint32
	}
	ways := newWayTable(p.steps)
	letters := utf8.RuneCountInString(p.seed.Label)
	n := 64 * letters * letters // about as many as pairs of swaps, the bulk: growing costs more than a guess
	list := make([]collected, 0, n)
	var slab slab
	places := make(map[string]uint32, n)
	p.generate(func(step int, name []byte) bool {
		place, known := places[string(name)]
		if !known {
			place = uint32(len(list))
			list = append(list, collected{name: slab.text(name)})
			places[list[place].name] = place
		}
		list[place].way = ways.after(list[place].way, step)
		return true
	})
	label := func(c *collected) string { return ways.ways[c.way].algorithms[0].String() }
	slices.SortFunc(list, func(a, b collected) int {
		if a.way != b.way {
			if order := strings.Compare(label(&a), label(&b)); order != 0 {
				return order
			}
		}
		return strings.Compare(a.name, b.name)
	})
	p.list = make([]Variant, len(list))
	for i, c := range list {
		p.list[i] = ways.ways[c.way].variant(c.name)
	}
}

// stream is the second generation: it yields what the first one kept.
func (p *Permutations) stream(yield func(Variant) bool) {
	var ordinal uint32
	var slab slab
	p.generate(func(_ int, name []byte) bool {
		ordinal++
		known, found := p.index[p.key(name)]
		if !found || known.first != ordinal {
			return true
		}
		return yield(p.ways[known.way].variant(slab.text(name)))
	})
}

func (p *Permutations) key(name []byte) nameKey {
	return nameKey{maphash.Bytes(p.hash[0], name), maphash.Bytes(p.hash[1], name)}
}
