package fuzzer

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The model does not count single edits but kinds of them, which say what a
// squatter did in the words of no algorithm: several algorithms reach one
// edit, and new ones reach old kinds. A kind is a short name such as
// "insert-end" or "replace-key"; edits that are not single ones carry the name
// of the algorithm that made them.

// kindOf names the kind of edit that turns label into form; "" when it is not
// a single one. The two differ.
func kindOf(label, form []rune) string {
	i := 0
	for i < len(label) && i < len(form) && label[i] == form[i] {
		i++
	}
	j := 0
	for j < len(label)-i && j < len(form)-i && label[len(label)-1-j] == form[len(form)-1-j] {
		j++
	}
	gone, come := label[i:len(label)-j], form[i:len(form)-j]
	switch {
	case len(gone) == 0 && len(come) == 1:
		return insertKind(label, i, come[0])
	case len(gone) == 1 && len(come) == 0:
		return deleteKind(label, i)
	case len(gone) == 1 && len(come) == 1:
		return replaceKind(label, i, come[0])
	case len(gone) == 2 && len(come) == 2 && gone[0] == come[1] && gone[1] == come[0]:
		return "transpose" + end(len(label), i, i+2)
	}
	return glyphKind(label, form, gone, come)
}

// end marks an edit at the beginning or the end of a label, where fewer are
// possible and other ones are made.
func end(length, from, to int) string {
	switch {
	case from == 0:
		return "-first"
	case to == length:
		return "-last"
	}
	return ""
}

func insertKind(label []rune, i int, r rune) string {
	first, last := i == 0, i == len(label)
	switch {
	case r >= 0x80:
		return "insert-idn"
	case r == '-':
		return "insert-hyphen"
	case !last && label[i] == r || !first && label[i-1] == r:
		switch {
		case last:
			return "double-last"
		case first || i == 1 && label[0] == r:
			return "double-first"
		}
		return "double"
	case last && isDigit(r):
		return "append-digit"
	case last && r == 's':
		return "append-s"
	case last:
		return "append-letter"
	case first && isDigit(r):
		return "prepend-digit"
	case first:
		return "prepend-letter"
	case isDigit(r):
		return "insert-digit"
	case adjacent(label[i], r) || adjacent(label[i-1], r):
		return "insert-key"
	case strings.ContainsRune(vowels, r):
		return "insert-vowel"
	}
	return "insert-letter"
}

func deleteKind(label []rune, i int) string {
	switch {
	case label[i] == '-':
		return "delete-hyphen"
	case i > 0 && label[i-1] == label[i] || i < len(label)-1 && label[i+1] == label[i]:
		return "delete-double"
	}
	return "delete" + end(len(label), i, i+1)
}

func replaceKind(label []rune, i int, r rune) string {
	old := label[i]
	switch {
	case r >= 0x80:
		return oneGlyph[glyphClass(r)]
	case strings.ContainsRune("1il", old) && strings.ContainsRune("1ilj", r) || old == 'o' && r == '0' || old == '0' && r == 'o':
		return "replace-alike"
	case strings.Contains(glyphsASCII[string(old)], string(r)) || strings.Contains("a4e3s5t7g9b8z2i1", string([]rune{old, r})) && isDigit(r):
		return "replace-near"
	case r == '-':
		return "replace-hyphen"
	case i > 0 && label[i-1] == r || i < len(label)-1 && label[i+1] == r:
		return "replace-repeat"
	case strings.ContainsRune(vowels, old) && strings.ContainsRune(vowels, r):
		return "replace-vowel"
	case adjacent(old, r):
		return "replace-key"
	case strings.Contains("sz zs ck kc cs sc qk kq vw wv fv vf td dt bp pb iy yi uv vu mn nm xk", string([]rune{old, r})):
		return "replace-sound"
	case isDigit(r):
		return "replace-digit"
	}
	return "replace-letter" + end(len(label), i, i+1)
}

// glyphKind names edits that change one or more glyphs to look-alikes in place.
func glyphKind(label, form, gone, come []rune) string {
	if len(gone)+len(come) == 3 && len(gone) > 0 && len(come) > 0 {
		switch pair := string(gone) + " " + string(come); pair {
		case "m rn", "w vv", "d cl", "rn m", "vv w", "cl d", "m nn":
			return "replace-pair"
		}
	}
	if n := len(come); len(gone) == 0 && n >= 2 {
		at := prefixLen(label, form)
		switch {
		case at == len(label):
			return "repeat-end"
		case at <= n:
			return "repeat-start"
		}
		return "repeat"
	}
	if len(label) != len(form) {
		return ""
	}
	changed, foreign := 0, 0
	kinds := [2]string{}
	for i, r := range form {
		if r != label[i] {
			changed++
			if r >= 0x80 {
				kinds[foreign&1] = twoAlike[glyphClass(r)]
				foreign++
			}
		}
	}
	switch {
	case foreign == 2 && changed == 2 && kinds[0] == kinds[1]:
		return kinds[0]
	case foreign == 2 && changed == 2:
		return idnMixed
	case foreign > 2:
		return "idn3"
	}
	return ""
}

// idnMixed is the kind of two look-alikes beyond ASCII that are not of one kind.
const idnMixed = "idn2-mixed"

// Classes of letters beyond ASCII, by what was done to the ASCII letter.
const (
	classScript = iota // another script, or no letter of the table
	classLatin         // a Latin letter of its own
	classMark          // a mark that is none of the next two
	classAccent        // grave, acute, circumflex, tilde, diaeresis
	classDotBelow
	numClasses
)

var (
	oneGlyph = [numClasses]string{"idn1-script", "idn1-latin", "idn1-mark", "idn1-accent", "idn1-dot-below"}
	twoAlike = [numClasses]string{"idn2-script", "idn2-latin", "idn2-mark", "idn2-accent", "idn2-dot-below"}
)

// glyphClasses holds the classes of the letters below U+2000.
var glyphClasses = sync.OnceValue(func() *[0x2000]uint8 {
	table := new([0x2000]uint8)
	for r := rune(0x80); int(r) < len(table); r++ {
		parts := []rune(norm.NFD.String(string(r)))
		switch {
		case len(parts) > 1 && parts[1] == '\u0323':
			table[r] = classDotBelow
		case len(parts) > 1 && strings.ContainsRune("\u0300\u0301\u0302\u0303\u0308", parts[1]):
			table[r] = classAccent
		case len(parts) > 1:
			table[r] = classMark
		case unicode.Is(unicode.Latin, r):
			table[r] = classLatin
		}
	}
	return table
})

func glyphClass(r rune) uint8 {
	if table := glyphClasses(); r >= 0 && int(r) < len(table) {
		return table[r]
	}
	if unicode.Is(unicode.Latin, r) {
		return classLatin
	}
	return classScript
}

// prefixLen returns how many characters two labels begin with alike.
func prefixLen(a, b []rune) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}

// adjacent reports whether two keys are neighbours on one of the keyboards.
func adjacent(a, b rune) bool {
	for _, layout := range keyboards {
		for _, c := range layout[a] {
			if c == b {
				return true
			}
		}
	}
	return false
}
