package fuzzer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Weights are what a model takes besides counts: how far counts are believed,
// and what the embedded lists are worth against them. All are above zero.
// `go run ./internal/coverage nested` tells how they were chosen.
type Weights struct {
	All    float64 // squats that what was known before the counts stands for
	Narrow float64 // squats that a wider context stands for in a narrower one
	Damp   float64 // a brand counts for its squats to the power of 1-Damp

	Words  float64 // the embedded words, against the words that were seen with one brand only
	Common float64 // the suffixes that are used most, against those seen with one brand only
	Abused float64 // the suffixes of public reports on abuse
	Open   float64 // all suffixes open to everybody
	Home   float64 // the suffixes of all countries
	Hosts  float64 // hosts that give names away

	Edits float64 // a kind of edit that was not seen, among those of its class
	Sides float64 // patterns that were not seen, made of sides that were
}

// DefaultWeights are those that the embedded model was made with.
func DefaultWeights() Weights {
	return Weights{All: 48, Narrow: 64, Damp: 0.5, Words: 3, Common: 0.5, Abused: 3, Open: 2, Home: 0.1, Hosts: 0.2, Edits: 0.03, Sides: 0.5}
}

// Names returns the names of the weights, sorted.
func (w *Weights) Names() []string { return slices.Sorted(maps.Keys(w.named())) }

// Scale multiplies the weight of that name. A weight that is a share stays below one:
// ok is false where it would not, and for a name that is none.
func (w *Weights) Scale(name string, by float64) (ok bool) {
	weight, known := w.named()[name]
	if !known || name == "damp" && *weight*by >= 1 {
		return false
	}
	*weight *= by
	return true
}

// String lists the weights by name.
func (w Weights) String() string {
	var b strings.Builder
	for i, name := range w.Names() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %g", name, *w.named()[name])
	}
	return b.String()
}

// named returns the weights by the names they have in a model's file.
func (w *Weights) named() map[string]*float64 {
	return map[string]*float64{
		"all": &w.All, "narrow": &w.Narrow, "damp": &w.Damp, "words": &w.Words, "common": &w.Common,
		"abused": &w.Abused, "open": &w.Open, "home": &w.Home, "hosts": &w.Hosts, "edits": &w.Edits, "sides": &w.Sides,
	}
}
