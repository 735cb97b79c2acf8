package fuzzer

// rankedDepth is how far Likeliest looks through the ranked profile; what comes
// later is too unlikely for its order to be worth the time.
const rankedDepth = 4 * WideLimit

// Likeliest returns the n likeliest variants of p, the likeliest first, with
// their algorithms and passes and the likelihood that the full ranked profile
// gives them. Those that its first 200,000 names lack come last, in the order of p. The
// options say with which words and suffixes likelihoods are found; of them only
// Words, Suffixes and Model count. If p has no more than n variants, or n is not
// positive, it is p itself. All of p is held in memory for a moment, and n
// variants stay.
func Likeliest(p *Permutations, n int, options RankOptions) *Permutations {
	if n <= 0 || p.Len() <= n {
		return p
	}
	left := make(map[string]Variant, p.Len())
	for v := range p.All() {
		left[v.FQDN] = v
	}
	list := make([]Variant, 0, n)
	full := RankOptions{Limit: rankedDepth, Words: options.Words, Suffixes: options.Suffixes, Model: options.Model}
	for ranked := range Rank(p.seed, full).All() {
		v, wanted := left[ranked.FQDN]
		if !wanted {
			continue
		}
		delete(left, ranked.FQDN)
		v.Likelihood = ranked.Likelihood
		if list = append(list, v); len(list) == n {
			return &Permutations{seed: p.seed, list: list}
		}
	}
	for v := range p.All() {
		if _, lacking := left[v.FQDN]; lacking {
			if list = append(list, v); len(list) == n {
				break
			}
		}
	}
	return &Permutations{seed: p.seed, list: list}
}
