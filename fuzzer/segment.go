package fuzzer

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed lists/segments.txt
var segmentsText string

// segmentWords are the words that segments knows, the ones of the other lists included.
var segmentWords = sync.OnceValue(func() map[string]bool {
	known := make(map[string]bool)
	for line := range strings.Lines(segmentsText) {
		for word := range strings.FieldsSeq(strip(line)) {
			known[word] = true
		}
	}
	for _, list := range [][]string{ComboWords(), GeneralWords()} {
		for _, word := range list {
			if len(word) >= minSegment && !strings.Contains(word, "-") {
				known[word] = true
			}
		}
	}
	return known
})

const (
	minSegment = 3  // letters of a known word, which are rarely there by chance
	maxSegment = 16 // letters of the longest known word that is looked for

	// Costs of segmentation. A known word is cheap, a short one less so; what
	// is unknown, such as a brand's invented name, costs at the start and a
	// little for each letter, so that it stays in one piece. So hdfcbank (36 as two,
	// 44 as one) is cut, target (tar, get: 36 either way) is not.
	costWord      = 8
	costShortWord = 12 // of three letters
	costUnknown   = 12
	costLetter    = 4
)

// segments returns the words of the label in order, hyphens left out: facebook →
// face, book; hdfcbank → hdfc, bank. A label that shows no boundary is one word.
// The slices are shared, do not change them.
func (g *generator) segments() [][]rune {
	if g.parts == nil {
		g.parts = [][]rune{}
		for start := 0; start <= len(g.label); {
			end := start
			for end < len(g.label) && g.label[end] != '-' {
				end++
			}
			if end > start {
				g.parts = append(g.parts, segment(g.label[start:end])...)
			}
			start = end + 1
		}
	}
	return g.parts
}

// segment finds the cheapest way to read text as words.
func segment(text []rune) [][]rune {
	n := len(text)
	type reading struct {
		cost, start int // of the last word
		unknown     bool
	}
	best := make([]reading, n+1)
	for end := 1; end <= n; end++ {
		best[end].cost = 1 << 30
		for start := range end {
			length := end - start
			step := reading{cost: best[start].cost, start: start}
			switch {
			case length >= minSegment && length <= maxSegment && segmentWords()[string(text[start:end])]:
				step.cost += costWord
				if length == minSegment {
					step.cost += costShortWord - costWord
				}
			case length >= 2 && !best[start].unknown:
				step.cost += costUnknown + costLetter*length
				step.unknown = true
			case length == n:
				step.cost += costUnknown + costLetter*length
			default:
				continue
			}
			if step.cost < best[end].cost {
				best[end] = step
			}
		}
	}
	var parts [][]rune
	for end := n; end > 0; end = best[end].start {
		parts = append(parts, text[best[end].start:end])
	}
	slices.Reverse(parts)
	return parts
}

// wordStarts returns where the label's words begin, 0 first.
func (g *generator) wordStarts() []int {
	starts := make([]int, 0, 4)
	at := 0
	for _, part := range g.segments() {
		for at < len(g.label) && g.label[at] == '-' {
			at++
		}
		starts = append(starts, at)
		at += len(part)
	}
	return starts
}

// wordOrder: see [WordOrder]. Labels of more than three words are left alone.
func (g *generator) wordOrder(yield editFunc) bool {
	parts := g.segments()
	if len(parts) < 2 || len(parts) > 3 {
		return true
	}
	orders := [][]int{{1, 0}}
	if len(parts) == 3 {
		orders = [][]int{{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	}
	for _, order := range orders {
		for _, hyphen := range []bool{false, true} {
			g.joined = g.joined[:0]
			for i, part := range order {
				if hyphen && i > 0 {
					g.joined = append(g.joined, '-')
				}
				g.joined = append(g.joined, parts[part]...)
			}
			if !yield(g.joined) {
				return false
			}
		}
	}
	return true
}

// singularPlural: see [SingularPlural].
func (g *generator) singularPlural(yield editFunc) bool {
	parts, starts := g.segments(), g.wordStarts()
	for i, part := range parts {
		for _, other := range otherNumber(string(part)) {
			if !g.splice(yield, starts[i], starts[i]+len(part), []rune(other)...) {
				return false
			}
		}
	}
	return true
}

// irregular are nouns whose plural no rule gives.
var irregular = [][2]string{
	{"man", "men"},
	{"woman", "women"},
	{"child", "children"},
	{"person", "people"},
	{"foot", "feet"},
	{"tooth", "teeth"},
	{"mouse", "mice"},
	{"life", "lives"},
	{"leaf", "leaves"},
	{"shelf", "shelves"},
	{"wolf", "wolves"},
	{"half", "halves"},
	{"knife", "knives"},
	{"wife", "wives"},
	{"index", "indices"},
	{"matrix", "matrices"},
	{"datum", "data"},
	{"medium", "media"},
	{"hero", "heroes"},
	{"potato", "potatoes"},
}

// otherNumber returns the plurals of a singular and the singular of a plural,
// by the rules of English spelling. A word that may be either gives both.
func otherNumber(word string) []string {
	for _, pair := range irregular {
		if word == pair[0] {
			return []string{pair[1]}
		}
		if word == pair[1] {
			return []string{pair[0]}
		}
	}
	n := len(word)
	if n < 2 || !isLetter(rune(word[n-1])) {
		return nil
	}
	stem := word[:n-1]
	switch last, before := word[n-1], rune(word[n-2]); {
	case strings.HasSuffix(word, "ies") && n > 4:
		return []string{word[:n-3] + "y"}
	case hasAnySuffix(word, "ches", "shes", "sses", "xes", "zzes"):
		return []string{word[:n-2]}
	case hasAnySuffix(word, "ss", "us", "is", "x", "z", "ch", "sh"):
		return []string{word + "es"}
	case last == 's':
		return []string{stem, word + "es"}
	case last == 'y' && !isVowel(before):
		return []string{stem + "ies"}
	case last == 'o' && !isVowel(before):
		return []string{word + "s", word + "es"}
	}
	return []string{word + "s"}
}

func hasAnySuffix(word string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(word, suffix) })
}
