package fuzzer

import (
	"sync"
	"unicode"
)

// The tables of this file are facts of Unicode's confusables.txt, version
// 17.0.0 of 2025-07-22 (UTS #39, https://www.unicode.org/Public/security/,
// Unicode License V3): of its single characters with a-z, 0-9 or a pair of
// letters as prototype, those that IDNA 2008 allows and that are Latin,
// Cyrillic, Greek or Armenian. The prototype O stands for o and 0, l for l and 1.

var confusablesLatin = glyphTable{
	"0": "ᴏ ᴑ ꬽ", "1": "ǀ", "8": "ȣ",
	"a": "ɑ", "c": "ᴄ", "e": "ꬲ", "f": "ꬵ ꞙ ƒ ẝ", "g": "ɡ ᶃ ƍ", "i": "ı ɪ ɩ", "l": "ǀ",
	"o": "ᴏ ᴑ ꬽ", "p": "þ ƿ", "r": "ꭇ ꭈ", "s": "ꜱ ƽ", "u": "ꞟ ᴜ ꭎ ꭒ ʋ", "v": "ᴠ",
	"w": "ɯ ᴡ", "y": "ɣ ᶌ ʏ ỿ ꭚ", "z": "ᴢ",
	"aa": "ꜳ", "ae": "æ", "ao": "ꜵ", "au": "ꜷ", "av": "ꜹ ꜻ", "ay": "ꜽ", "dz": "ʣ", "ll": "ǁ",
	"ls": "ʪ", "lz": "ʫ", "oe": "œ", "oo": "ꝏ", "tf": "ꝷ", "ts": "ʦ", "ue": "ᵫ", "uo": "ꭣ",
}

var confusablesCyrillic = glyphTable{
	"0": "о", "1": "ӏ", "6": "б",
	"a": "а", "c": "с", "d": "ԁ", "e": "е ҽ", "h": "һ", "i": "і ꙇ", "j": "ј", "l": "ӏ", "o": "о",
	"p": "р", "q": "ԛ", "r": "г", "s": "ѕ", "v": "ѵ", "w": "ԝ ѡ ш", "x": "х", "y": "у ү",
	"ae": "ӕ", "oo": "ꚙ",
}

var confusablesGreek = glyphTable{
	"0": "ο σ",
	"a": "α", "i": "ι", "j": "ϳ", "o": "ο σ", "p": "ρ ϸ", "r": "ᴦ", "u": "υ", "v": "ν", "y": "γ",
}

var confusablesArmenian = glyphTable{
	"0": "օ",
	"f": "ք", "g": "ց", "h": "հ", "i": "ւ", "n": "ո ռ", "o": "օ", "q": "գ զ", "u": "ս", "w": "ա",
}

// What follows is beyond confusables.txt: letters that resemble enough where a
// whole label is of the script. Those of dnstwist's whole-Cyrillic table
// (cyrillicOf) join the Cyrillic ones; the rest is the project's own judgement.

var resemblingCyrillic = glyphTable{
	"b": "ь", "f": "ғ", "g": "ԍ", "k": "к", "m": "м", "n": "п", "t": "т", "u": "ц", "z": "з",
}

var resemblingGreek = glyphTable{
	"b": "β", "d": "δ", "e": "ε", "f": "ϝ", "h": "η", "k": "κ", "l": "ι", "m": "μ", "n": "η",
	"s": "ς", "t": "τ", "w": "ω", "x": "χ", "z": "ζ",
}

var resemblingArmenian = glyphTable{
	"j": "յ", "l": "լ", "p": "ք", "r": "ր",
}

// confusion is what the two algorithms know of one script.
type confusion struct {
	script scripts
	glyphs *glyphSet // confusables.txt
	whole  *glyphSet // and what resembles
}

var confusions = sync.OnceValue(func() []confusion {
	return []confusion{
		{latin, joinGlyphs(confusablesLatin), joinGlyphs(confusablesLatin)},
		{cyrillic, joinGlyphs(confusablesCyrillic), joinGlyphs(confusablesCyrillic, resemblingCyrillic)},
		{greek, joinGlyphs(confusablesGreek), joinGlyphs(confusablesGreek, resemblingGreek)},
		{armenian, joinGlyphs(confusablesArmenian), joinGlyphs(confusablesArmenian, resemblingArmenian)},
	}
})

