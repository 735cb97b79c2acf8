package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/dnstwist"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

// resultWriter prints the results of a scan in one format: add is called for
// each result that is shown, in any order, end once.
type resultWriter interface {
	add(*pipeline.Result) error
	end() error
}

// newResultWriter chooses by --format. all keeps every record of a type, as
// dnstwist's -a does, instead of the first.
func newResultWriter(w *promptWriter, format string, all bool) resultWriter {
	switch format {
	case "jsonl":
		return &eventLines{w}
	case "json":
		return &collector{w: w, print: dnstwist.PrintJSON, all: all}
	case "csv":
		return &collector{w: w, print: dnstwist.PrintCSV, all: all}
	case "list":
		return &collector{w: w, print: dnstwist.PrintList, all: all}
	default:
		return &collector{w: w, print: printTable, all: all}
	}
}

// eventLines prints whole events as they come.
type eventLines struct{ w *promptWriter }

func (e *eventLines) add(r *pipeline.Result) error {
	line, err := emitter.Encode(r.Event())
	if err != nil {
		return err
	}
	_, err = e.w.Write(append(line, '\n'))
	return err
}

func (e *eventLines) end() error { return e.w.Flush() }

// collector keeps the rows to sort them.
type collector struct {
	w     *promptWriter
	all   bool
	print func(*bufio.Writer, []*dnstwist.Row) error
	rows  []*dnstwist.Row
}

func (c *collector) add(r *pipeline.Result) error {
	c.rows = append(c.rows, dnstwist.RowOf(r, c.all))
	return nil
}

func (c *collector) end() error {
	dnstwist.Sort(c.rows)
	out := bufio.NewWriter(c.w)
	if err := c.print(out, c.rows); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return c.w.Flush() // before the tally, which follows on the same terminal
}

// printTable is for people: names in their own script, records in a column.
func printTable(w *bufio.Writer, rows []*dnstwist.Row) error {
	fuzzers, domains := 0, 0
	for i := range rows {
		rows[i].Domain = readable(rows[i].Domain)
		fuzzers, domains = max(fuzzers, len(rows[i].Fuzzer)), max(domains, utf8.RuneCountInString(rows[i].Domain))
	}
	several := len(rows) > 0 && rows[0].Seed != rows[len(rows)-1].Seed
	seed := ""
	for i, r := range rows {
		if several && (i == 0 || r.Seed != seed) {
			heading := readable(r.Seed) + "\n"
			if i > 0 {
				heading = "\n" + heading
			}
			if _, err := w.WriteString(heading); err != nil {
				return err
			}
			seed = r.Seed
		}
		padding := strings.Repeat(" ", domains-utf8.RuneCountInString(r.Domain))
		if _, err := fmt.Fprintf(w, "%-*s  %s%s  %s\n", fuzzers, r.Fuzzer, r.Domain, padding, records(r)); err != nil {
			return err
		}
	}
	return nil
}

// records are the addresses, then the servers by kind; of a name that is not
// registered, its state.
func records(r *dnstwist.Row) string {
	if r.State != "registered" {
		return r.State
	}
	var parts []string
	for _, list := range []struct {
		prefix string
		values []string
	}{{"", located(r)}, {"", r.AAAA}, {"NS:", r.NS}, {"MX:", r.MX}} {
		if len(list.values) > 0 {
			parts = append(parts, list.prefix+strings.Join(list.values, ";"))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "-")
	}
	// What the records themselves show needs no word.
	tags := slices.DeleteFunc(slices.Clone(r.Tags), func(tag string) bool {
		return tag == resolver.TagSpecialAddress
	})
	if len(tags) > 0 {
		parts = append(parts, "["+strings.Join(tags, " ")+"]")
	}
	return strings.Join(parts, " ")
}

// located are the addresses with the country behind them, as dnstwist has it.
func located(r *dnstwist.Row) []string {
	if r.Geoip == "" || len(r.A) == 0 {
		return r.A
	}
	return []string{strings.Join(r.A, ";") + "/" + printable(strings.ReplaceAll(r.Geoip, " ", ""))}
}

// readable is the name in U-labels, if it can be shown so: Punycode can hide
// characters that a terminal obeys.
func readable(name string) string {
	if unicode, err := idna.Punycode.ToUnicode(name); err == nil && printable(unicode) == unicode {
		return unicode
	}
	return name
}
