package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/emitter"
)

// dlqFlags choose dead letters. A letter is chosen if it meets all that are
// given.
type dlqFlags struct {
	topic, failure string
	json, raw, all bool
}

func (f *dlqFlags) options() []option {
	return []option{
		{name: "topic", usage: "only letters of `TOPIC`", set: into(&f.topic)},
		{name: "type", usage: "only letters of this failure `TYPE`, as list shows it", set: into(&f.failure)},
	}
}

func dlqCommand(t *terminal) *cli.Command {
	var f dlqFlags
	toggleInto := func(name, usage string, target *bool) option {
		return option{name: name, value: "false", toggle: true, usage: usage, set: toggle(func(*settings) *bool { return target })}
	}
	base := join(f.options(), []option{compatOption(), outputDirOption("out")})
	replaying := join(base, brokerOptions(), []option{replayRateOption()}, logOptions("text"))
	cmd := &cli.Command{
		Name: "dlq", Usage: "look at the dead letters, send them again, or delete them",
		Description: `EXAMPLES:
   typostream dlq list
   typostream dlq show --type kafka_send_error
   typostream dlq show --raw 3f0c9a1e55d2b704
   typostream dlq replay --bootstrap 127.0.0.1:9092
   typostream dlq purge --type json_parse_error

All of them work beside a worker that writes to the same file.`,
		Commands: []*cli.Command{
			t.command(&cli.Command{Name: "list", Usage: "count them by topic and reason"},
				join(base, []option{toggleInto("json", "print JSON", &f.json)}), func(_ context.Context, s *settings, arguments []string) error {
					if len(arguments) > 0 {
						return usagef("typostream dlq show ID", "dlq list takes no arguments (got %q)", arguments[0])
					}
					return t.dlqList(s, &f)
				}),
			t.command(&cli.Command{Name: "show", Usage: "print them, a JSON object a line with an id", ArgsUsage: "[ID...]"},
				join(base, []option{toggleInto("raw", "print the original bytes instead, a line feed after each", &f.raw)}),
				func(_ context.Context, s *settings, ids []string) error { return t.dlqShow(s, &f, ids) }),
			t.command(&cli.Command{
				Name: "replay", Usage: "send events to their topics again, byte for byte; what Kafka takes is taken out", ArgsUsage: "[ID...]",
				Description: exitCodesHelp,
			}, replaying, func(ctx context.Context, s *settings, ids []string) error { return t.dlqReplay(ctx, s, &f, ids) }),
			t.command(&cli.Command{Name: "purge", Usage: "delete those that are named", ArgsUsage: "[ID...]"},
				join(base, []option{toggleInto("all", "delete all", &f.all)}),
				func(ctx context.Context, s *settings, ids []string) error { return t.dlqPurge(ctx, s, &f, ids) }),
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if name := cmd.Args().First(); name != "" {
				return usagef("there are list, show, replay and purge", "dlq has no command %q", name)
			}
			return usagef("there are list, show, replay and purge", "no command for dlq given")
		},
	}
	for _, sub := range cmd.Commands {
		sub.OnUsageError = onUsageError
	}
	return cmd
}

// chosen returns what tells whether a letter is meant. An id may be cut short.
func (f *dlqFlags) chosen(ids []string) func(emitter.StoredLetter) bool {
	return func(l emitter.StoredLetter) bool {
		return (f.topic == "" || f.topic == l.Topic) && (f.failure == "" || f.failure == l.FailureType) &&
			(len(ids) == 0 || slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(l.ID, id) }))
	}
}

// letters calls each with the chosen letters and warns of lines that are none.
func (t *terminal) letters(s *settings, chosen func(emitter.StoredLetter) bool, each func(emitter.StoredLetter) error) error {
	var failed error
	bad, err := emitter.ReadDeadLetters(s.OutputDir, func(l emitter.StoredLetter) bool {
		if chosen(l) {
			failed = each(l)
		}
		return failed == nil
	})
	if bad > 0 {
		t.say("warning: no dead letter in %s of the file in %s", plural(bad, "line"), s.OutputDir)
	}
	return errors.Join(failed, err)
}

// dlqGroup is a line of the list.
type dlqGroup struct {
	Topic string `json:"topic"`
	Type  string `json:"failure_type"`
	Code  int    `json:"code,omitempty"`
	Count int    `json:"count"`
	Bytes int    `json:"bytes"`
	First string `json:"first"`
	Last  string `json:"last"`
	Error string `json:"error"` // of the last
}

