package fuzzer

// edit: see [Edit].
func (g *generator) edit(yield editFunc) bool {
	n := len(g.label)
	for i := range n {
		if !g.splice(yield, i, i+1) {
			return false
		}
	}
	for i := range n - 1 {
		if g.label[i] != g.label[i+1] && !g.splice(yield, i, i+2, g.label[i+1], g.label[i]) {
			return false
		}
	}
	for i := range n {
		for _, c := range ldh {
			if c != g.label[i] && !g.splice(yield, i, i+1, c) {
				return false
			}
		}
	}
	for i := range n + 1 {
		for _, c := range ldh {
			// Beside its like a character has two places that read the same.
			if (i == 0 || g.label[i-1] != c) && !g.splice(yield, i, i, c) {
				return false
			}
		}
	}
	return true
}

// ldh are the characters of a host name, RFC 1123 section 2.1.
const ldh = alnum + "-"

// doubleReplacement: see [DoubleReplacement].
func (g *generator) doubleReplacement(yield editFunc) bool {
	for i := range len(g.label) - 1 {
		if g.label[i] != g.label[i+1] {
			continue
		}
		for _, layout := range keyboards {
			for _, c := range layout[g.label[i]] {
				if !g.splice(yield, i, i+2, c, c) {
					return false
				}
			}
		}
	}
	return true
}

// prefix: see [Prefix].
func (g *generator) prefix(yield editFunc) bool {
	for _, i := range g.wordStarts() {
		for _, c := range alnum {
			if !g.splice(yield, i, i, c) {
				return false
			}
		}
	}
	return true
}

// dehyphenation: see [Dehyphenation].
func (g *generator) dehyphenation(yield editFunc) bool {
	bare := make([]rune, 0, len(g.label))
	for i, r := range g.label {
		if r != '-' {
			bare = append(bare, r)
		} else if !g.splice(yield, i, i+1) {
			return false
		}
	}
	if len(bare) == len(g.label) {
		return true
	}
	if !yield(bare) {
		return false
	}
	for from, r := range g.label {
		if r != '-' {
			continue
		}
		rest := appendSplice(g.stepped[:0], g.label, from, from+1, nil)
		g.stepped = rest
		for to := 1; to < len(rest); to++ {
			if to == from {
				continue
			}
			g.edited = appendSplice(g.edited[:0], rest, to, to, hyphen)
			if !yield(g.edited) {
				return false
			}
		}
	}
	return true
}

// vowelShuffleLimit is the number of vowels up to which all orders are made
// (120); a longer label would have thousands that nobody types.
const vowelShuffleLimit = 5

// vowelShuffle: see [VowelShuffle].
func (g *generator) vowelShuffle(yield editFunc) bool {
	var places []int
	for i, r := range g.label {
		if isVowel(r) {
			places = append(places, i)
		}
	}
	work := append([]rune(nil), g.label...)
	if len(places) > vowelShuffleLimit {
		for i, a := range places {
			for _, b := range places[i+1:] {
				if work[a] == work[b] {
					continue
				}
				work[a], work[b] = work[b], work[a]
				more := yield(work)
				work[a], work[b] = work[b], work[a]
				if !more {
					return false
				}
			}
		}
		return true
	}
	return shuffle(work, places, yield)
}

// shuffle yields work with the runes at places in every distinct order.
func shuffle(work []rune, places []int, yield editFunc) bool {
	if len(places) < 2 {
		return yield(work)
	}
	var tried []rune
	for _, other := range places {
		if containsRune(tried, work[other]) {
			continue
		}
		tried = append(tried, work[other])
		first := places[0]
		work[first], work[other] = work[other], work[first]
		more := shuffle(work, places[1:], yield)
		work[first], work[other] = work[other], work[first]
		if !more {
			return false
		}
	}
	return true
}

func isVowel(r rune) bool {
	switch r {
	case 'a', 'e', 'i', 'o', 'u':
		return true
	}
	return false
}

func containsRune(list []rune, r rune) bool { return indexRune(list, r) >= 0 }
