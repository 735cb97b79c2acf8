package fuzzer

import (
	"math"
	"slices"
	"strings"
)

// A look-alike's label is taken for: units, the brand or an edit of it, units.
// A unit is a hyphen, a word, or a short run of letters or digits that is no
// word. The pattern of a label is the sequence of its units' classes, with B
// for the brand and E for an edit of it: "B - w" is example-login.

// unit is one piece of a label beside the brand.
type unit struct {
	class string // "-", "w", "x1" to "x3" letters, "n1" to "n4" digits
	text  string
	key   string // the model's key of a word
}

// reading is one way to understand a look-alike's label.
type reading struct {
	form        form
	left, right []unit
	cost        float64
}

// maxUnits is how many words and runs a side may have.
const maxUnits = 3

// lexicon knows words by text; the keys are those of the model.
type lexicon struct {
	keys    map[string]string
	longest int
}

func newLexicon(words []string, own [][2]string) *lexicon {
	l := &lexicon{keys: make(map[string]string, len(words)+len(own))}
	for _, w := range words {
		l.keys[w] = w
		l.longest = max(l.longest, len(w))
	}
	for _, pair := range own {
		l.keys[pair[1]] = pair[0]
		l.longest = max(l.longest, len(pair[1]))
	}
	return l
}

// split cuts a side into the fewest, longest units. ok is false when it is
// none of words and short runs.
func (l *lexicon) split(s string) (units []unit, cost float64, ok bool) {
	if s == "" {
		return nil, 0, true
	}
	type cell struct {
		cost float64
		n    int // words and runs
		u    unit
		from int
	}
	cells := make([]cell, len(s)+1)
	for i := range cells {
		cells[i].cost = math.Inf(1)
	}
	cells[0].cost = 0
	for i := range len(s) {
		if math.IsInf(cells[i].cost, 1) {
			continue
		}
		step := func(j int, cost float64, u unit) {
			n := cells[i].n
			if u.class != "-" {
				n++
				if i > 0 && cells[i].u.class != "-" && cells[i].u.class != "w" && u.class[0] == cells[i].u.class[0] {
					return // runs do not touch each other
				}
			} else if i > 0 && cells[i].u.class == "-" {
				return
			}
			if c := cells[i].cost + cost; n <= maxUnits && c < cells[j].cost {
				cells[j] = cell{c, n, u, i}
			}
		}
		if s[i] == '-' {
			step(i+1, 0.1, unit{class: "-", text: "-"})
		}
		for j := i + 1; j <= min(len(s), i+l.longest); j++ {
			if key, known := l.keys[s[i:j]]; known {
				cost := 1.0
				if j-i <= 2 {
					cost = 1.3
				}
				step(j, cost, unit{class: "w", text: s[i:j], key: key})
			}
		}
		for j := i + 4; j <= min(len(s), i+maxUnknown) && strings.IndexByte(s[i:j], '-') < 0; j++ {
			if pronounceable(s[i:j]) {
				step(j, 2.6+0.1*float64(j-i), unit{class: "w", text: s[i:j], key: unseenKey})
			}
		}
		for j := i + 1; j <= len(s) && isRun(s[i:j]); j++ {
			class := "x"
			if isDigit(rune(s[i])) {
				class = "n"
			}
			n := j - i
			if class == "x" && n > 3 || n > 4 {
				break
			}
			step(j, 1.1+0.4*float64(n), unit{class: class + string(rune('0'+n)), text: s[i:j]})
		}
	}
	if math.IsInf(cells[len(s)].cost, 1) {
		return nil, 0, false
	}
	for j := len(s); j > 0; j = cells[j].from {
		units = append([]unit{cells[j].u}, units...)
	}
	return units, cells[len(s)].cost, true
}

// maxUnknown is the length up to which letters may be a word that no list has.
const maxUnknown = 11

// pronounceable reports whether s looks like a word: letters alone, a vowel
// among every five.
func pronounceable(s string) bool {
	run := 0
	for _, c := range s {
		switch {
		case c < 'a' || c > 'z':
			return false
		case strings.ContainsRune("aeiouy", c):
			run = 0
		default:
			run++
		}
		if run == 5 {
			return false
		}
	}
	return strings.ContainsAny(s, "aeiouy")
}

// isRun reports whether s is all letters or all digits.
func isRun(s string) bool {
	return strings.Trim(s, "0123456789") == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// read returns the cheapest reading of a U-label, edits counting as a word more.
func (x *formIndex) read(label string, l *lexicon) (best reading, ok bool) {
	best.cost = math.Inf(1)
	x.find(label, func(f form, left, right string) bool {
		cost := 0.0
		if f.kind != "" {
			cost = 1.2
		}
		before, a, okBefore := l.split(left)
		after, b, okAfter := l.split(right)
		if okBefore && okAfter && cost+a+b < best.cost {
			best = reading{form: f, left: before, right: after, cost: cost + a + b}
		}
		return true
	})
	return best, !math.IsInf(best.cost, 1)
}

// pattern writes the classes of the units around the brand.
func (r *reading) pattern() string {
	var b strings.Builder
	for _, u := range r.left {
		b.WriteString(u.class + " ")
	}
	b.WriteString(brandClass(&r.form))
	for _, u := range r.right {
		b.WriteString(" " + u.class)
	}
	return b.String()
}

// brandClass is B for the brand as it is, else that of its edit: A, something
// added at an end, I, characters beyond ASCII, or E, any other typo. They differ
// in where they are registered: typos live on visitors who meant the brand's own
// suffix, a letter at the end makes room for one more campaign under a cheap one.
func brandClass(f *form) string {
	switch {
	case f.kind == "":
		return "B"
	case !f.ascii:
		return "I"
	case strings.HasPrefix(f.kind, "append-"), strings.HasPrefix(f.kind, "prepend-"), f.kind == "double-last", f.kind == "double-first":
		return "A"
	}
	return "E"
}

// brandClasses are the classes that brandClass tells apart.
var brandClasses = []string{"B", "E", "A", "I"}

func isBrand(class string) bool { return slices.Contains(brandClasses, class) }

// editTable is the model's table for the edits of a class.
func editTable(class string) string { return "edit-" + class }

// noSide is the key of a side with nothing on it.
const noSide = "."

// sideKey writes the classes of one side.
func sideKey(units []unit) string {
	if len(units) == 0 {
		return noSide
	}
	classes := make([]string, len(units))
	for i, u := range units {
		classes[i] = u.class
	}
	return strings.Join(classes, " ")
}

// group is the context in which suffixes are counted.
func group(pattern string) string {
	switch {
	case pattern == "B":
		return "bare"
	case pattern == "E":
		return "edit"
	case pattern == "A":
		return "end"
	case pattern == "I":
		return "idn"
	case strings.Contains(pattern, "w"):
		return "word"
	}
	return "run"
}

// Patterns tells what each squat of a seed is made of, as the model counts it:
// "B - w" is the brand, a hyphen and a word. Beside B for the brand stand A for
// the brand with a letter added at an end, I with letters beyond ASCII and E with
// another typo; w is a word of the embedded lists, ? one that they do not have,
// x1 to x3 are letters and n1 to n4 digits that are no word. The pattern is ""
// where the brand is not in the registrable label, or something is around it
// that no pattern describes.
func Patterns(seed Seed, squats []string) []string {
	index, lexicon := newFormIndex(seed, rankedAlgorithms()), newLexicon(priorWords().list, ownWords(seed))
	patterns := make([]string, len(squats))
	for i, squat := range squats {
		_, label, _, _ := split(squat)
		r, found := index.read(display(label), lexicon)
		if !found {
			continue
		}
		for _, units := range [][]unit{r.left, r.right} {
			for j := range units {
				if units[j].key == unseenKey {
					units[j].class = unseenKey
				}
			}
		}
		patterns[i] = r.pattern()
	}
	return patterns
}
