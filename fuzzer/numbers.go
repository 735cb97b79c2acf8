package fuzzer

// leetOf pairs letters with the digits that stand for them.
var leetOf = map[rune]rune{
	'a': '4', 'b': '8', 'e': '3', 'g': '9', 'i': '1', 'o': '0', 's': '5', 't': '7', 'z': '2',
	'4': 'a', '8': 'b', '3': 'e', '9': 'g', '1': 'i', '0': 'o', '5': 's', '7': 't', '2': 'z',
}

// leet: see [Leet].
func (g *generator) leet(yield editFunc) bool {
	work := append(g.stepped[:0], g.label...)
	g.stepped = work
	for i, r := range g.label {
		first, found := leetOf[r]
		if !found {
			continue
		}
		work[i] = first
		if !yield(work) {
			return false
		}
		for j := i + 1; j < len(work); j++ {
			second, found := leetOf[g.label[j]]
			if !found {
				continue
			}
			work[j] = second
			if !yield(work) {
				return false
			}
			work[j] = g.label[j]
		}
		work[i] = r
	}
	for i, r := range g.label {
		if isLetter(r) && leetOf[r] != 0 {
			work[i] = leetOf[r]
		}
	}
	return yield(work)
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' }

// allOccurrences: see [AllOccurrences].
func (g *generator) allOccurrences(yield editFunc) bool {
	for i, r := range g.label {
		if containsRune(g.label[:i], r) || !containsRune(g.label[i+1:], r) {
			continue
		}
		if !g.replaceAll(yield, r, nil) {
			return false
		}
		for _, glyph := range asciiGlyphs().of(r) {
			if !g.replaceAll(yield, r, glyph) {
				return false
			}
		}
		if digit := leetOf[r]; digit != 0 && !g.replaceAll(yield, r, []rune{digit}) {
			return false
		}
		for _, layout := range keyboards {
			for _, c := range layout[r] {
				if !g.replaceAll(yield, r, []rune{c}) {
					return false
				}
			}
		}
		if !isVowel(r) {
			continue
		}
		for _, v := range vowels {
			if v != r && !g.replaceAll(yield, r, []rune{v}) {
				return false
			}
		}
	}
	return true
}

// replaceAll yields the label with repl in place of every r.
func (g *generator) replaceAll(yield editFunc, r rune, repl []rune) bool {
	g.edited = g.edited[:0]
	for _, c := range g.label {
		if c == r {
			g.edited = append(g.edited, repl...)
		} else {
			g.edited = append(g.edited, c)
		}
	}
	return yield(g.edited)
}

// numberWords are numbers and their words, homophones and ordinals included.
// Longer words come first where one begins with another.
var numberWords = []struct{ number, word string }{
	{"0", "zero"},
	{"1", "one"},
	{"2", "two"},
	{"3", "three"},
	{"4", "four"},
	{"5", "five"},
	{"6", "six"},
	{"7", "seven"},
	{"8", "eight"},
	{"9", "nine"},
	{"10", "ten"},
	{"11", "eleven"},
	{"12", "twelve"},
	{"13", "thirteen"},
	{"14", "fourteen"},
	{"15", "fifteen"},
	{"16", "sixteen"},
	{"17", "seventeen"},
	{"18", "eighteen"},
	{"19", "nineteen"},
	{"20", "twenty"},
	{"21", "twentyone"},
	{"24", "twentyfour"},
	{"30", "thirty"},
	{"40", "forty"},
	{"50", "fifty"},
	{"60", "sixty"},
	{"70", "seventy"},
	{"80", "eighty"},
	{"90", "ninety"},
	{"99", "ninetynine"},
	{"100", "hundred"},
	{"100", "onehundred"},
	{"365", "threesixtyfive"},
	{"1000", "thousand"},
	{"1st", "first"},
	{"2nd", "second"},
	{"3rd", "third"},
	{"5th", "fifth"},
	{"2", "to"},
	{"2", "too"},
	{"4", "for"},
	{"8", "ate"},
	{"1", "won"},
}

// numberWord: see [NumberWord].
func (g *generator) numberWord(yield editFunc) bool {
	for _, pair := range numberWords {
		number, word := []rune(pair.number), []rune(pair.word)
		if !g.replaceWord(yield, number, word) || !g.replaceWord(yield, word, number) {
			return false
		}
	}
	return true
}

// replaceWord yields the label with repl in place of word, once for each place
// where word stands. A number is taken only whole, not out of a longer one.
func (g *generator) replaceWord(yield editFunc, word, repl []rune) bool {
	for i := 0; i+len(word) <= len(g.label); i++ {
		end := i + len(word)
		if !hasPrefix(g.label[i:], word) {
			continue
		}
		if isDigit(word[0]) && (i > 0 && isDigit(g.label[i-1]) || end < len(g.label) && isDigit(g.label[end]) && isDigit(word[len(word)-1])) {
			continue
		}
		if !g.splice(yield, i, end, repl...) {
			return false
		}
	}
	return true
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }
