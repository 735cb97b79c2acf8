package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-json"

	"golang.org/x/net/idna"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

// resultWriter prints the results of a scan in one format: add is called for
// each result that is shown, in any order, end once.
type resultWriter interface {
	add(pipeline.Result) error
	end() error
}

// newResultWriter chooses by --format. all keeps every record of a type, as
// dnstwist's -a does, instead of the first.
func newResultWriter(w *promptWriter, format string, all bool) resultWriter {
	switch format {
	case "jsonl":
		return &eventLines{w}
	case "json":
		return &collector{w: w, print: printJSON, all: all}
	case "csv":
		return &collector{w: w, print: printCSV, all: all}
	case "list":
		return &collector{w: w, print: printList, all: all}
	default:
		return &collector{w: w, print: printTable, all: all}
	}
}

// eventLines prints whole events as they come.
type eventLines struct{ w *promptWriter }

func (e *eventLines) add(r pipeline.Result) error {
	line, err := emitter.Encode(r.Event())
	if err != nil {
		return err
	}
	_, err = e.w.Write(append(line, '\n'))
	return err
}

func (e *eventLines) end() error { return e.w.Flush() }

// row is one line of dnstwist's json and csv, and the state. Its fields are in
// the order of their keys.
type row struct {
	A      []string `json:"dns_a,omitempty"`
	AAAA   []string `json:"dns_aaaa,omitempty"`
	MX     []string `json:"dns_mx,omitempty"`
	NS     []string `json:"dns_ns,omitempty"`
	Domain string   `json:"domain"`
	Fuzzer string   `json:"fuzzer"`
	State  string   `json:"state"`
	Tags   []string `json:"tags,omitempty"`

	seed string
}

// collector keeps the rows to sort them by seed and then, as dnstwist does, by
// fuzzer and domain.
type collector struct {
	w     *promptWriter
	all   bool
	print func(*bufio.Writer, []row) error
	rows  []row
}

func (c *collector) add(r pipeline.Result) error {
	one := func(values []string) []string {
		if c.all {
			return values
		}
		return values[:min(1, len(values))]
	}
	c.rows = append(c.rows, row{
		A: one(r.Answer.A), AAAA: one(r.Answer.AAAA), MX: one(r.Answer.MX), NS: one(r.Answer.NS),
		Domain: r.Variant.FQDN, Fuzzer: r.Variant.Algorithm.String(), State: r.Answer.State.String(), Tags: marks(r), seed: r.Seed.FQDN,
	})
	return nil
}

// marks are all that an event says about its answer in a word.
func marks(r pipeline.Result) []string {
	if r.Answer.State != resolver.Registered {
		return nil
	}
	d := &r.Event().Detail
	var words []string
	if d.Disputed != "" {
		words = append(words, "disputed")
	}
	words = append(words, d.Tags...)
	if d.Wildcard {
		words = append(words, "wildcard") // the last in the alphabet
	}
	return words
}

func (c *collector) end() error {
	slices.SortFunc(c.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.seed, b.seed), cmp.Compare(a.Fuzzer, b.Fuzzer), cmp.Compare(a.Domain, b.Domain))
	})
	out := bufio.NewWriter(c.w)
	if err := c.print(out, c.rows); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return c.w.Flush() // before the tally, which follows on the same terminal
}

func printJSON(w *bufio.Writer, rows []row) error {
	if rows == nil {
		rows = []row{}
	}
	text, err := json.MarshalIndent(rows, "", "    ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

func printCSV(w *bufio.Writer, rows []row) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"fuzzer", "domain", "dns_a", "dns_aaaa", "dns_mx", "dns_ns", "state", "tags"}); err != nil {
		return err
	}
	for _, r := range rows {
		join := func(values []string) string { return strings.Join(values, ";") }
		if err := out.Write([]string{r.Fuzzer, r.Domain, join(r.A), join(r.AAAA), join(r.MX), join(r.NS), r.State, join(r.Tags)}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func printList(w *bufio.Writer, rows []row) error {
	for _, r := range rows {
		if _, err := fmt.Fprintln(w, r.Domain); err != nil {
			return err
		}
	}
	return nil
}

// printTable is for people: names in their own script, records in a column.
func printTable(w *bufio.Writer, rows []row) error {
	fuzzers, domains := 0, 0
	for i := range rows {
		rows[i].Domain = readable(rows[i].Domain)
		fuzzers, domains = max(fuzzers, len(rows[i].Fuzzer)), max(domains, utf8.RuneCountInString(rows[i].Domain))
	}
	several := len(rows) > 0 && rows[0].seed != rows[len(rows)-1].seed
	seed := ""
	for i, r := range rows {
		if several && (i == 0 || r.seed != seed) {
			heading := readable(r.seed) + "\n"
			if i > 0 {
				heading = "\n" + heading
			}
			if _, err := w.WriteString(heading); err != nil {
				return err
			}
			seed = r.seed
		}
		padding := strings.Repeat(" ", domains-utf8.RuneCountInString(r.Domain))
		if _, err := fmt.Fprintf(w, "%-*s  %s%s  %s\n", fuzzers, r.Fuzzer, r.Domain, padding, r.records()); err != nil {
			return err
		}
	}
	return nil
}

// records are the addresses, then the servers by kind; of a name that is not
// registered, its state.
func (r row) records() string {
	if r.State != "registered" {
		return r.State
	}
	var parts []string
	for _, list := range []struct {
		prefix string
		values []string
	}{{"", r.A}, {"", r.AAAA}, {"NS:", r.NS}, {"MX:", r.MX}} {
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

// readable is the name in U-labels, if it can be shown so: Punycode can hide
// characters that a terminal obeys.
func readable(name string) string {
	if unicode, err := idna.Punycode.ToUnicode(name); err == nil && printable(unicode) == unicode {
		return unicode
	}
	return name
}
