package fuzzer

import (
	"cmp"
	"slices"
	"strings"
)

// Relation is what a name is to a seed. The set is closed.
type Relation string

// The relations.
const (
	IsSeed       Relation = "seed"          // the seed itself
	IsOwn        Relation = "own"           // the seed's registrable domain, or a name below it
	IsGenerated  Relation = "generated"     // a look-alike that an algorithm or a profile makes
	NotGenerated Relation = "not-generated" // none that any makes with the lists given
)

// Explanation says how a name comes from a seed. The fields behind Relation
// are set as far as they apply: nothing differs between a seed and its own.
type Explanation struct {
	Seed     Seed
	Name     string // as asked, as A-labels
	Relation Relation
	// LookAlike is the name that was compared: Name, or where an algorithm
	// makes not that but the domain above it, its registrable domain. Then Host
	// holds the labels in front of it.
	LookAlike, Host string
	// Made is the name that is made in fact, where that is not LookAlike: the
	// seed's subdomain stands in front of it.
	Made string
	// Marked is LookAlike in U-labels with its changes in brackets, [+x], [−x],
	// [x→y] and [xy⇄yx]: exam[p→q]le.com. It is "", and Changes nil, where more
	// than half of the brand would be changed.
	Marked  string
	Changes []Change
	// Algorithms that lead to the name, in canonical order: those that make it
	// whole, and where it has several parts (an edited brand, a word, another
	// suffix) those that make the parts.
	Algorithms []Algorithm
	// Profiles that hold LookAlike, of standard, wide, full and dnstwist.
	Profiles []string
	// Rank is the place in the stream of the ranked profiles, from 1, and
	// Likelihood that of the variant there; 0 if the name is in none of them.
	Rank       int
	Likelihood float64
	// DNSTwist is the label that dnstwist gives the name when it has lists with
	// the words and suffixes of ours; "" if it does not make it.
	DNSTwist string
	// Distance is the Damerau–Levenshtein distance of the two registrable labels, as U-labels.
	Distance int
	// Nearest is set where nothing makes the name: the made name whose label is
	// nearest to it, under the seed's own suffix.
	Nearest *Nearest
	// Reasons say, for people, why nothing makes the name.
	Reasons []string

	likeness int // see align: the less the more alike
}

// Nearest is a name that is made, beside one that is not.
type Nearest struct {
	Algorithm Algorithm `json:"algorithm"`
	Name      string    `json:"name"`     // A-labels
	Distance  int       `json:"distance"` // of the two labels, as U-labels
}

// ExplainOptions are the lists that names are explained with, besides the
// embedded ones.
type ExplainOptions struct {
	Words    []string // as ReadWords returns them
	Suffixes []string // as ReadSuffixes returns them
	Country  string   // whose suffixes the ranked profiles have besides; "" is none
}

// ParseLookAlike reads the name that is to be explained: whatever [ParseSeed]
// reads, and labels in A-label form that IDNA 2008 would not register. It
// returns A-labels. The error is a [*SeedError].
func ParseLookAlike(input string) (string, error) {
	seed, err := ParseSeed(input)
	if err == nil {
		return seed.FQDN, nil
	}
	host, bad := hostOf(input)
	if bad == nil {
		if host, bad = normalize(host, false); bad == nil && strings.Contains(host, acePrefix) && Registrable(host) != "" {
			return host, nil
		}
	}
	return "", err
}

// Explain says of each name, in A-labels as [ParseLookAlike] returns them, how
// it comes from seed. All names together cost one generation of each profile: up
// to some seconds when one of them is in none.
func Explain(seed Seed, names []string, options ExplainOptions) []Explanation {
	x := &explainer{seed: seed, options: options, own: site(seed.FQDN), wanted: map[string][]*inquiry{}}
	list := make([]*inquiry, len(names))
	for i, name := range names {
		list[i] = x.inquire(name)
	}
	x.trace(list)
	x.rank()
	x.dnstwist()
	result := make([]Explanation, len(list))
	for i, q := range list {
		x.conclude(q)
		result[i] = q.Explanation
	}
	return result
}

// Bounds of [Imitated].
const (
	maxImitated = 5   // seeds that are explained in full
	imitatedGap = 120 // how much less alike than the first they may be: about an edit
)

// Imitated says which of the seeds a name imitates, the likeliest first, and
// no more than five: seeds that it is alike to by a quick comparison, of which
// those that it can be made from come first. It is empty if the name is like none.
// The quick comparison takes microseconds a seed; [Explain] is called for what is left.
func Imitated(name string, seeds []Seed, options ExplainOptions) []Explanation {
	type candidate struct {
		seed     Seed
		likeness int
	}
	var best []candidate
	own := site(name)
	_, label, suffix, ok := split(own)
	if !ok {
		return nil
	}
	text := []rune(display(label))
	words, seen := newBeside(text), map[string]bool{}
	for _, seed := range seeds {
		if seen[seed.FQDN] {
			continue
		}
		seen[seed.FQDN] = true
		likeness, alike := -1, true
		if site(seed.FQDN) != own {
			x := &explainer{seed: seed}
			q := inquiry{Explanation: Explanation{Seed: seed}, reading: align([]rune(seed.Label), text, words)}
			likeness = q.reading.cost + x.suffixCost(suffix)
			alike = q.changedUpTo(3)
		}
		if alike {
			best = append(best, candidate{seed, likeness})
			slices.SortStableFunc(best, func(a, b candidate) int { return cmp.Compare(a.likeness, b.likeness) })
			best = best[:min(len(best), maxImitated)]
		}
	}
	var list []Explanation
	for _, c := range best {
		if c.likeness <= max(0, best[0].likeness)+imitatedGap {
			list = append(list, Explain(c.seed, []string{name}, options)...)
		}
	}
	slices.SortStableFunc(list, func(a, b Explanation) int {
		return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(b.Likelihood, a.Likelihood), cmp.Compare(a.likeness, b.likeness))
	})
	return list
}

// order puts what is surer first.
func (e *Explanation) order() int {
	switch {
	case e.Relation == IsSeed:
		return 0
	case e.Relation == IsOwn:
		return 1
	case e.Relation == IsGenerated:
		return 2
	}
	return 3
}
