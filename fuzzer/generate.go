package fuzzer

import "strings"

// generator makes the raw names of one seed, algorithm by algorithm. It owns
// scratch buffers, so it serves one goroutine; the names it hands out are valid
// until yield returns.
type generator struct {
	seed     Seed
	label    []rune
	words    [][]rune  // of the pass at hand
	suffixes []string  // of the pass at hand
	under    string    // the suffix whose registry decides, see editsUnder
	glyphs   *glyphSet // of that suffix; nil before the first use
	parts    [][]rune  // words of the label, see segments; nil before the first use
	carried  []rune    // what bits flip in: the label as the DNS carries it, to dnstwist the U-label

	edited  []rune // scratch of splice
	stepped []rune // scratch of the second homoglyph step
	joined  []rune // scratch of dictionary and various
	name    []byte // scratch of emit
}

func newGenerator(seed Seed) *generator {
	g := &generator{
		seed:  seed,
		label: []rune(seed.Label),
		name:  make([]byte, 0, maxNameLen+maxLabelLen+1),
	}
	g.carried = g.label
	if ascii, ok := appendLabel(nil, g.label); ok && !isASCII(seed.Label) {
		g.carried = []rune(string(ascii))
	}
	return g
}

// editFunc receives an edited label; returning false ends the generation.
type editFunc func(label []rune) bool

// nameFunc receives a valid A-label name; returning false ends the generation.
type nameFunc func(name []byte) bool

// run yields every name of one algorithm that IDNA and the DNS allow, repeats
// included, in a fixed order. It returns false when yield did.
func (g *generator) run(a Algorithm, yield nameFunc) bool {
	if a.editsLabel() {
		return g.edits(a, func(label []rune) bool {
			return g.emit(g.seed.Subdomain, label, g.seed.PublicSuffix, yield)
		})
	}
	switch a {
	case TLDSwap:
		return g.tldSwap(yield)
	case Various:
		return g.various(yield)
	case DotHyphen:
		return g.dotHyphen(yield)
	case TLDInLabel:
		return g.tldInLabel(yield)
	case BoundaryHyphen:
		return g.boundaryHyphen(yield)
	case WrongSecondLevel:
		return g.wrongSecondLevel(yield)
	case TLDAppend:
		return g.tldAppend(yield)
	case TLDBitflip:
		return g.tldBitflip(yield)
	case GiveAway:
		return g.giveAway(yield)
	}
	return true
}

// edits yields the labels of an algorithm that edits the label, valid or not,
// repeats and the label itself included, in a fixed order. The label may hold
// dots. It yields nothing for other algorithms, and returns false when yield did.
func (g *generator) edits(a Algorithm, yield editFunc) bool {
	return g.editsUnder(g.seed.PublicSuffix, a, yield)
}

// editsUnder is edits for labels that are to stand under another suffix: the
// registry there decides which letters [Homoglyph], [Confusable],
// [WholeScript] and [Diacritic] use.
func (g *generator) editsUnder(suffix string, a Algorithm, yield editFunc) bool {
	if g.under != suffix {
		g.under, g.glyphs = suffix, nil
	}
	if edit := labelEdits[a]; edit != nil {
		return edit(g, yield)
	}
	return true
}

// labelEdits are the algorithms that edit the label.
var labelEdits = [numAlgorithms]func(*generator, editFunc) bool{
	Original:          func(g *generator, yield editFunc) bool { return yield(g.label) },
	Addition:          (*generator).addition,
	Bitsquatting:      (*generator).bitsquatting,
	Cyrillic:          (*generator).cyrillic,
	Homoglyph:         (*generator).homoglyph,
	Hyphenation:       (*generator).hyphenation,
	Insertion:         (*generator).insertion,
	Omission:          (*generator).omission,
	Plural:            (*generator).plural,
	Repetition:        (*generator).repetition,
	Replacement:       (*generator).replacement,
	Subdomain:         (*generator).subdomain,
	Transposition:     (*generator).transposition,
	VowelSwap:         (*generator).vowelSwap,
	Dictionary:        (*generator).dictionary,
	Edit:              (*generator).edit,
	DoubleReplacement: (*generator).doubleReplacement,
	Prefix:            (*generator).prefix,
	Leet:              (*generator).leet,
	AllOccurrences:    (*generator).allOccurrences,
	VowelShuffle:      (*generator).vowelShuffle,
	Sound:             (*generator).sound,
	Misspelling:       (*generator).misspelling,
	NumberWord:        (*generator).numberWord,
	WordOrder:         (*generator).wordOrder,
	SingularPlural:    (*generator).singularPlural,
	Combosquat:        (*generator).combosquat,
	Dehyphenation:     (*generator).dehyphenation,
	HostDot:           (*generator).hostDot,
	Confusable:        (*generator).confusable,
	WholeScript:       (*generator).wholeScript,
	Diacritic:         (*generator).diacritic,
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
