package fuzzer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Change is one difference between a seed and a name, in the order of the name.
type Change struct {
	Kind ChangeKind `json:"kind"`
	// From is what the seed has and To what the name has instead, as U-labels;
	// "" where there is nothing.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	// Note says more, such as "neighbouring key" or "U+0430 Cyrillic"; it may be "".
	Note string `json:"note,omitempty"`
}

// ChangeKind is what kind of difference a [Change] is. The set is closed.
type ChangeKind string

// The kinds of changes.
const (
	Inserted   ChangeKind = "insertion"
	Deleted    ChangeKind = "deletion"
	Replaced   ChangeKind = "replacement"
	Transposed ChangeKind = "transposition"
	LookAlike  ChangeKind = "look-alike" // a character, or a pair, that looks like the other
	Word       ChangeKind = "word"       // beside the brand
	Suffix     ChangeKind = "suffix"     // another public suffix
)

// mark writes text with its changes against brand in brackets, exam[p→q]le, and
// lists them. Neighbouring insertions, or deletions, are one change.
func (l *alignment) mark(brand, text []rune) (marked string, changes []Change) {
	var b strings.Builder
	if l.from > 0 {
		fmt.Fprintf(&b, "[+%s]", string(text[:l.from]))
		changes = append(changes, wordChanges(text[:l.from])...)
	}
	for i := 0; i < len(l.steps); i++ {
		s := l.steps[i]
		for inserts, deletes := s.a == s.a2, s.b == s.b2; (inserts || deletes) && i+1 < len(l.steps); i++ {
			next := l.steps[i+1]
			if inserts && next.a != next.a2 || deletes && next.b != next.b2 {
				break
			}
			s.a2, s.b2 = next.a2, next.b2
		}
		from, to := brand[s.a:s.a2], text[s.b:s.b2]
		switch {
		case slices.Equal(from, to):
			b.WriteString(string(from))
			continue
		case len(from) == 0:
			fmt.Fprintf(&b, "[+%s]", string(to))
		case len(to) == 0:
			fmt.Fprintf(&b, "[−%s]", string(from))
		case transposes(from, to):
			fmt.Fprintf(&b, "[%s⇄%s]", string(from), string(to))
		default:
			fmt.Fprintf(&b, "[%s→%s]", string(from), string(to))
		}
		changes = append(changes, changeOf(brand, s, from, to))
	}
	if l.to < len(text) {
		fmt.Fprintf(&b, "[+%s]", string(text[l.to:]))
		changes = append(changes, wordChanges(text[l.to:])...)
	}
	return b.String(), changes
}

func transposes(from, to []rune) bool {
	return len(from) == 2 && len(to) == 2 && from[0] == to[1] && from[1] == to[0] && !looksLike(from, to)
}

// changeOf names one step.
func changeOf(brand []rune, s alignStep, from, to []rune) Change {
	c := Change{From: string(from), To: string(to)}
	switch {
	case len(from) == 0:
		c.Kind = Inserted
		switch before, after := s.a-1, s.a; {
		case len(to) > 1:
		case to[0] == '-':
			c.Note = "hyphen"
		case before >= 0 && brand[before] == to[0] || after < len(brand) && brand[after] == to[0]:
			c.Note = "doubled"
		case before >= 0 && adjacent(brand[before], to[0]) || after < len(brand) && adjacent(brand[after], to[0]):
			c.Note = "neighbouring key"
		}
	case len(to) == 0:
		c.Kind = Deleted
	case looksLike(from, to):
		c.Kind = LookAlike
	case transposes(from, to):
		c.Kind = Transposed
	default:
		c.Kind = Replaced
		switch {
		case adjacent(from[0], to[0]):
			c.Note = "neighbouring key"
		case strings.ContainsRune(vowels, from[0]) && strings.ContainsRune(vowels, to[0]):
			c.Note = "another vowel"
		}
	}
	if foreign := codePoints(to); foreign != "" {
		c.Note = foreign
	}
	return c
}

// codePoints names the characters beyond ASCII, which look like what they are not.
func codePoints(text []rune) string {
	var names []string
	for _, r := range text {
		if r < 0x80 {
			continue
		}
		name := fmt.Sprintf("%U", r)
		for script, table := range unicode.Scripts {
			if unicode.Is(table, r) {
				name += " " + script
				break // a character is of one script
			}
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// wordChanges lists what stands beside the brand.
func wordChanges(text []rune) (changes []Change) {
	for _, token := range splitRunes(text, '-') {
		if len(token) == 0 {
			continue
		}
		for _, part := range segment(token) {
			c := Change{Kind: Word, To: string(part)}
			switch {
			case isKnownWord(c.To):
			case slices.Contains(tlds(), c.To):
				c.Note = "a suffix"
			default:
				c.Note = "no word of the lists"
			}
			changes = append(changes, c)
		}
	}
	if changes == nil {
		changes = append(changes, Change{Kind: Inserted, To: string(text), Note: "hyphen"})
	}
	return changes
}

// distance is the Damerau–Levenshtein distance of two labels: the least number
// of insertions, deletions, substitutions and transpositions of neighbours that
// turn one into the other, edits between transposed characters included
// (Lowrance and Wagner 1975).
func distance(a, b []rune) int {
	last := map[rune]int{} // row in which a character was last seen in a
	most := len(a) + len(b)
	width := len(b) + 2
	d := make([]int, (len(a)+2)*width)
	d[0] = most
	for i := range len(a) + 1 {
		d[(i+1)*width], d[(i+1)*width+1] = most, i
	}
	for j := range len(b) + 1 {
		d[j+1], d[width+j+1] = most, j
	}
	for i := 1; i <= len(a); i++ {
		column := 0 // in which a[i-1] was last seen in b
		for j := 1; j <= len(b); j++ {
			row, left := last[b[j-1]], column
			cost := 1
			if a[i-1] == b[j-1] {
				cost, column = 0, j
			}
			d[(i+1)*width+j+1] = min(
				d[i*width+j]+cost,
				d[(i+1)*width+j]+1,
				d[i*width+j+1]+1,
				d[row*width+left]+(i-row-1)+1+(j-left-1),
			)
		}
		last[a[i-1]] = i
	}
	return d[(len(a)+1)*width+len(b)+1]
}
