package fuzzer

import "slices"

// Pass is one selection of algorithms with the lists that two of them need.
type Pass struct {
	// Name goes into Variant.Passes: "PASS_A", or a profile's name for a plain run.
	Name string
	// Algorithms in the order they run; nil means the sixteen of dnstwist. [Original] counts in
	// the dnstwist profile only.
	Algorithms []Algorithm
	// Words are for [Dictionary], as [ReadWords] returns them.
	Words []string
	// Suffixes are for [TLDSwap], [TLDInLabel] and [TLDAppend], as [ReadSuffixes]
	// returns them: A-labels. The latter two take CommonSuffixes when there are none.
	// What is no valid name is passed over.
	Suffixes []string
}

// Names of the profiles that are a single pass.
const (
	StandardName = "standard"
	DNSTwistName = "dnstwist"
)

// Standard is the plain run: the sixteen algorithms of dnstwist.
func Standard(words, suffixes []string) Pass {
	return Pass{Name: StandardName, Algorithms: DNSTwistAlgorithms(), Words: words, Suffixes: suffixes}
}

// DNSTwist is dnstwist's plain run, for [PermuteDNSTwist]: the seed itself and
// all sixteen algorithms. dnstwist has no lists of its own, so nil is its default.
func DNSTwist(words, suffixes []string) Pass {
	return Pass{
		Name:       DNSTwistName,
		Algorithms: append([]Algorithm{Original}, DNSTwistAlgorithms()...),
		Words:      words,
		Suffixes:   suffixes,
	}
}

// Lists are what the contract's passes draw on. A nil field stands for the
// embedded list, an empty one for no list at all.
type Lists struct {
	Common   []string // suffixes of PASS_A and PASS_C; nil: CommonSuffixes
	Home     []string // suffixes of PASS_B; nil: HomeSuffixes of the seed's country
	Words    []string // words of PASS_A and PASS_B; nil: GeneralWords
	HighRisk []string // words of PASS_C; nil: HighRiskWords
}

// ContractPasses returns PASS_A, PASS_B and PASS_C, with which the service that
// typostream replaces ran dnstwist. PASS_B swaps no suffix when lists.Home is
// nil and the seed's suffix belongs to no country.
func ContractPasses(seed Seed, lists Lists) []Pass {
	if lists.Common == nil {
		lists.Common = CommonSuffixes()
	}
	if lists.Home == nil {
		lists.Home = HomeSuffixes(Country(seed))
	}
	if lists.Words == nil {
		lists.Words = GeneralWords()
	}
	if lists.HighRisk == nil {
		lists.HighRisk = HighRiskWords()
	}
	return []Pass{
		{
			Name: "PASS_A",
			Algorithms: []Algorithm{
				Addition, Bitsquatting, Homoglyph, Hyphenation, Insertion, Omission, Repetition,
				Replacement, Subdomain, Transposition, VowelSwap, Dictionary, TLDSwap,
			},
			Words:    lists.Words,
			Suffixes: lists.Common,
		},
		{
			Name: "PASS_B",
			Algorithms: []Algorithm{
				Homoglyph, Transposition, Insertion, Omission, Replacement, Addition, Dictionary, TLDSwap,
			},
			Words:    lists.Words,
			Suffixes: lists.Home,
		},
		{
			Name:       "PASS_C",
			Algorithms: []Algorithm{Dictionary, TLDSwap, Addition, Replacement},
			Words:      lists.HighRisk,
			Suffixes:   lists.Common,
		},
	}
}

// steps returns the algorithms to run, each once, in the pass's order.
func (p Pass) steps(withOriginal bool) []Algorithm {
	algorithms := p.Algorithms
	if algorithms == nil {
		algorithms = append([]Algorithm{Original}, DNSTwistAlgorithms()...)
	}
	var seen algorithmSet
	steps := make([]Algorithm, 0, len(algorithms))
	for _, a := range algorithms {
		if a >= numAlgorithms || seen.has(a) || a == Original && !withOriginal {
			continue
		}
		seen = seen.with(a)
		steps = append(steps, a)
	}
	return steps
}

// clone detaches the pass from its maker's slices and drops suffixes that are no names.
func (p Pass) clone() Pass {
	p.Algorithms = slices.Clone(p.Algorithms)
	p.Words = slices.Clone(p.Words)
	valid := make([]string, 0, len(p.Suffixes))
	for _, suffix := range p.Suffixes {
		if ascii, bad := normalize(suffix, true); bad == nil && ascii == suffix {
			valid = append(valid, suffix)
		}
	}
	p.Suffixes = valid
	return p
}
