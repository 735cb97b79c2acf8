package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-json"
	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/fuzzer"
)

func explainCommand(t *terminal) *cli.Command {
	var seeds, format, output string
	options := join([]option{
		{name: "seeds", usage: "say which of the seeds in `FILE`, lines or CSV, each name imitates; - is standard input", set: into(&seeds)},
		{
			name: "format", short: "f", usage: "`NAME`: text, json, jsonl (default text on a terminal, else jsonl)",
			set: into(&format),
		},
		{name: "output", short: "o", usage: "write to `FILE`, which must not exist yet", set: into(&output)},
	}, listOptions(), []option{countryOption("a brand is at home under")})
	return t.command(&cli.Command{
		Name: "explain", Usage: "say how names come from a seed, or which seeds they imitate", ArgsUsage: "SEED NAME... | NAME... --seeds FILE",
		Description: `Says which algorithms make each name, with the characters that differ, its
rank and profiles; or that it is not generated, and what comes nearest. That a
name is not generated is an answer too, with exit code 0.

EXAMPLES:
   typostream explain example.com examp1e.com login.exmaple.com
   typostream explain --seeds brands.csv paypa1-login.com`,
	}, options, func(ctx context.Context, s *settings, arguments []string) error {
		switch format {
		case "":
			format = "jsonl"
			if isTerminal(t.stdout) && (output == "" || output == "-") {
				format = "text"
			}
		case "text", "json", "jsonl":
		default:
			return usagef("", "--format: must be text, json or jsonl (got %q)", format)
		}
		lists, err := t.explainLists(s)
		if err != nil {
			return err
		}
		if seeds != "" {
			return t.explainSeeds(ctx, arguments, seeds, format, output, lists)
		}
		return t.explainNames(arguments, format, output, lists)
	})
}

func (t *terminal) explainLists(s *settings) (lists fuzzer.ExplainOptions, err error) {
	if lists.Words, err = t.readWords(s.Dictionary...); err != nil {
		return lists, err
	}
	lists.Country = s.Country
	lists.Suffixes, err = t.readSuffixes(s.TLD...)
	return lists, err
}

// explainNames says how the further arguments come from the first.
func (t *terminal) explainNames(arguments []string, format, output string, lists fuzzer.ExplainOptions) error {
	if len(arguments) < 2 {
		return usagef("typostream explain example.com examp1e.com; or a name and --seeds FILE", "explain needs a seed and a name")
	}
	seed, err := fuzzer.ParseSeed(arguments[0])
	if err != nil {
		return usagef("", "%w", err)
	}
	names, err := lookAlikes(arguments[1:])
	if err != nil {
		return err
	}
	return t.printExplanations(format, output, func(p *explanationPrinter) error {
		for _, e := range fuzzer.Explain(seed, names, lists) {
			if err := p.print(newExplanationRow(e)); err != nil {
				return err
			}
		}
		return nil
	})
}

