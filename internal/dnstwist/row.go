// Package dnstwist writes results in dnstwist's formats: json, csv and list.
package dnstwist

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-json"

	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

// Row is one line of dnstwist's json and csv, and the state. Its fields are in
// the order of their keys.
type Row struct {
	A      []string `json:"dns_a,omitempty"`
	AAAA   []string `json:"dns_aaaa,omitempty"`
	MX     []string `json:"dns_mx,omitempty"`
	NS     []string `json:"dns_ns,omitempty"`
	Domain string   `json:"domain"`
	Fuzzer string   `json:"fuzzer"`
	State  string   `json:"state"`
	Tags   []string `json:"tags,omitempty"`

	Seed string `json:"-"`
}

// RowOf makes the row of a result. all keeps every record of a type, as
// dnstwist's -a does, instead of the first.
func RowOf(r pipeline.Result, all bool) Row {
	one := func(values []string) []string {
		if all {
			return values
		}
		return values[:min(1, len(values))]
	}
	return Row{
		A: one(r.Answer.A), AAAA: one(r.Answer.AAAA), MX: one(r.Answer.MX), NS: one(r.Answer.NS),
		Domain: r.Variant.FQDN, Fuzzer: r.Variant.Algorithm.String(), State: r.Answer.State.String(), Tags: marks(r), Seed: r.Seed.FQDN,
	}
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

// Sort orders rows by seed and then, as dnstwist does, by fuzzer and domain.
func Sort(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Seed, b.Seed), cmp.Compare(a.Fuzzer, b.Fuzzer), cmp.Compare(a.Domain, b.Domain))
	})
}

// PrintJSON writes one indented array.
func PrintJSON(w *bufio.Writer, rows []Row) error {
	if rows == nil {
		rows = []Row{}
	}
	text, err := json.MarshalIndent(rows, "", "    ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// PrintCSV writes a line of columns, then the rows; several values of a column
// are separated by semicolons.
func PrintCSV(w *bufio.Writer, rows []Row) error {
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

// PrintList writes a domain a line.
func PrintList(w *bufio.Writer, rows []Row) error {
	for _, r := range rows {
		if _, err := fmt.Fprintln(w, r.Domain); err != nil {
			return err
		}
	}
	return nil
}
