package fuzzer

import "strings"

// generator makes the raw names of one seed, algorithm by algorithm. It owns
// scratch buffers, so it serves one goroutine; the names it hands out are valid
// until yield returns.
type generator struct {
	seed     Seed
	label    []rune
	words    [][]rune // of the pass at hand
	suffixes []string // of the pass at hand
	glyphs   *glyphSet

	edited  []rune // scratch of splice
	stepped []rune // scratch of the second homoglyph step
	joined  []rune // scratch of dictionary and various
	name    []byte // scratch of emit
}

func newGenerator(seed Seed) *generator {
	return &generator{
		seed:  seed,
		label: []rune(seed.Label),
		name:  make([]byte, 0, maxNameLen+maxLabelLen+1),
	}
}

// editFunc receives an edited label; returning false ends the generation.
type editFunc func(label []rune) bool

// nameFunc receives a valid A-label name; returning false ends the generation.
type nameFunc func(name []byte) bool

// run yields every name of one algorithm that IDNA and the DNS allow, repeats
// included, in a fixed order. It returns false when yield did.
func (g *generator) run(a Algorithm, yield nameFunc) bool {
	edit := func(label []rune) bool {
		return g.emit(g.seed.Subdomain, label, g.seed.PublicSuffix, yield)
	}
	switch a {
	case Original:
		return edit(g.label)
	case Addition:
		return g.addition(edit)
	case Bitsquatting:
		return g.bitsquatting(edit)
	case Cyrillic:
		return g.cyrillic(edit)
	case Homoglyph:
		return g.homoglyph(edit)
	case Hyphenation:
		return g.hyphenation(edit)
	case Insertion:
		return g.insertion(edit)
	case Omission:
		return g.omission(edit)
	case Plural:
		return g.plural(edit)
	case Repetition:
		return g.repetition(edit)
	case Replacement:
		return g.replacement(edit)
	case Subdomain:
		return g.subdomain(edit)
	case Transposition:
		return g.transposition(edit)
	case VowelSwap:
		return g.vowelSwap(edit)
	case Dictionary:
		return g.dictionary(edit)
	case TLDSwap:
		return g.tldSwap(yield)
	case Various:
		return g.various(yield)
	}
	return true
}

// emit encodes one name and yields it if it is valid. sub and suffix are
// A-labels that were checked before; label may hold dots, and may be empty
// (dnstwist then joins what is left).
func (g *generator) emit(sub string, label []rune, suffix string, yield nameFunc) bool {
	name := append(g.name[:0], sub...)
	for rest := label; len(rest) > 0; {
		part := rest
		if i := indexRune(rest, '.'); i >= 0 {
			part, rest = rest[:i], rest[i+1:]
			if len(rest) == 0 {
				return true // an empty label at the end
			}
		} else {
			rest = nil
		}
		if len(name) > 0 {
			name = append(name, '.')
		}
		var ok bool
		if name, ok = appendLabel(name, part); !ok {
			return true
		}
	}
	if len(name) > 0 {
		name = append(name, '.')
	} else if !strings.Contains(suffix, ".") {
		return true
	}
	name = append(name, suffix...)
	g.name = name
	if len(name) < minNameLen || len(name) > maxNameLen {
		return true
	}
	return yield(name)
}

// minNameLen is that of x.co.
const minNameLen = 4

func indexRune(s []rune, r rune) int {
	for i, c := range s {
		if c == r {
			return i
		}
	}
	return -1
}

// splice yields the label with repl in place of its runes i to j.
func (g *generator) splice(yield editFunc, i, j int, repl ...rune) bool {
	g.edited = appendSplice(g.edited[:0], g.label, i, j, repl)
	return yield(g.edited)
}

func appendSplice(dst, label []rune, i, j int, repl []rune) []rune {
	dst = append(dst, label[:i]...)
	dst = append(dst, repl...)
	return append(dst, label[j:]...)
}

// tldSwap: see [TLDSwap].
func (g *generator) tldSwap(yield nameFunc) bool {
	for _, suffix := range g.suffixes {
		if suffix == g.seed.PublicSuffix {
			continue
		}
		if !g.emit(g.seed.Subdomain, g.label, suffix, yield) {
			return false
		}
	}
	return true
}

// various: see [Various].
func (g *generator) various(yield nameFunc) bool {
	sub, suffix := g.seed.Subdomain, g.seed.PublicSuffix
	under := func(sub, suffix string, parts ...string) bool {
		g.joined = g.joined[:0]
		for _, part := range parts {
			g.joined = append(g.joined, []rune(part)...)
		}
		return g.emit(sub, g.joined, suffix, yield)
	}
	label := g.seed.Label
	if i := strings.LastIndexByte(suffix, '.'); i >= 0 {
		own, last := suffix[:i], suffix[i+1:]
		// sbi.bank.in → sbi.in and sbibank.in
		if !under(sub, last, label) || !under(sub, last, label, own) {
			return false
		}
	} else {
		if !under(sub, suffix, label, suffix) {
			return false
		}
		if suffix != "com" && (!under(sub, "com", label, "-", suffix) || !under(sub, "com", label, suffix)) {
			return false
		}
	}
	if sub == "" {
		return true
	}
	return under("", suffix, sub, label) &&
		under("", suffix, strings.ReplaceAll(sub, ".", ""), label) &&
		under("", suffix, sub, "-", label) &&
		under("", suffix, strings.ReplaceAll(sub, ".", "-"), "-", label)
}
