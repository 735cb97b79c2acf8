package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/typostream/typostream/fuzzer"
)

// train writes the counts of the whole list with a header that says what they are.
func train(w io.Writer, list squatList) error {
	squats := map[string]int{}
	for _, s := range list.squats {
		squats[s.source]++
	}
	fmt.Fprintf(w, "# Counts behind the ranking of look-alikes; docs/RANKING.md explains them.\n")
	fmt.Fprintf(w, "# Date: %s. Made by: go run ./internal/coverage train FILE\n", time.Now().UTC().Format("2006-01"))
	fmt.Fprintf(w, "# Counted in %d known squats of %d brands, by source:", len(list.squats), len(list.seeds()))
	for _, source := range slices.Sorted(maps.Keys(squats)) {
		fmt.Fprintf(w, " %s %d;", strings.Map(printable, source), squats[source])
	}
	fmt.Fprintf(w, "\n# Columns: context, key, count. A squat counts for 1/sqrt(squats of its brand) in the context.\n"+
		"# What was seen with one brand only is summed up under the key ?.\n")
	_, err := list.evidence().Count(fuzzer.DefaultWeights(), nil).WriteTo(w)
	return err
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
