//go:build linux

package main

import (
	"fmt"
	"slices"

	"github.com/typostream/typostream/internal/dnsbench/zone"
)

// A verdict is what a tool's answers came to, name by name; for a tool that
// keeps no answers, query by query.
type verdict struct {
	Right   int    `json:"right"`
	Wrong   int    `json:"wrong"`   // another state or other records than the server has, twice the same name, a name not asked for
	Unknown int    `json:"unknown"` // the tool says that it does not know, or not all
	Lost    int    `json:"lost"`    // no word about the name
	Example string `json:"example,omitempty"`
}

func (v verdict) bad() int { return v.Wrong + v.Unknown + v.Lost }

func (v verdict) plus(o verdict) verdict {
	sum := verdict{Right: v.Right + o.Right, Wrong: v.Wrong + o.Wrong, Unknown: v.Unknown + o.Unknown, Lost: v.Lost + o.Lost, Example: v.Example}
	if sum.Example == "" {
		sum.Example = o.Example
	}
	return sum
}

// An opinion is what a tool says of a name.
type opinion struct {
	known      bool
	registered bool
	incomplete bool // the tool says that records may be missing
	records    zone.Records
}

// stateOf reads a response code.
func stateOf(rcode string) opinion {
	return opinion{known: rcode == "NOERROR" || rcode == "NXDOMAIN", registered: rcode == "NOERROR"}
}

// A checker compares opinions with what is true.
type checker struct {
	single bool // only NS was asked
	open   map[string]bool
	verdict
}

func newChecker(names []string, single bool) *checker {
	c := &checker{single: single, open: make(map[string]bool, len(names))}
	for _, name := range names {
		c.open[name] = true
	}
	return c
}

func (c *checker) wrong(format string, args ...any) {
	c.Wrong++
	if c.Example == "" {
		c.Example = fmt.Sprintf(format, args...)
	}
}

// take judges one answer.
func (c *checker) take(name string, o opinion) {
	if !c.open[name] {
		c.wrong("%s: told twice, or never asked for", name)
		return
	}
	c.open[name] = false
	if !o.known {
		c.Unknown++
		return
	}
	truth, registered := zone.Of(name)
	if o.registered != registered {
		c.wrong("%s: registered is %t, not %t", name, registered, o.registered)
		return
	}
	if c.single {
		truth = zone.Records{NS: truth.NS}
		o.records = zone.Records{NS: o.records.NS}
	}
	for _, pair := range [][2][]string{
		{truth.NS, o.records.NS}, {truth.A, o.records.A}, {truth.AAAA, o.records.AAAA}, {truth.MX, o.records.MX},
	} {
		slices.Sort(pair[1])
		if o.incomplete && len(pair[1]) == 0 && len(pair[0]) > 0 {
			c.Unknown++
			return
		}
		if !slices.Equal(pair[0], pair[1]) {
			c.wrong("%s: has %q, not %q", name, pair[0], pair[1])
			return
		}
	}
	c.Right++
}

// result counts the names without an answer, and ends the checker.
func (c *checker) result() verdict {
	for _, waiting := range c.open {
		if waiting {
			c.Lost++
		}
	}
	return c.verdict
}
