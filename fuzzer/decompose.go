package fuzzer

import (
	"math"
	"strings"
)

// A look-alike's label is taken for: units, the brand or an edit of it, units.
// A unit is a hyphen, a word, or a short run of letters or digits that is no
// word. The pattern of a label is the sequence of its units' classes, with B
// for the brand and E for an edit of it: "B - w" is coinbase-login.

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
	if r.form.kind == "" {
		b.WriteByte('B')
	} else {
		b.WriteByte('E')
	}
	for _, u := range r.right {
		b.WriteString(" " + u.class)
	}
	return b.String()
}

// group is the context in which suffixes are counted.
func group(pattern string) string {
	switch {
	case pattern == "B":
		return "bare"
	case pattern == "E":
		return "edit"
	case strings.Contains(pattern, "w"):
		return "word"
	}
	return "run"
}
