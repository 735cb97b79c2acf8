//go:build linux

package main

import (
	"slices"
	"strings"
	"time"
)

// A result is what a scenario came to.
type result struct {
	Scenario string   `json:"scenario"`
	About    string   `json:"about"`
	Names    int      `json:"names"`
	Needed   int      `json:"queries"` // that the work takes if none is lost
	GSO      bool     `json:"gso"`     // of the server
	Ours     int      `json:"ours"`    // that many rows are typostream
	Rows     []*row   `json:"rows"`
	Missing  []string `json:"missing,omitempty"` // peers that are not there
	Goals    []judged `json:"goals"`
}

// judged is a goal and what was reached.
type judged struct {
	Goal     string  `json:"goal"`
	Least    bool    `json:"least"` // the bound is the least; else the most
	Bound    float64 `json:"bound"`
	Reached  float64 `json:"reached"`
	Measured bool    `json:"measured"`
	Met      bool    `json:"met"`
}

// A spread is the median of several runs, the least and the most.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// figures sum up the runs of a tool.
type figures struct {
	Wall      spread  `json:"seconds"`
	Rate      spread  `json:"queries_per_second"`
	CPU       spread  `json:"cpu_us_per_query"`
	Datagrams spread  `json:"datagrams_per_name"`
	Peak      spread  `json:"peak_mib"`
	Sum       verdict `json:"sum"`      // of all runs
	Overflow  uint64  `json:"overflow"` // datagrams that the server had no room for, of all runs
}

func summarise(runs []measurement, names, needed int) (f figures) {
	over := func(figure func(m *measurement) float64) spread {
		values := make([]float64, len(runs))
		for i := range runs {
			values[i] = figure(&runs[i])
		}
		return spreadOf(values)
	}
	f.Wall = over(func(m *measurement) float64 { return m.Wall.Seconds() })
	f.Rate = over(func(m *measurement) float64 { return float64(needed) / m.Wall.Seconds() })
	f.CPU = over(func(m *measurement) float64 { return float64(m.usage.CPU.Microseconds()) / float64(needed) })
	f.Datagrams = over(func(m *measurement) float64 {
		return float64(m.Server.Received+m.Server.Overflow+m.Server.TCP) / float64(names)
	})
	f.Peak = over(func(m *measurement) float64 { return float64(m.MaxRSS) / (1 << 20) })
	for _, m := range runs {
		f.Sum = f.Sum.plus(m.verdict)
		f.Overflow += m.Server.Overflow
	}
	return f
}

func spreadOf(values []float64) spread {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	if n == 0 {
		return spread{}
	}
	return spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

// ours is the typostream that the goals are for.
func (r *result) ours() *row { return r.Rows[0] }

// ratio is our speed as a multiple of a tool's: the median over the rounds, in
// each of which both ran shortly after one another.
func (r *result) ratio(tool string) (float64, bool) {
	return r.compare(tool, func(m *measurement) time.Duration { return m.Wall })
}

// compare is how many times as much a tool takes of something as we do.
func (r *result) compare(tool string, take func(*measurement) time.Duration) (float64, bool) {
	i := slices.IndexFunc(r.Rows, func(row *row) bool { return row.Tool == tool })
	if i < 0 {
		return 0, false
	}
	ours := r.ours().Runs
	ratios := make([]float64, len(ours))
	for k := range ours {
		ratios[k] = take(&r.Rows[i].Runs[k]).Seconds() / take(&ours[k]).Seconds()
	}
	return spreadOf(ratios).Median, true
}

// growth compares the memory in the last quarter of a run with that in the
// second one; the first is left for the start.
func (w *row) growth() (float64, bool) {
	last := w.Runs[len(w.Runs)-1]
	peak := func(from, to time.Duration) (rss int64) {
		for _, s := range last.Samples {
			if s.At >= from && s.At < to {
				rss = max(rss, s.RSS)
			}
		}
		return rss
	}
	early, late := peak(last.Wall/4, last.Wall/2), peak(last.Wall*3/4, last.Wall)
	if early == 0 || late == 0 {
		return 0, false
	}
	return float64(late) / float64(early), true
}

// judge fills in the goals.
func (r *result) judge(sc scenario) {
	for _, g := range sc.goals {
		j := judged{Goal: g.text, Least: g.least, Bound: g.bound}
		if j.Reached, j.Measured = g.figure(r); j.Measured {
			j.Met = g.least && j.Reached >= g.bound || !g.least && j.Reached <= g.bound
		} else {
			j.Reached = 0
		}
		r.Goals = append(r.Goals, j)
	}
}

// label is a tool with its setting.
func (w *row) label() string {
	return strings.TrimSpace(w.Tool + " " + strings.Join(w.Setting, " "))
}
