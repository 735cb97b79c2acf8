//go:build linux

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// print writes a result as a table for people.
func (r *result) print(w io.Writer) {
	gso := "on"
	if !r.GSO {
		gso = "off"
	}
	fmt.Fprintf(w, "%s: %s\n%s names, %s queries; %s; GSO of the server %s\n", r.Scenario, r.About,
		grouped(r.Names), grouped(r.Needed), rounds(len(r.ours().Runs)), gso)
	fmt.Fprintf(w, "  %-30s %8s %9s %21s %9s %10s %8s %7s %7s %7s %8s %8s %8s\n",
		"", "seconds", "queries/s", "(least to most)", "CPU µs/q", "datagr./n", "peak MiB", "wrong", "unknown", "lost", "overflow", "time", "CPU")
	for i, row := range r.Rows {
		inTime, inCPU := r.ratios(i)
		fmt.Fprintf(w, "  %-30s %8.3f %9s %21s %9.2f %10.3f %8.1f %7d %7d %7d %8d %8s %8s\n",
			row.label(), row.Wall.Median, grouped(int(row.Rate.Median)),
			fmt.Sprintf("(%s to %s)", grouped(int(row.Rate.Min)), grouped(int(row.Rate.Max))),
			row.CPU.Median, row.Datagrams.Median, row.Peak.Median,
			row.Sum.Wrong, row.Sum.Unknown, row.Sum.Lost, row.Overflow, inTime, inCPU)
	}
	for _, row := range r.Rows {
		if row.Sum.Example != "" {
			fmt.Fprintf(w, "  %s was wrong: %s\n", row.Tool, row.Sum.Example)
		}
	}
	for _, name := range r.Missing {
		fmt.Fprintf(w, "  %s is not there and was left out\n", name)
	}
	r.printMemory(w)
	for _, g := range r.Goals {
		relation, outcome := "at most", "missed"
		if g.Least {
			relation = "at least"
		}
		switch {
		case !g.Measured:
			outcome = "not measured"
		case g.Met:
			outcome = "met"
		}
		fmt.Fprintf(w, "  goal: %s %s %s: %s, %s\n", g.Goal, relation, short(g.Bound), short(g.Reached), outcome)
	}
	fmt.Fprintln(w)
}

// ratios compares row i with ours, in time and in CPU.
func (r *result) ratios(i int) (inTime, inCPU string) {
	if i == 0 {
		return "", ""
	}
	tool := r.Rows[i].Tool
	wall, _ := r.ratio(tool)
	cpu, _ := r.compare(tool, func(m *measurement) time.Duration { return m.usage.CPU })
	return fmt.Sprintf("%.2f×", wall), fmt.Sprintf("%.2f×", cpu)
}

// printMemory shows the samples of our last run at ten moments.
func (r *result) printMemory(w io.Writer) {
	runs := r.ours().Runs
	samples := runs[len(runs)-1].Samples
	if len(samples) == 0 {
		return
	}
	fmt.Fprint(w, "  resident MiB over time:")
	const moments = 10
	for i := range moments {
		s := samples[i*(len(samples)-1)/(moments-1)]
		fmt.Fprintf(w, " %.1f", float64(s.RSS)/(1<<20))
	}
	fmt.Fprintln(w)
}

func rounds(n int) string {
	if n == 1 {
		return "1 round"
	}
	return fmt.Sprintf("%d rounds, medians", n)
}

func short(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}

// grouped writes a number with commas between thousands.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
