package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/typostream/typostream/fuzzer"
)

// squat is a line of the table.
type squat struct {
	seed   fuzzer.Seed
	name   string // A-labels
	source string
}

// squatList is a table of known squats.
type squatList struct {
	squats  []squat
	refused []string // what could not be used, by line
}

// readSquats reads the table. Lines with names that are none are refused one
// by one; without a header or any good line there is an error.
func readSquats(r io.Reader) (squatList, error) {
	var list squatList
	lines := bufio.NewScanner(r)
	columns := map[string]int{}
	for n := 1; lines.Scan(); n++ {
		fields := strings.Split(strings.TrimRight(lines.Text(), "\r"), "\t")
		if n == 1 {
			for i, name := range fields {
				columns[name] = i
			}
			for _, name := range []string{"seed", "squat", "source"} {
				if _, found := columns[name]; !found {
					return list, fmt.Errorf("line 1 names no column %q", name)
				}
			}
			continue
		}
		if len(fields) < len(columns) {
			list.refused = append(list.refused, fmt.Sprintf("line %d: too few columns", n))
			continue
		}
		seed, err := fuzzer.ParseSeed(fields[columns["seed"]])
		if err != nil {
			list.refused = append(list.refused, fmt.Sprintf("line %d: %v", n, err))
			continue
		}
		name, err := fuzzer.NormalizeFQDN(fields[columns["squat"]])
		if err != nil {
			list.refused = append(list.refused, fmt.Sprintf("line %d: %v", n, err))
			continue
		}
		list.squats = append(list.squats, squat{seed, name, fields[columns["source"]]})
	}
	if err := lines.Err(); err != nil {
		return list, err
	}
	if len(list.squats) == 0 {
		return list, fmt.Errorf("no squat that can be used")
	}
	return list, nil
}

// seeds returns the brands, sorted by name.
func (l squatList) seeds() []fuzzer.Seed {
	seeds := make([]fuzzer.Seed, 0, len(l.squats))
	for _, s := range l.squats {
		seeds = append(seeds, s.seed)
	}
	slices.SortFunc(seeds, func(a, b fuzzer.Seed) int { return strings.Compare(a.FQDN, b.FQDN) })
	return slices.Compact(seeds)
}

// squatsIf returns the squats that keep keeps.
func (l squatList) squatsIf(keep func(squat) bool) []squat {
	var squats []squat
	for _, s := range l.squats {
		if keep(s) {
			squats = append(squats, s)
		}
	}
	return squats
}

// of returns the squats of a seed.
func (l squatList) of(seed fuzzer.Seed) []squat {
	return l.squatsIf(func(s squat) bool { return s.seed == seed })
}

// sources tells in which source each seed is; of several, in the first by name.
func (l squatList) sources() map[fuzzer.Seed]string {
	sources := map[fuzzer.Seed]string{}
	for _, s := range l.squats {
		if known, found := sources[s.seed]; !found || s.source < known {
			sources[s.seed] = s.source
		}
	}
	return sources
}

// evidence is the list as the model counts it.
func (l squatList) evidence() *fuzzer.Evidence {
	pairs := make([]fuzzer.Pair, 0, len(l.squats))
	for _, s := range l.squats {
		pairs = append(pairs, fuzzer.Pair{Seed: s.seed, Squat: s.name})
	}
	return fuzzer.NewEvidence(pairs)
}

// others tells the seeds of other brands. A brand is a label: with amazon.co.jp
// goes amazon.com.
func others(seed fuzzer.Seed) func(fuzzer.Seed) bool {
	return func(other fuzzer.Seed) bool { return other.Label != seed.Label }
}
