package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/resolver"
)

func resolveCommand(t *terminal) *cli.Command {
	var input, output, types string
	options := join([]option{
		{name: "input", short: "i", value: "-", usage: "names, one a line, from `FILE`; - is standard input", set: into(&input)},
		{name: "output", short: "o", usage: "write to `FILE`, which must not exist yet", set: into(&output)},
		{name: "types", value: "ns,a,aaaa,mx", usage: "ask these `TYPES` only, soa is another; the first decides whether a name exists", set: into(&types)},
	}, dnsOptions(), logOptions("text"))
	return t.command(&cli.Command{
		Name: "resolve", Usage: "ask the DNS about names and print a JSON line for each", ArgsUsage: "[NAME...]",
		Description: `EXAMPLES:
   typostream generate example.com | typostream resolve
   typostream resolve --types a --nameservers 127.0.0.1:5335 -i names.txt

` + exitCodesHelp,
	}, options, func(ctx context.Context, s *settings, arguments []string) (err error) {
		asked, err := resolver.ParseTypes(types)
		if err != nil {
			return s.resolverFault(err)
		}
		var in io.Reader
		name := ""
		switch {
		case len(arguments) > 0:
			in = strings.NewReader(strings.Join(arguments, "\n"))
		case input == "-":
			in, name = t.stdin, "standard input"
		default:
			file, err := openFile(input)
			if err != nil {
				return err
			}
			defer file.Close()
			in, name = file, input
		}
		resolve, err := newResolver(ctx, s, t.logger(s), asked...)
		if err != nil {
			return err
		}
		defer resolve.Close()
		out, err := t.createOutput(output)
		if err != nil {
			return err
		}
		defer closing(out, &err)
		w := newPromptWriter(out)
		defer flushing(w, &err)
		return t.resolveNames(ctx, s, resolve, &nameReader{t: t, r: in, name: name}, w)
	})
}

// answerLine is the output for one name.
type answerLine struct {
	Name   string   `json:"name"`
	State  string   `json:"state"`
	RCode  string   `json:"rcode"`
	Reason string   `json:"reason,omitempty"`
	NS     []string `json:"ns,omitempty"`
	A      []string `json:"a,omitempty"`
	AAAA   []string `json:"aaaa,omitempty"`
	MX     []string `json:"mx,omitempty"`
	CNAME  []string `json:"cname,omitempty"`
	SOA    []string `json:"soa,omitempty"`

	Wildcard   bool     `json:"wildcard,omitempty"`
	WildcardOf string   `json:"wildcard_of,omitempty"`
	Disputed   string   `json:"disputed,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Incomplete []string `json:"incomplete,omitempty"` // types that no server gave an answer for
	Server     string   `json:"server"`
}

func (t *terminal) resolveNames(ctx context.Context, s *settings, r *resolver.Resolver, names *nameReader, w *promptWriter) error {
	begun := time.Now()
	asked, found, unknown := 0, 0, 0
	out := json.NewEncoder(w)
	var line answerLine // one for all: they are written in turn
	err := resolver.Each(ctx, r, names.all(), func(name string) string { return name }, func(name string, a resolver.Answer) error {
		asked++
		switch a.State {
		case resolver.Registered:
			found++
		case resolver.Unknown:
			unknown++
		}
		line = answerLine{
			Name: a.Name, State: a.State.String(), RCode: a.RCode, Reason: a.Reason,
			NS: a.NS, A: a.A, AAAA: a.AAAA, MX: a.MX, CNAME: a.CNAME, SOA: a.SOA, Server: a.Server,
			Wildcard: a.Wildcard != "", WildcardOf: a.Wildcard, Disputed: a.Disputed, Tags: a.Tags(), Incomplete: a.Incomplete,
		}
		return out.Encode(&line) // with its end, in one write
	})
	tally := &names.tally
	if err == nil {
		err = tally.err(cmp.Or(names.name, "the command line"))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	p := progress{queries: r.Stats().Queries, elapsed: time.Since(begun)}
	report := fmt.Sprintf("%s: %d registered, %d absent, %d unknown; %.1f s, %.0f qps",
		plural(asked, "name"), found, asked-found-unknown, unknown, p.elapsed.Seconds(), p.rate())
	if tally.bad > 0 {
		report += fmt.Sprintf("; %s refused", plural(tally.bad, "line"))
	}
	t.say("%s", report)
	if err != nil {
		return err
	}
	return tooManyUnknown(unknown, asked, s.MaxUnknown)
}

// nameReader reads names, one a line; what is none is told and counted.
type nameReader struct {
	t     *terminal
	r     io.Reader
	name  string // of r, for messages; "" for arguments
	tally inputTally
}

// maxNameLine bounds a line in bytes; the longest domain name in U-labels is
// far shorter.
const maxNameLine = 64 << 10

func (n *nameReader) all() iter.Seq[string] {
	tally := &n.tally
	tally.hint = "one name a line"
	return func(yield func(string) bool) {
		lines := bufio.NewReaderSize(n.r, maxNameLine)
		for number := 1; ; number++ {
			line, err := lines.ReadSlice('\n')
			tooLong := errors.Is(err, bufio.ErrBufferFull)
			text := string(bytes.TrimSpace(bytes.TrimPrefix(line[:min(len(line), 1024)], []byte("\xef\xbb\xbf"))))
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = lines.ReadSlice('\n')
			}
			if tooLong || text != "" && text[0] != '#' {
				name, bad := fuzzer.NormalizeFQDN(text)
				switch {
				case bad != nil:
					if n.name != "" {
						bad = fmt.Errorf("%s: line %d: %w", n.name, number, bad)
					}
					tally.addBad(n.t, bad)
				default:
					tally.addGood(n.t)
					if !yield(name) {
						return
					}
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				tally.broken = fmt.Errorf("%s: %w", n.name, cause(err))
				return
			}
		}
	}
}
