package fuzzer

import "strings"

const (
	alnum  = "0123456789abcdefghijklmnopqrstuvwxyz"
	vowels = "aeiou"
)

// addition: see [Addition].
func (g *generator) addition(yield editFunc) bool {
	for i, r := range g.label {
		if r != '-' {
			continue
		}
		for _, c := range alnum {
			if !g.splice(yield, i, i, c) {
				return false
			}
		}
	}
	for _, c := range alnum {
		if !g.splice(yield, len(g.label), len(g.label), c) {
			return false
		}
	}
	return true
}

// bitsquatting: see [Bitsquatting]. A flip that leaves letters, digits and the
// hyphen is no host name and is left out; so is one that makes an A-label
// decode to nothing.
func (g *generator) bitsquatting(yield editFunc) bool {
	encoded := len(g.label) > 0 && string(g.carried) != string(g.label)
	for i, r := range g.carried {
		for bit := range 8 {
			flipped := r ^ 1<<bit
			if !isLDH(flipped) {
				continue
			}
			g.edited = appendSplice(g.edited[:0], g.carried, i, i+1, []rune{flipped})
			if encoded {
				text := displayWord(string(g.edited))
				if strings.HasPrefix(text, acePrefix) {
					continue
				}
				g.edited = append(g.edited[:0], []rune(text)...)
			}
			if !yield(g.edited) {
				return false
			}
		}
	}
	return true
}

// hyphenation: see [Hyphenation].
func (g *generator) hyphenation(yield editFunc) bool {
	for i := 1; i < len(g.label); i++ {
		if !g.splice(yield, i, i, '-') {
			return false
		}
	}
	return true
}

// insertion: see [Insertion].
func (g *generator) insertion(yield editFunc) bool {
	for i := range len(g.label) - 1 {
		for _, layout := range keyboards {
			for _, c := range layout[g.label[i]] {
				if !g.splice(yield, i, i, c) || !g.splice(yield, i+1, i+1, c) {
					return false
				}
			}
		}
	}
	return true
}

// omission: see [Omission].
func (g *generator) omission(yield editFunc) bool {
	for i := range g.label {
		if !g.splice(yield, i, i+1) {
			return false
		}
	}
	return true
}

// plural: see [Plural]. The first two and last two characters are left alone.
func (g *generator) plural(yield editFunc) bool {
	for i := 2; i < len(g.label)-2; i++ {
		ending := []rune{'s'}
		if strings.ContainsRune("sxz", g.label[i]) {
			ending = []rune{'e', 's'}
		}
		if !g.splice(yield, i+1, i+1, ending...) {
			return false
		}
	}
	return true
}

// repetition: see [Repetition].
func (g *generator) repetition(yield editFunc) bool {
	for i, r := range g.label {
		if !g.splice(yield, i, i, r) {
			return false
		}
	}
	return true
}

// replacement: see [Replacement].
func (g *generator) replacement(yield editFunc) bool {
	for i, r := range g.label {
		for _, layout := range keyboards {
			for _, c := range layout[r] {
				if !g.splice(yield, i, i+1, c) {
					return false
				}
			}
		}
	}
	return true
}

// subdomain: see [Subdomain]. No cut beside a hyphen, nor before the last character.
func (g *generator) subdomain(yield editFunc) bool {
	for i := 1; i < len(g.label)-1; i++ {
		if g.label[i] == '-' || g.label[i-1] == '-' {
			continue
		}
		if !g.splice(yield, i, i, '.') {
			return false
		}
	}
	return true
}

// transposition: see [Transposition].
func (g *generator) transposition(yield editFunc) bool {
	for i := range len(g.label) - 1 {
		if !g.splice(yield, i, i+2, g.label[i+1], g.label[i]) {
			return false
		}
	}
	return true
}

// vowelSwap: see [VowelSwap].
func (g *generator) vowelSwap(yield editFunc) bool {
	for i, r := range g.label {
		if !strings.ContainsRune(vowels, r) {
			continue
		}
		for _, v := range vowels {
			if !g.splice(yield, i, i+1, v) {
				return false
			}
		}
	}
	return true
}

// dictionary: see [Dictionary]. A word that the label both begins and ends with
// is not joined to it.
func (g *generator) dictionary(yield editFunc) bool {
	join := func(parts ...[]rune) bool {
		g.joined = g.joined[:0]
		for _, part := range parts {
			g.joined = append(g.joined, part...)
		}
		return yield(g.joined)
	}
	hyphen := []rune{'-'}
	label := g.label
	for _, word := range g.words {
		if hasPrefix(label, word) && hasSuffix(label, word) {
			continue
		}
		if !join(label, hyphen, word) || !join(label, word) ||
			!join(word, hyphen, label) || !join(word, label) {
			return false
		}
	}
	first, last := indexRune(label, '-'), lastIndexRune(label, '-')
	if first < 0 {
		return true
	}
	for _, word := range g.words {
		if !join(label[:last+1], word) || !join(word, label[first:]) {
			return false
		}
	}
	return true
}

func hasPrefix(s, prefix []rune) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == string(prefix)
}

func hasSuffix(s, suffix []rune) bool {
	return len(s) >= len(suffix) && string(s[len(s)-len(suffix):]) == string(suffix)
}

func lastIndexRune(s []rune, r rune) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == r {
			return i
		}
	}
	return -1
}