func (t *terminal) dlqList(s *settings, f *dlqFlags) error {
	type kind struct {
		topic, failure string
		code           int
	}
	groups := map[kind]*dlqGroup{}
	total := 0
	err := t.letters(s, f.chosen(nil), func(l emitter.StoredLetter) error {
		k := kind{l.Topic, l.FailureType, l.Code}
		at := l.Time.Format(time.RFC3339)
		g := groups[k]
		if g == nil {
			g = &dlqGroup{Topic: l.Topic, Type: l.FailureType, Code: l.Code, First: at}
			groups[k] = g
		}
		g.Count++
		g.Bytes += len(l.Raw)
		g.Last, g.Error = at, l.Reason
		total++
		return nil
	})
	if err != nil {
		return err
	}
	list := slices.SortedFunc(maps.Values(groups), func(a, b *dlqGroup) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Code, b.Code))
	})
	if f.json {
		encoder := json.NewEncoder(t.output())
		encoder.SetEscapeHTML(false)
		for _, g := range list {
			if err := encoder.Encode(g); err != nil {
				return err
			}
		}
		return nil
	}
	if total > 0 {
		w := tabwriter.NewWriter(t.output(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "TOPIC\tTYPE\tCODE\tCOUNT\tFIRST\tLAST\tERROR")
		for _, g := range list {
			code := "-"
			if g.Code != 0 {
				code = fmt.Sprint(g.Code)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", cmp.Or(printable(g.Topic), "-"), printable(g.Type), code, g.Count, g.First, g.Last, short(printable(g.Error)))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	t.say("%s in %s", plural(total, "dead letter"), s.OutputDir)
	return nil
}

// short cuts a text to what a table can bear.
func short(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

func (t *terminal) dlqShow(s *settings, f *dlqFlags, ids []string) error {
	found := 0
	err := t.letters(s, f.chosen(ids), func(l emitter.StoredLetter) error {
		found++
		if f.raw {
			_, err := fmt.Fprintf(t.output(), "%s\n", l.Raw)
			return err
		}
		_, err := fmt.Fprintf(t.output(), "{\"id\":%q,%s\n", l.ID, l.Line[1:])
		return err
	})
	if err == nil && found == 0 && len(ids) > 0 {
		return usagef("typostream dlq show lists them", "no dead letter %q in %s", ids[0], s.OutputDir)
	}
	return err
}

func (t *terminal) dlqPurge(ctx context.Context, s *settings, f *dlqFlags, ids []string) error {
	if !f.all && len(ids) == 0 && f.topic == "" && f.failure == "" {
		return usagef("name letters by id, --topic or --type, or all by --all", "dlq purge without anything named would delete every dead letter")
	}
	removed, err := emitter.RemoveDeadLetters(ctx, s.OutputDir, f.chosen(ids))
	if err != nil {
		return err
	}
	t.say("%s deleted", plural(removed, "dead letter"))
	return nil
}

// replayBatch is how many letters are sent at once.
const replayBatch = 500

// dlqReplay sends events that Kafka refused. Those that it takes now are taken
// out of the file; those that it refuses again, or does not answer for, stay.
func (t *terminal) dlqReplay(ctx context.Context, s *settings, f *dlqFlags, ids []string) (err error) {
	log := t.logger(s)
	kafka, err := newKafka(s, nil, nil, nil, log) // nil: what is not delivered stays where it is
	if err != nil {
		return err
	}
	defer func() {
		if e := kafka.Close(context.Background()); e != nil && err == nil {
			err = e
		}
	}()
	sent, left, other := map[string]bool{}, 0, 0
	var batch []emitter.Message
	var batchIDs []string
	var cause error
	flush := func() error {
		if len(batch) == 0 {
			return ctx.Err()
		}
		fates, err := kafka.EmitEach(ctx, batch...)
		for i, fate := range fates {
			if fate == emitter.FateAcked {
				sent[batchIDs[i]] = true
			} else {
				left++
			}
		}
		if err != nil && cause == nil {
			cause = err
		}
		batch, batchIDs = batch[:0], batchIDs[:0]
		return ctx.Err()
	}
	err = t.letters(s, f.chosen(ids), func(l emitter.StoredLetter) error {
		m, ok := l.Message()
		if !ok {
			other++
			return nil
		}
		batch, batchIDs = append(batch, m), append(batchIDs, l.ID)
		if len(batch) < replayBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if len(sent) > 0 { // whatever else went wrong: they must not be sent again
		_, rerr := emitter.RemoveDeadLetters(context.WithoutCancel(ctx), s.OutputDir, func(l emitter.StoredLetter) bool { return sent[l.ID] })
		err = errors.Join(err, rerr)
	}
	t.say("%s sent, and taken out of the dead letters", plural(len(sent), "event"))
	if other > 0 {
		t.say("%s without an event of ours: left for the senders to mend", plural(other, "letter"))
	}
	switch {
	case err != nil:
		return err
	case left > 0:
		t.say("warning: %v", cause)
		return &incompleteError{fmt.Sprintf("incomplete: %s left among the dead letters in %s", plural(left, "event"), s.OutputDir)}
	}
	return nil
}
