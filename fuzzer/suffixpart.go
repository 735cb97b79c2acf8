package fuzzer

import "sync"

// leastOwn is the least probability of the seed's own suffix after an edited
// brand. Under the closed suffixes that the counts of countries come from (co.jp)
// there is next to none; under open ones (co.uk) typos are.
const leastOwn = 0.5

// leastHome is the least probability of each suffix of the brand's country,
// where the brand stands alone: next to none were counted of the countries whose
// suffixes are closed to strangers, and a brand is likely to be imitated at home.
const leastHome = 0.001

// suffixesOf returns the suffixes under which names of a group are registered.
func (b *builder) suffixesOf(group string) *factor {
	if f := b.suffix[group]; f != nil {
		return f
	}
	if !b.has(TLDSwap) {
		b.suffix[group] = newFactor([]token{{text: b.seed.PublicSuffix}})
		return b.suffix[group]
	}
	contexts := []string{"suffix", "suffix/" + group, "suffix/" + group + b.region}
	prob := func(key string) float64 {
		return b.model.prob(key, b.priors[key], contexts...)
	}
	chances := make(map[string]float64, len(b.priors))
	for s := range b.priors {
		chances[s] = prob(s)
	}
	for _, s := range b.options.Suffixes {
		chances[s] = max(prob(s), userChance)
	}
	for _, key := range b.model.keys("suffix") {
		if key[0] != '?' && key[0] != '{' {
			chances[key] = prob(key)
		}
	}
	own := ownSuffixes(b.seed)
	same := map[string]int{}
	for _, pair := range own {
		same[pair[0]]++
	}
	for _, pair := range own {
		chances[pair[1]] += prob(pair[0]) / float64(same[pair[0]])
	}
	if group == "bare" {
		for _, home := range HomeSuffixes(Country(b.seed)) {
			chances[home] = max(chances[home], leastHome)
		}
	}
	if group == "edit" || group == "idn" {
		chances[b.seed.PublicSuffix] = max(chances[b.seed.PublicSuffix], leastOwn)
	}
	b.suffix[group] = newFactor(tokensOf(chances))
	return b.suffix[group]
}

// suffixShares are the suffixes of an embedded list with their shares of it.
type suffixShares map[string]float64

// suffixLists are the embedded lists: those in the order of how much they are
// abused give their first more.
var suffixLists = sync.OnceValue(func() (lists struct{ common, abused, open, home, hosts suffixShares }) {
	share := func(list []string, offset float64) suffixShares {
		shares, sum := suffixShares{}, 0.0
		for i, s := range list {
			shares[s] = 1
			if offset > 0 {
				shares[s] = 1 / (float64(i) + offset)
			}
			sum += shares[s]
		}
		for s := range shares {
			shares[s] /= sum
		}
		return shares
	}
	var homes []string
	for _, list := range home().suffixes {
		homes = append(homes, list...)
	}
	lists.common, lists.open, lists.home = share(commonSuffixes(), 0), share(openSuffixes(), 0), share(homes, 0)
	lists.abused, lists.hosts = share(abusedSuffixes(), 10), share(giveAwayHosts(), 10)
	return lists
})

// priorSuffixes are the suffixes of the embedded lists with their chances
// before anything is counted.
func priorSuffixes(w *Weights) map[string]float64 {
	lists, prior := suffixLists(), map[string]float64{}
	for _, part := range []struct {
		shares suffixShares
		weight float64
	}{{lists.common, w.Common}, {lists.abused, w.Abused}, {lists.open, w.Open}, {lists.home, w.Home}, {lists.hosts, w.Hosts}} {
		for s, share := range part.shares {
			prior[s] += part.weight * share
		}
	}
	return prior
}