// explainSeeds says which seeds of a file the arguments imitate.
func (t *terminal) explainSeeds(ctx context.Context, arguments []string, path, format, output string, lists fuzzer.ExplainOptions) error {
	if len(arguments) == 0 {
		return usagef("typostream explain --seeds brands.csv examp1e.com", "no name given")
	}
	names, err := lookAlikes(arguments)
	if err != nil {
		return err
	}
	in, closeInput, err := t.openSeeds(nil, path)
	if err != nil {
		return err
	}
	defer closeInput()
	var tally inputTally
	var seeds []fuzzer.Seed
	for seed := range t.seeds(in, &tally) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		seeds = append(seeds, seed.Seed)
	}
	if err := tally.err(in.name); err != nil {
		return err
	}
	return t.printExplanations(format, output, func(p *explanationPrinter) error {
		for _, name := range names {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			list := fuzzer.Imitated(name, seeds, lists)
			for _, e := range list {
				if err := p.print(newExplanationRow(e)); err != nil {
					return err
				}
			}
			if len(list) > 0 {
				continue
			}
			if err := p.print(explanationRow{Name: name, Unicode: readable(name), Relation: "none", Seeds: len(seeds)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// lookAlikes reads the names that are to be explained.
func lookAlikes(arguments []string) ([]string, error) {
	names := make([]string, 0, len(arguments))
	for _, argument := range arguments {
		name, err := fuzzer.ParseLookAlike(argument)
		var fault *fuzzer.SeedError
		if errors.As(err, &fault) {
			return nil, usagef("", "%w", err)
		}
		names = append(names, name)
	}
	return names, nil
}

// explanationRow is an explanation as JSON has it.
type explanationRow struct {
	Name       string          `json:"name"`
	Unicode    string          `json:"unicode"`
	Seed       string          `json:"seed,omitempty"`
	Relation   string          `json:"relation"` // seed, own, generated, not-generated; none, of all Seeds
	Seeds      int             `json:"seeds,omitempty"`
	LookAlike  string          `json:"look_alike,omitempty"`
	Host       string          `json:"host,omitempty"`
	Made       string          `json:"made,omitempty"`
	Marked     string          `json:"marked,omitempty"`
	Changes    []fuzzer.Change `json:"changes,omitempty"`
	Algorithms []string        `json:"algorithms,omitempty"`
	Rank       int             `json:"rank,omitempty"`
	Likelihood float64         `json:"likelihood,omitempty"`
	Profiles   []string        `json:"profiles,omitempty"`
	DNSTwist   string          `json:"dnstwist,omitempty"`
	Distance   int             `json:"distance"`
	Nearest    *fuzzer.Nearest `json:"nearest,omitempty"`
	Reasons    []string        `json:"reasons,omitempty"`
}

func newExplanationRow(e fuzzer.Explanation) explanationRow {
	row := explanationRow{
		Name: e.Name, Unicode: readable(e.Name), Seed: e.Seed.FQDN, Relation: string(e.Relation), LookAlike: e.LookAlike, Host: e.Host, Made: e.Made,
		Marked: e.Marked, Changes: e.Changes, Rank: e.Rank, Likelihood: e.Likelihood, Profiles: e.Profiles, DNSTwist: e.DNSTwist,
		Distance: e.Distance, Nearest: e.Nearest, Reasons: e.Reasons,
	}
	for _, a := range e.Algorithms {
		row.Algorithms = append(row.Algorithms, a.String())
	}
	return row
}

// explanationPrinter prints explanations in one format.
type explanationPrinter struct {
	w      *bufio.Writer
	format string
	rows   []explanationRow // of json, which is one array
	count  int
}

func (t *terminal) printExplanations(format, output string, explain func(*explanationPrinter) error) (err error) {
	out, err := t.createOutput(output)
	if err != nil {
		return err
	}
	defer closing(out, &err)
	w := bufio.NewWriter(out)
	defer flushing(w, &err)
	p := &explanationPrinter{w: w, format: format}
	if err := explain(p); err != nil {
		return err
	}
	if format != "json" {
		return nil
	}
	text, err := json.MarshalIndentWithOption(p.rows, "", "    ", json.DisableHTMLEscape())
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

func (p *explanationPrinter) print(row explanationRow) error {
	p.count++
	switch p.format {
	case "json":
		p.rows = append(p.rows, row)
		return nil
	case "jsonl":
		line, err := json.MarshalWithOption(row, json.DisableHTMLEscape())
		if err != nil {
			return err
		}
		if _, err = p.w.Write(append(line, '\n')); err != nil {
			return err
		}
		return p.w.Flush()
	}
	if p.count > 1 {
		if _, err := p.w.WriteString("\n"); err != nil {
			return err
		}
	}
	if err := row.write(p.w); err != nil {
		return err
	}
	return p.w.Flush()
}

// write prints the explanation for a person: a sentence, then a line for each
// thing that is known.
func (r *explanationRow) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.sentence() + "\n")
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-11s "+format+"\n", append([]any{name}, args...)...)
	}
	if r.Host != "" && r.Marked != "" {
		line("host", "%s is a name below %s", bothWays(r.Name), readable(r.LookAlike))
	}
	if r.Marked != "" {
		line("change", "%s", printable(r.Marked))
	}
	for _, c := range r.Changes {
		if c.Note != "" {
			line("", "%s", describe(c))
		}
	}
	if r.Relation == string(fuzzer.IsGenerated) {
		r.writeOrigin(line)
	}
	if r.Relation == string(fuzzer.NotGenerated) {
		line("distance", "%s between the labels", plural(r.Distance, "edit"))
		if n := r.Nearest; n != nil {
			line("nearest", "%s (%s), %s away", readable(n.Name), n.Algorithm, plural(n.Distance, "edit"))
		}
		for _, reason := range r.Reasons {
			line("because", "%s", printable(reason))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeOrigin tells where a generated name comes from.
func (r *explanationRow) writeOrigin(line func(name, format string, args ...any)) {
	if r.Made != "" {
		line("made", "%s, because the seed's subdomain stays in front", bothWays(r.Made))
	}
	line("algorithms", "%s", strings.Join(r.Algorithms, ", "))
	switch {
	case r.Rank > 0:
		line("rank", "%d, likelihood %.2g", r.Rank, r.Likelihood)
	default:
		line("rank", "none: no ranked profile has it")
	}
	profiles := strings.Join(r.Profiles, ", ")
	if profiles == "" {
		profiles = "none; --fuzzers " + r.Algorithms[0] + " makes it"
	}
	line("profiles", "%s", profiles)
	line("dnstwist", "%s", dnstwistLabel(r))
}

// dnstwistLabel is the label, and whether dnstwist needs lists to find the name.
func dnstwistLabel(r *explanationRow) string {
	switch {
	case r.DNSTwist == "":
		return "does not make it"
	case len(r.Profiles) > 0 && r.Profiles[len(r.Profiles)-1] == fuzzer.DNSTwistName:
		return r.DNSTwist
	}
	return r.DNSTwist + ", with a list that has the word or suffix"
}

func (r *explanationRow) sentence() string {
	name := bothWays(r.Name)
	switch r.Relation {
	case string(fuzzer.IsSeed):
		return name + " is the seed itself"
	case string(fuzzer.IsOwn):
		return name + " belongs to the seed " + readable(r.Seed)
	case string(fuzzer.IsGenerated):
		return name + " imitates " + readable(r.Seed)
	case string(fuzzer.NotGenerated):
		return name + " is not generated from " + readable(r.Seed)
	}
	return fmt.Sprintf("%s imitates none of %s", name, plural(r.Seeds, "seed"))
}

// bothWays is the name as people read it and, if that differs, as the DNS does.
func bothWays(name string) string {
	if unicode := readable(name); unicode != name {
		return unicode + " (" + name + ")"
	}
	return name
}

// describe puts a change into words.
func describe(c fuzzer.Change) string {
	text := string(c.Kind)
	switch {
	case c.From == "":
		text += " " + c.To
	case c.To == "":
		text += " " + c.From
	default:
		text += " " + c.From + " → " + c.To
	}
	return printable(text + ": " + c.Note)
}
