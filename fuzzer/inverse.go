package fuzzer

import (
	"slices"
	"strings"
)

// inverse takes look-alikes apart to tell which algorithms reach them.
type inverse struct {
	forms   map[string]algorithmSet
	index   *formIndex
	lexicon *lexicon
	wholes  map[string]algorithmSet
	glyphs  *glyphSet
	enabled algorithmSet
}

func newInverse(seed Seed, b *builder) *inverse {
	x := &inverse{forms: map[string]algorithmSet{}, wholes: map[string]algorithmSet{}, glyphs: newGlyphSet(seed.PublicSuffix)}
	g := newGenerator(seed)
	for _, a := range b.options.Algorithms {
		x.enabled = x.enabled.with(a)
		if makesNames(a) {
			g.run(a, func(name []byte) bool {
				x.wholes[string(name)] = x.wholes[string(name)].with(a)
				return true
			})
		} else if a.editsLabel() && a != Homoglyph {
			g.edits(a, func(label []rune) bool {
				if text := string(label); text != seed.Label { // some swap a vowel for itself
					x.forms[text] = x.forms[text].with(a)
				}
				return true
			})
		}
	}
	x.index = indexForms(seed, b.list.forms)
	var words []string
	for _, side := range []string{"left", "right"} {
		for _, t := range b.wordsOf(side).tokens {
			words = append(words, t.text)
		}
	}
	x.lexicon = newLexicon(words, ownWords(seed))
	return x
}

// algorithmsOf returns all algorithms that reach v, its own among them.
func (r *ranking) algorithmsOf(v Variant) []Algorithm {
	x := r.inverse()
	set := algorithmSet(0).with(v.Algorithm) | x.wholes[v.FQDN]
	rest, kept := strings.CutPrefix(v.FQDN, subdomainPrefix(r.seed))
	first, suffix, _ := strings.Cut(rest, ".")
	if !kept || !r.suffixes[suffix] {
		return set.slice()
	}
	if suffix != r.seed.PublicSuffix && x.enabled.has(TLDSwap) {
		set = set.with(TLDSwap)
	}
	label := display(first)
	set |= x.forms[label]
	if x.lookAlike(label, r.seed.Label) {
		set = set.with(Homoglyph)
	}
	if reading, ok := x.index.read(label, x.lexicon); ok && len(reading.left)+len(reading.right) > 0 && x.enabled.has(Dictionary) {
		set = set.with(Dictionary)
	}
	return set.slice()
}

// lookAlike reports whether one or two steps of [Homoglyph] lead from brand to label.
func (x *inverse) lookAlike(label, brand string) bool {
	if !x.enabled.has(Homoglyph) || label == brand {
		return false
	}
	from, to := []rune(brand), []rune(label)
	if x.glyphs.reaches(from, to) {
		return true
	}
	// The second step may undo or continue the first, as in w, vv, uv.
	var buf []rune
	found := false
	x.glyphs.mix(&buf, from, func(step []rune) bool {
		found = x.glyphs.reaches(step, to)
		return !found
	})
	return found
}

// reaches reports whether a single swap turns from into to. What the two begin
// and end with alike leaves few places for it.
func (s *glyphSet) reaches(from, to []rune) bool {
	for i := 0; ; i++ {
		if s.swapped(from[i:], to[i:]) {
			return true
		}
		if i >= len(from)-1 || i >= len(to) || from[i] != to[i] {
			return false
		}
	}
}

// swapped tries every swap at the beginning.
func (s *glyphSet) swapped(from, to []rune) bool {
	try := func(n int, glyphs ...rune) bool {
		return len(to) >= len(glyphs) && slices.Equal(to[:len(glyphs)], glyphs) && slices.Equal(from[n:], to[len(glyphs):])
	}
	if len(from) == 0 {
		return false
	}
	for _, glyph := range s.of(from[0]) {
		if try(1, glyph...) {
			return true
		}
		if len(from) > 1 && from[0] == from[1] && try(2, slices.Concat(glyph, glyph)...) {
			return true
		}
	}
	for _, pair := range s.pairs {
		if len(from) < 2 || from[0] != pair.first || from[1] != pair.second {
			continue
		}
		for _, glyph := range pair.glyphs {
			if try(2, glyph...) {
				return true
			}
		}
	}
	return false
}

// Find returns the variant of a name with its place in the order, from 1. It
// streams the names up to it, so the answer about a name that is not there
// costs a whole generation.
func (p *Permutations) Find(fqdn string) (v Variant, place int, found bool) {
	fqdn = strings.ToLower(strings.TrimSuffix(fqdn, "."))
	for v := range p.All() {
		if place++; v.FQDN == fqdn {
			return v, place, true
		}
	}
	return Variant{}, 0, false
}