// confusable: see [Confusable].
func (g *generator) confusable(yield editFunc) bool {
	registry := registryOf(g.under)
	for _, c := range confusions() {
		more := c.glyphs.mix(&g.edited, g.label, func(label []rune) bool {
			return !registry.accepts(label) || yield(label)
		})
		if !more {
			return false
		}
	}
	return true
}

// wholeScriptLimit is the number of whole-script labels of one script: where
// letters have several look-alikes, their product goes no further.
const wholeScriptLimit = 64

// wholeScript: see [WholeScript]. Digits and hyphens belong to every script.
func (g *generator) wholeScript(yield editFunc) bool {
	registry := registryOf(g.under)
	for _, c := range confusions() {
		if !registry.scripts.has(c.script) {
			continue
		}
		choices := wholeChoices(g.label, c)
		more := product(choices, wholeScriptLimit, &g.edited, func(label []rune) bool {
			return !registry.accepts(label) || yield(label)
		})
		if !more {
			return false
		}
	}
	return true
}

// wholeChoices returns, for each place of the label, what can stand there in
// the script; nil if nothing can stand somewhere, or if nothing changes. A
// letter that is of the script stays itself if it has no look-alike.
func wholeChoices(label []rune, c confusion) [][]rune {
	choices := make([][]rune, len(label))
	changed := false
	for i, r := range label {
		if isDigit(r) || r == '-' {
			choices[i] = []rune{r}
			continue
		}
		for _, glyph := range c.whole.of(r) {
			if len(glyph) == 1 {
				choices[i] = append(choices[i], glyph[0])
			}
		}
		changed = changed || len(choices[i]) > 0
		if len(choices[i]) == 0 {
			if scriptsOf([]rune{r}) != c.script {
				return nil
			}
			choices[i] = []rune{r}
		}
	}
	if !changed {
		return nil
	}
	return choices
}

// product yields up to limit of the labels that take one rune of each choice,
// the first choices first.
func product(choices [][]rune, limit int, buf *[]rune, yield editFunc) bool {
	if len(choices) == 0 {
		return true
	}
	picks := make([]int, len(choices))
	for range limit {
		*buf = (*buf)[:0]
		for i, choice := range choices {
			*buf = append(*buf, choice[picks[i]])
		}
		if !yield(*buf) {
			return false
		}
		place := 0
		for place < len(picks) && picks[place] == len(choices[place])-1 {
			picks[place] = 0
			place++
		}
		if place == len(picks) {
			return true
		}
		picks[place]++
	}
	return true
}

// scripts is a set of scripts.
type scripts uint8

const (
	latin scripts = 1 << iota
	cyrillic
	greek
	armenian
	otherScript // any that is none of these
)

func (s scripts) has(other scripts) bool { return s&other == other }

// single reports whether s is no more than one script.
func (s scripts) single() bool { return s&(s-1) == 0 }

var scriptTables = []struct {
	script scripts
	table  *unicode.RangeTable
}{{latin, unicode.Latin}, {cyrillic, unicode.Cyrillic}, {greek, unicode.Greek}, {armenian, unicode.Armenian}}

// scriptsOf returns the scripts of the label's letters.
func scriptsOf(label []rune) (set scripts) {
	for _, r := range label {
		switch {
		case isLetter(r):
			set |= latin
		case isLDH(r) || unicode.In(r, unicode.Common, unicode.Inherited):
		default:
			set |= scriptOf(r)
		}
	}
	return set
}

func scriptOf(r rune) scripts {
	for _, entry := range scriptTables {
		if unicode.Is(entry.table, r) {
			return entry.script
		}
	}
	return otherScript
}

// isNational reports whether a Latin letter is one of an alphabet in wide use:
// what a registry with tables by language takes at most. Beyond Latin-1 and
// Latin Extended-A these are the Romanian and Vietnamese letters.
func isNational(r rune) bool {
	return r < 0x180 || r == 'ș' || r == 'ț' || r == 'ơ' || r == 'ư' || r >= 0x1EA0 && r <= 0x1EF9
}
