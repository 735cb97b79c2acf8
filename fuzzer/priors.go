package fuzzer

import (
	"slices"
	"strings"
	"sync"
)

// numbers are digits that mean something: years, hours, amounts, versions.
const numbers = "24 247 365 2024 2025 2026 2027 360 100 1000 10000 5000 500 2fa 2x v2 v1 v3 v4 3x 10x 2023 2022 2021 2020 24h 2019 2018"

// priorWord is a word that may join a brand although none was seen to.
type priorWord struct {
	theme string
	share float64 // of the words of its theme
}

// wordPriors are the words of the embedded lists by theme.
type wordPriors struct {
	list   []string // sorted
	byText map[string]priorWord
	themes []string
}

// rankOffset tempers how much likelier the first words of a theme are than the last.
const rankOffset = 200

// priorWords reads the lists: the themes of combo.txt, whose likelier words come
// first, then the words that only the contract's lists have, and numbers. A word
// belongs to the first theme that has it.
var priorWords = sync.OnceValue(func() wordPriors {
	p := wordPriors{byText: map[string]priorWord{}}
	add := func(theme string, words []string, ordered bool) {
		p.themes = append(p.themes, theme)
		var mine []string
		sum := 0.0
		for _, w := range words {
			w = strings.ToLower(w)
			if _, known := p.byText[w]; known || len(w) < 2 || !isASCII(w) {
				continue
			}
			weight := 1.0
			if ordered {
				weight = 1 / float64(len(mine)+rankOffset)
			}
			p.byText[w] = priorWord{theme, weight}
			mine = append(mine, w)
			sum += weight
		}
		for _, w := range mine {
			known := p.byText[w]
			known.share /= sum
			p.byText[w] = known
		}
		p.list = append(p.list, mine...)
	}
	add("number", strings.Fields(numbers), true)
	for _, theme := range comboThemes() {
		add(theme.name, theme.words, true)
	}
	add("misspelt", misspelt(), false)
	add("other", append(GeneralWords(), HighRiskWords()...), false)
	slices.Sort(p.list)
	return p
})

// oftenMisspelt are the words of phishing names that are written wrong most,
// be it to get past filters or because the right name was taken.
const oftenMisspelt = "login account accounts service services support update verify verification security secure card payment customer online member recovery wallet market server center confirm"

// misspelt are slips in these words: a letter left out, doubled, or changing
// places with the next.
func misspelt() []string {
	var list []string
	for word := range strings.FieldsSeq(oftenMisspelt) {
		for i := 1; i < len(word); i++ {
			list = append(list, word[:i]+word[i+1:], word[:i]+word[i:i+1]+word[i:])
			if i+1 < len(word) && word[i] != word[i+1] {
				list = append(list, word[:i]+string([]byte{word[i+1], word[i]})+word[i+2:])
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
