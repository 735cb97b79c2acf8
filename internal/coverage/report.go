package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// missedFrom is the number of names a seed beyond which a squat counts as missed for -missed.
const missedFrom = 50000

// print writes the tables, and with missed what was not found within 50,000 names.
func (r report) print(w io.Writer, missed bool) error {
	mean := r.dnstwist / max(1, r.brands)
	fmt.Fprintf(w, "%d brands. Squats found within so many names a seed, counted from all other brands; dnstwist: its profile with the embedded lists, %d names a seed\n", r.brands, mean)
	if err := r.table(w, sizes, ours); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nThe same, counted from the brands of other sources alone\n")
	if err := r.table(w, sizes, func(res result) int { return res.foreign }); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nBy what the squats are made of: all, found within 5000 and within 50000 names a seed\n")
	if err := r.classes(w); err != nil || !missed {
		return err
	}
	for _, res := range r.results {
		if res.ours == 0 || res.ours > missedFrom {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", res.source, res.seed.FQDN, res.name, res.pattern, res.ours, res.dnstwist)
		}
	}
	return nil
}

func ours(r result) int { return r.ours }

// table writes hits, recall, and hits as a multiple of dnstwist's.
func (r report) table(w io.Writer, sizes []int, place func(result) int) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "source\tsquats\tdnstwist\t")
	for _, size := range sizes {
		fmt.Fprintf(table, "%d\t", size)
	}
	fmt.Fprintln(table)
	names, groups := r.bySource()
	for _, name := range names {
		results := groups[name]
		base := 0
		for _, res := range results {
			if res.dnstwist > 0 {
				base++
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%d (%.1f %%)\t", name, len(results), base, percent(base, len(results)))
		for _, size := range sizes {
			n := within(results, size, place)
			fmt.Fprintf(table, "%d (%.1f %%, %s)\t", n, percent(n, len(results)), times(n, base))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(1, of)) }

// times is a ratio, "–" to nothing.
func times(n, base int) string {
	if base == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f×", float64(n)/float64(base))
}
