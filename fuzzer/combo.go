package fuzzer

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed lists/combo.txt
var comboText string

// comboTheme is a section of lists/combo.txt.
type comboTheme struct {
	name  string // "finance"
	words []string
}

// comboThemes reads lists/combo.txt: "[theme]", then words. A word stands in
// the first of its themes only.
var comboThemes = sync.OnceValue(func() []comboTheme {
	var themes []comboTheme
	seen := make(map[string]bool)
	for line := range strings.Lines(comboText) {
		text := strings.TrimSpace(strip(line))
		if name, found := strings.CutPrefix(text, "["); found {
			themes = append(themes, comboTheme{name: strings.TrimSuffix(name, "]")})
			continue
		}
		for field := range strings.FieldsSeq(text) {
			word, reason := parseWord(field)
			if reason == "" && !seen[word] && len(themes) > 0 {
				seen[word] = true
				last := &themes[len(themes)-1]
				last.words = append(last.words, word)
			}
		}
	}
	return themes
})

// comboWords are the words of all themes, and as U-labels.
var comboWords = sync.OnceValues(func() (words []string, labels [][]rune) {
	for _, theme := range comboThemes() {
		for _, word := range theme.words {
			words = append(words, word)
			labels = append(labels, []rune(displayWord(word)))
		}
	}
	return words, labels
})

// ComboWords returns the embedded words of [Combosquat] as A-labels: general
// ones, finance, login, support, delivery, government and crypto, in several
// languages. The slice is the caller's.
func ComboWords() []string {
	words, _ := comboWords()
	return slices.Clone(words)
}

// combosquat: see [Combosquat].
func (g *generator) combosquat(yield editFunc) bool {
	_, words := comboWords()
	for _, word := range words {
		if !g.joinWord(yield, word) {
			return false
		}
	}
	return true
}

// joinWord yields the label with a word after and before it, with and without hyphen.
func (g *generator) joinWord(yield editFunc, word []rune) bool {
	return g.join(yield, g.label, hyphen, word) && g.join(yield, g.label, word) &&
		g.join(yield, word, hyphen, g.label) && g.join(yield, word, g.label)
}

var hyphen = []rune{'-'}

// join yields the parts as one label.
func (g *generator) join(yield editFunc, parts ...[]rune) bool {
	g.joined = g.joined[:0]
	for _, part := range parts {
		g.joined = append(g.joined, part...)
	}
	return yield(g.joined)
}

// commonHosts are host names that stand in front of many domains.
var commonHosts = parseWords("www mail m login secure api webmail remote vpn owa autodiscover account id " +
	"ww ww2 www2 web ftp smtp imap pop cpanel app my portal sso auth accounts signin support shop store cdn static")

func parseWords(text string) (words [][]rune) {
	for word := range strings.FieldsSeq(text) {
		words = append(words, []rune(word))
	}
	return words
}

// hostDot: see [HostDot].
func (g *generator) hostDot(yield editFunc) bool {
	for _, host := range commonHosts {
		if !g.join(yield, host, g.label) || !g.join(yield, host, hyphen, g.label) {
			return false
		}
	}
	return true
}
