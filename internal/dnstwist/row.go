// Package dnstwist writes results in dnstwist's formats: json, csv and list.
package dnstwist

import (
	"bufio"
	"bytes"
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
	Geoip  string   `json:"geoip,omitempty"` // country of the first of A
	State  string   `json:"state"`
	Tags   []string `json:"tags,omitempty"`

	Seed string `json:"-"`
}

// RowOf makes the row of a result. all keeps every record of a type, as
// dnstwist's -a does, instead of the first.
func RowOf(r *pipeline.Result, all bool) *Row {
	one := func(values []string) []string {
		if all {
			return values
		}
		return values[:min(1, len(values))]
	}
	return &Row{
		Geoip: r.Country, A: one(r.Answer.A), AAAA: one(r.Answer.AAAA), MX: one(r.Answer.MX), NS: one(r.Answer.NS),
		Domain: r.Variant.FQDN, Fuzzer: r.Variant.Algorithm.String(), State: r.Answer.State.String(), Tags: marks(r), Seed: r.Seed.FQDN,
	}
}

// marks are all that an event says about its answer in a word.
func marks(r *pipeline.Result) []string {
	if r.Answer.State != resolver.Registered {
		return nil
	}
	var words []string
	if r.Answer.Disputed != "" {
		words = append(words, "disputed")
	}
	words = append(words, r.Tags()...)
	if r.Answer.Wildcard != "" {
		words = append(words, "wildcard") // the last in the alphabet
	}
	return words
}

// Sort orders rows by seed and then, as dnstwist does, by fuzzer and domain.
func Sort(rows []*Row) {
	slices.SortFunc(rows, func(a, b *Row) int {
		// One after the other: most pairs differ early.
		if c := strings.Compare(a.Seed, b.Seed); c != 0 {
			return c
		}
		if c := strings.Compare(a.Fuzzer, b.Fuzzer); c != 0 {
			return c
		}
		return strings.Compare(a.Domain, b.Domain)
	})
}

// PrintJSON writes one indented array.
func PrintJSON(w *bufio.Writer, rows []*Row) error {
	if len(rows) == 0 {
		_, err := w.WriteString("[]\n")
		return err
	}
	const indent = "    "
	// One row at a time: all in one piece would take several times their memory.
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent(indent, indent)
	between := "[\n" + indent
	for _, row := range rows {
		text.Reset()
		text.WriteString(between)
		if err := encoder.Encode(row); err != nil {
			return err
		}
		if _, err := w.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n"))); err != nil {
			return err
		}
		between = ",\n" + indent
	}
	_, err := w.WriteString("\n]\n")
	return err
}

// PrintCSV writes a line of columns, then the rows; several values of a column
// are separated by semicolons. As in dnstwist there is a column of countries only
// if there is a country.
func PrintCSV(w *bufio.Writer, rows []*Row) error {
	const geoip = 6 // the column's place
	located := slices.ContainsFunc(rows, func(r *Row) bool { return r.Geoip != "" })
	out := csv.NewWriter(w)
	write := func(fields ...string) error {
		if !located {
			fields = slices.Delete(fields, geoip, geoip+1)
		}
		return out.Write(fields)
	}
	if err := write("fuzzer", "domain", "dns_a", "dns_aaaa", "dns_mx", "dns_ns", "geoip", "state", "tags"); err != nil {
		return err
	}
	for _, r := range rows {
		join := func(values []string) string { return strings.Join(values, ";") }
		if err := write(r.Fuzzer, r.Domain, join(r.A), join(r.AAAA), join(r.MX), join(r.NS), r.Geoip, r.State, join(r.Tags)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// PrintList writes a domain a line.
func PrintList(w *bufio.Writer, rows []*Row) error {
	for _, r := range rows {
		if _, err := fmt.Fprintln(w, r.Domain); err != nil {
			return err
		}
	}
	return nil
}
