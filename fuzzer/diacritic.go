package fuzzer

import (
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// diacritic: see [Diacritic].
func (g *generator) diacritic(yield editFunc) bool {
	registry := registryOf(g.under)
	for i, r := range g.label {
		for _, marked := range markedLetters()[r] {
			if registry.accepts([]rune{marked}) && !g.splice(yield, i, i+1, marked) {
				return false
			}
		}
	}
	return true
}

// markedLetters are, by letter of ASCII, the letters that Unicode takes for it
// with one or two marks: what decomposes to it (UAX #15) and is a letter of its
// own that IDNA 2008 allows.
var markedLetters = sync.OnceValue(func() map[rune][]rune {
	letters := map[rune][]rune{}
	for r := rune(0xC0); r < 0x1F00; r++ {
		if !unicode.Is(unicode.Latin, r) || !unicode.IsLower(r) {
			continue
		}
		parts := []rune(norm.NFD.String(string(r)))
		if len(parts) < 2 || !isLetter(parts[0]) {
			continue
		}
		if _, err := registration.ToASCII(string(r)); err == nil {
			letters[parts[0]] = append(letters[parts[0]], r)
		}
	}
	return letters
})
