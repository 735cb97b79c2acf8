package fuzzer

import (
	"slices"
	"strings"
	"sync"
)

// glyphSet is what the homoglyph algorithm swaps under one suffix.
type glyphSet struct {
	single [128][][]rune // by ASCII character; no table has other keys
	pairs  []glyphPair
}

// glyphPair is a key of two characters, such as rn → m.
type glyphPair struct {
	first, second rune
	glyphs        [][]rune
}

// newGlyphSet joins the ASCII table with the one of the suffix.
func newGlyphSet(suffix string) *glyphSet {
	accented, listed := glyphsBySuffix[suffix]
	if !listed {
		accented = glyphsUnicode
	}
	return joinGlyphs(glyphsASCII, accented)
}

func joinGlyphs(tables ...glyphTable) *glyphSet {
	set := &glyphSet{}
	for _, table := range tables {
		for key, list := range table {
			set.add([]rune(key), list)
		}
	}
	// Maps have no order, and generation needs one.
	slices.SortFunc(set.pairs, func(a, b glyphPair) int {
		return int(a.first-b.first)<<8 + int(a.second-b.second)
	})
	return set
}

func (s *glyphSet) add(key []rune, list string) {
	var glyphs [][]rune
	for glyph := range strings.SplitSeq(list, " ") {
		glyphs = append(glyphs, []rune(glyph))
	}
	if len(key) == 1 {
		s.single[key[0]] = append(s.single[key[0]], glyphs...)
		return
	}
	s.pairs = append(s.pairs, glyphPair{key[0], key[1], glyphs})
}

func (s *glyphSet) of(r rune) [][]rune {
	if r < 0 || int(r) >= len(s.single) {
		return nil
	}
	return s.single[r]
}

// homoglyph: see [Homoglyph]. First every name at one step, then those at two.
func (g *generator) homoglyph(yield editFunc) bool {
	if g.glyphs == nil {
		g.glyphs = newGlyphSet(g.under)
	}
	if !g.glyphs.mix(&g.edited, g.label, yield) {
		return false
	}
	return g.glyphs.mix(&g.edited, g.label, func(step []rune) bool {
		return g.glyphs.mix(&g.stepped, step, yield)
	})
}

// mix yields label with one swap: a character; both characters of a doubled
// one alike; or a pair that has a table entry of its own. buf is scratch.
func (s *glyphSet) mix(buf *[]rune, label []rune, yield editFunc) bool {
	for i, r := range label {
		for _, glyph := range s.of(r) {
			*buf = appendSplice((*buf)[:0], label, i, i+1, glyph)
			if !yield(*buf) {
				return false
			}
		}
	}
	for i := range len(label) - 1 {
		if label[i] == label[i+1] {
			for _, glyph := range s.of(label[i]) {
				*buf = append((*buf)[:0], label[:i]...)
				*buf = append(append(*buf, glyph...), glyph...)
				*buf = append(*buf, label[i+2:]...)
				if !yield(*buf) {
					return false
				}
			}
		}
		for _, pair := range s.pairs {
			if label[i] != pair.first || label[i+1] != pair.second {
				continue
			}
			for _, glyph := range pair.glyphs {
				*buf = appendSplice((*buf)[:0], label, i, i+2, glyph)
				if !yield(*buf) {
					return false
				}
			}
		}
	}
	return true
}

// cyrillic: see [Cyrillic].
func (g *generator) cyrillic(yield editFunc) bool {
	g.edited = g.edited[:0]
	for _, r := range g.label {
		c, found := cyrillicOf[r]
		if !found {
			return true
		}
		g.edited = append(g.edited, c)
	}
	return yield(g.edited)
}

// asciiGlyphs holds the ASCII look-alikes alone.
var asciiGlyphs = sync.OnceValue(func() *glyphSet { return joinGlyphs(glyphsASCII) })
