package fuzzer

import (
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

// Costs of an alignment, in hundredths of an edit. What stands beside the
// brand costs by word, so that a long word costs less than its letters.
const (
	costEdit    = 100
	costAlike   = 40 // a look-alike for a character or a pair
	costHyphen  = 80
	costDoubled = 90
	costKnown   = 100 // a known word beside the brand
	costStrange = 110 // an unknown one, and
	costRune    = 25  // for each character of it
	costJoint   = 5   // a hyphen there
)

// alignment is the cheapest way to read a text as the brand, edited, with words
// beside it.
type alignment struct {
	cost  int // all of it
	edits int // that of the edits alone
	steps []alignStep
	from  int // the brand's part of the text begins here
	to    int // and ends here
}

// alignStep turns brand[a:a2] into text[b:b2].
type alignStep struct{ a, a2, b, b2 int }

// beside is what the characters in front of each place of a text, and behind
// it, cost as words; it is the same for every brand.
type beside struct{ left, right []int }

// newBeside judges all beginnings and ends of text.
func newBeside(text []rune) beside {
	b := beside{make([]int, len(text)+1), make([]int, len(text)+1)}
	for i := range b.left {
		b.left[i] = besideCost(text[:i])
		b.right[i] = besideCost(text[i:])
	}
	return b
}

// nothingBeside lets nothing stand beside the brand.
func nothingBeside(n int) beside {
	b := beside{make([]int, n+1), make([]int, n+1)}
	for i := range n + 1 {
		b.left[i], b.right[i] = i*costEdit, (n-i)*costEdit
	}
	return b
}

func besideCost(text []rune) int {
	cost := 0
	for i, token := range splitRunes(text, '-') {
		if i > 0 {
			cost += costJoint
		}
		if len(token) == 0 {
			continue
		}
		for _, part := range segment(token) {
			if isKnownWord(string(part)) {
				cost += costKnown
			} else {
				cost += costStrange + costRune*len(part)
			}
		}
	}
	return cost
}

func isKnownWord(word string) bool {
	return listedWords()[word] || segmentWords()[word]
}

// listedWords are the words that look-alikes are made with.
var listedWords = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{}
	for _, w := range MergeLists(ComboWords(), GeneralWords(), HighRiskWords()) {
		words[w] = true
	}
	return words
})

func splitRunes(text []rune, at rune) [][]rune {
	var parts [][]rune
	for {
		i := indexRune(text, at)
		if i < 0 {
			return append(parts, text)
		}
		parts, text = append(parts, text[:i]), text[i+1:]
	}
}

// align finds the cheapest alignment. It takes time and memory in proportion to
// the product of the lengths.
func align(brand, text []rune, words beside) alignment {
	n, m := len(brand), len(text)
	cells := make([]alignCell, (n+1)*(m+1))
	at := func(a, b int) *alignCell { return &cells[a*(m+1)+b] }
	for a := range n + 1 {
		for b := range m + 1 {
			best := alignCell{cost: 1 << 30}
			if a == 0 {
				best = alignCell{words.left[b], alignStep{b2: -1}}
			}
			try := func(da, db, cost int) {
				if c := at(a-da, b-db).cost + cost; c < best.cost {
					best = alignCell{c, alignStep{a - da, a, b - db, b}}
				}
			}
			if a > 0 && b > 0 {
				switch {
				case brand[a-1] == text[b-1]:
					try(1, 1, 0)
				default:
					try(1, 1, costEdit)
				}
				for da := 1; da <= min(2, a); da++ {
					for db := 1; db <= min(2, b); db++ {
						if looksLike(brand[a-da:a], text[b-db:b]) {
							try(da, db, costAlike)
						}
					}
				}
			}
			if a > 1 && b > 1 && brand[a-2] == text[b-1] && brand[a-1] == text[b-2] && brand[a-1] != brand[a-2] {
				try(2, 2, costEdit)
			}
			if a > 0 {
				try(1, 0, dropCost(brand, a-1))
			}
			if b > 0 && a > 0 {
				try(0, 1, insertCost(brand, a, text[b-1]))
			}
			*at(a, b) = best
		}
	}
	return traceBack(n, m, at, words)
}

// alignCell is the cheapest way to a place in both.
type alignCell struct {
	cost int
	by   alignStep // by.b2 < 0: the brand begins here
}

// traceBack finds the cheapest end and goes back from it.
func traceBack(n, m int, at func(a, b int) *alignCell, words beside) alignment {
	end := 0
	for b := range m + 1 {
		if at(n, b).cost+words.right[b] < at(n, end).cost+words.right[end] {
			end = b
		}
	}
	result := alignment{cost: at(n, end).cost + words.right[end], to: end}
	a, b := n, end
	for at(a, b).by.b2 >= 0 {
		step := at(a, b).by
		result.steps = append(result.steps, step)
		a, b = step.a, step.b
	}
	slices.Reverse(result.steps)
	result.from = b
	result.edits = at(n, end).cost - words.left[b]
	return result
}

func dropCost(brand []rune, i int) int {
	switch {
	case brand[i] == '-':
		return costHyphen
	case i > 0 && brand[i-1] == brand[i]:
		return costDoubled
	}
	return costEdit
}

func insertCost(brand []rune, a int, r rune) int {
	switch {
	case r == '-':
		return costHyphen
	case brand[a-1] == r:
		return costDoubled
	}
	return costEdit
}

// glyphSwap is a character or pair and what looks like it; unused places are 0.
type glyphSwap struct{ from, to [2]rune }

// glyphSwaps are the look-alikes of all tables, for whatever registry.
var glyphSwaps = sync.OnceValue(func() map[glyphSwap]bool {
	swaps := map[glyphSwap]bool{}
	add := func(from, to []rune) {
		if len(from) <= 2 && len(to) <= 2 {
			var s glyphSwap
			copy(s.from[:], from)
			copy(s.to[:], to)
			swaps[s] = true
			swaps[glyphSwap{s.to, s.from}] = true
		}
	}
	tables := []glyphTable{
		glyphsASCII, glyphsUnicode, confusablesLatin, confusablesCyrillic, confusablesGreek, confusablesArmenian,
		resemblingCyrillic, resemblingGreek, resemblingArmenian,
	}
	for _, table := range glyphsBySuffix {
		tables = append(tables, table)
	}
	for _, table := range tables {
		for key, list := range table {
			for glyph := range strings.SplitSeq(list, " ") {
				add([]rune(key), []rune(glyph))
			}
		}
	}
	for letter, other := range cyrillicOf {
		add([]rune{letter}, []rune{other})
	}
	for _, pair := range strings.Fields("a4 b8 e3 g9 i1 o0 s5 t7 z2") {
		add([]rune(pair[:1]), []rune(pair[1:]))
	}
	return swaps
})

func looksLike(from, to []rune) bool {
	if slices.Equal(from, to) {
		return false
	}
	var s glyphSwap
	copy(s.from[:], from)
	copy(s.to[:], to)
	if glyphSwaps()[s] {
		return true
	}
	// A letter with a mark looks like the letter, in a table or not.
	return len(from) == 1 && len(to) == 1 && to[0] >= 0x80 && strings.HasPrefix(norm.NFD.String(string(to)), string(from))
}
