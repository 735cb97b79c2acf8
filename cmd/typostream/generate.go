package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/fuzzer"
)

func generateCommand(t *terminal) *cli.Command {
	var input, format, output string
	options := join([]option{
		{name: "input", short: "i", usage: "seeds, lines or CSV, from `FILE`; - is standard input", set: into(&input)},
		{name: "format", short: "f", value: "list", usage: "`NAME`: list, json, jsonl", set: intoOneOf(&format, "list", "json", "jsonl")},
		{name: "output", short: "o", usage: "write to `FILE`, which must not exist yet", set: into(&output)},
	}, fuzzerOptions())
	return t.command(&cli.Command{
		Name: "generate", Usage: "print the look-alikes of domains; asks nothing of the network", ArgsUsage: "DOMAIN...",
		Description: `EXAMPLES:
   typostream generate example.com
   typostream generate --limit 100 example.com
   typostream generate --fuzzers homoglyph,tld-swap --tld suffixes.txt example.com
   typostream generate --profile dnstwist -f json example.com`,
	}, options, func(ctx context.Context, s *settings, arguments []string) (err error) {
		permute, err := t.permuter(s)
		if err != nil {
			return err
		}
		allow, err := t.readAllowList(s.Allow)
		if err != nil {
			return err
		}
		lists := &fuzzer.DomainLists{Allow: []*fuzzer.DomainList{allow}}
		in, closeInput, err := t.openSeeds(arguments, input)
		if err != nil {
			return err
		}
		defer closeInput()
		out, err := t.createOutput(output)
		if err != nil {
			return err
		}
		defer closing(out, &err)
		w := bufio.NewWriter(out)
		defer flushing(w, &err)

		printer := variantPrinter{w: w, format: format, all: s.Profile != fuzzer.DNSTwistName}
		var tally inputTally
		allowed := 0
		for plan := range t.plans(in, &tally, s, permute) {
			for v := range plan.permute(plan.seed.Seed).All() {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if lists.Allows(v.FQDN) {
					allowed++
					continue
				}
				if err := printer.print(v); err != nil {
					return err
				}
			}
		}
		if err := tally.err(in.name); err != nil {
			return err
		}
		if tally.bad+allowed > 0 {
			t.say("%s of %s%s", plural(printer.count, "name"), plural(tally.good, "seed"), leftOut(tally.bad, allowed))
		}
		return printer.end()
	})
}

// variantPrinter prints variants as they come. Its JSON array is that of
// dnstwist: four spaces, keys in order.
type variantPrinter struct {
	w      *bufio.Writer
	format string
	all    bool // tell every algorithm and the pass, not only the first
	count  int
}

func (p *variantPrinter) print(v fuzzer.Variant) error {
	p.count++
	if p.format == "list" {
		_, err := fmt.Fprintln(p.w, v.FQDN)
		return err
	}
	row := struct {
		Domain  string   `json:"domain"`
		Fuzzer  string   `json:"fuzzer"`
		Fuzzers []string `json:"fuzzers,omitempty"`
	}{Domain: v.FQDN, Fuzzer: v.Algorithm.String()}
	if p.all {
		for _, a := range v.Algorithms() {
			row.Fuzzers = append(row.Fuzzers, a.String())
		}
	}
	if p.format == "jsonl" {
		return json.NewEncoder(p.w).Encode(row)
	}
	text, err := json.MarshalIndent(row, "    ", "    ")
	if err != nil {
		return err
	}
	separator := ",\n    "
	if p.count == 1 {
		separator = "[\n    "
	}
	_, err = p.w.WriteString(separator + string(text))
	return err
}

func (p *variantPrinter) end() error {
	if p.format != "json" {
		return nil
	}
	text := "\n]\n"
	if p.count == 0 {
		text = "[]\n"
	}
	_, err := p.w.WriteString(text)
	return err
}

// into and intoOneOf put an option's value into a variable of its command.
func into(target *string) func(*settings, string, source) error {
	return text(func(*settings) *string { return target })
}

func intoOneOf(target *string, values ...string) func(*settings, string, source) error {
	return oneOf(func(*settings) *string { return target }, values...)
}

// closing and flushing let the end of an output count as an error of the whole.
func closing(c io.Closer, err *error) {
	if e := c.Close(); e != nil && *err == nil {
		*err = e
	}
}

func flushing(w interface{ Flush() error }, err *error) {
	if e := w.Flush(); e != nil && *err == nil {
		*err = e
	}
}
