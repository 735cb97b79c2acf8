package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/whereabouts"
)

func statusCommand(t *terminal) *cli.Command {
	var asJSON bool
	options := join([]option{
		compatOption(), outputDirOption("out"),
		{name: "json", value: "false", toggle: true, usage: "print a JSON object a line", set: toggle(func(*settings) *bool { return &asJSON })},
	}, dedupOptions(), httpClientOptions())
	return t.command(&cli.Command{
		Name: "status", Usage: "tell what became of events, by their id or a name", ArgsUsage: "ID|NAME...",
		Description: `EXAMPLES:
   typostream status examp1e.com
   typostream status --json 4d2b1f0c9a1e55d2b7043f0c9a1e55d2

It looks at the spool, the dead letters, the files of the mode without Kafka
and what the worker remembers as published, and changes nothing. A running
worker is asked over its HTTP_ADDR. Exit code 1 if
there is no trace of one, 3 if there is none and one place could not be asked.`,
	}, options, func(ctx context.Context, s *settings, arguments []string) error {
		return t.status(ctx, s, arguments, asJSON)
	})
}

func (t *terminal) status(ctx context.Context, s *settings, arguments []string, asJSON bool) error {
	if len(arguments) == 0 {
		return usagef("typostream status examp1e.com", "no id and no name given")
	}
	q, err := whereabouts.Parse(arguments)
	if err != nil {
		return usagef("an id has 32 digits of 0-9 and a-f, a name at least one dot", "%w", err)
	}
	damaged, err := q.Files(s.OutputDir)
	for _, d := range damaged {
		t.say("warning: %s", d)
	}
	if err != nil {
		return err
	}
	if err := t.traceStore(ctx, s, q); err != nil {
		return err
	}
	found, missing := q.Result()
	if err := t.printSightings(found, asJSON); err != nil {
		return err
	}
	switch {
	case missing > 0 && q.Silent:
		return &incompleteError{fmt.Sprintf("incomplete: no trace of %d of %s, and not every place could be asked", missing, plural(q.Len(), "argument"))}
	case missing > 0:
		return fmt.Errorf("no trace of %d of %s", missing, plural(q.Len(), "argument"))
	}
	return nil
}

// traceStore asks what the worker remembers: the file, or else the worker that
// has it.
func (t *terminal) traceStore(ctx context.Context, s *settings, q *whereabouts.Inquiry) error {
	if s.DedupTTL == 0 {
		return nil // nothing is remembered
	}
	find, done := finder(s)
	defer done()
	err := q.Store(ctx, find)
	if errors.Is(err, store.ErrInUse) {
		var known []whereabouts.Sighting
		var silent bool
		if known, silent, err = workerOf(s).deliveries(ctx, q.Texts()); err == nil {
			q.Add(known, silent)
			return nil
		}
		err = fmt.Errorf("a running worker has %s, and does not tell: %w", statePath(s), err)
	}
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	t.say("warning: what was published is not shown: %v", err)
	q.Silent = true
	return nil
}

// finder searches what the worker of these settings remembers in, until done.
func finder(s *settings) (find whereabouts.Find, done func()) {
	if s.RedisHost != "" {
		r := store.NewRedis(redisConfig(s))
		return r.Find, func() { _ = r.Close() }
	}
	return func(ctx context.Context, q store.Query, yield func(string, store.Entry)) error {
		return store.FindBolt(ctx, statePath(s), q, yield)
	}, func() {}
}

// statePath is the file of what a worker remembers.
func statePath(s *settings) string {
	return filepath.Join(cmp.Or(s.StateDir, filepath.Join(s.OutputDir, ".typostream")), "state.db")
}

func (t *terminal) printSightings(found []whereabouts.Sighting, asJSON bool) error {
	if asJSON {
		return writeLines(t, found)
	}
	w := tabwriter.NewWriter(t.output(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STATE\tNAME\tSEED\tTIME\tWHERE")
	for _, f := range found {
		at := "-"
		if !f.Time.IsZero() {
			at = f.Time.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.State, printable(cmp.Or(f.Name, f.Query)), cmp.Or(printable(f.Seed), "-"), at, printable(where(&f)))
	}
	return w.Flush()
}

// where says in words where the event is.
func where(f *whereabouts.Sighting) string {
	switch f.State {
	case whereabouts.Acked:
		return "known as published"
	case whereabouts.Spooled:
		text := fmt.Sprintf("%s:%d, for topic %s", f.File, f.Line, f.Topic)
		if f.Unknown {
			text += "; it may be there already"
		}
		return text
	case whereabouts.DeadLettered:
		return fmt.Sprintf("typostream dlq show %s: %s", f.Letter, short(f.Error))
	case whereabouts.Written:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	default:
		return "-"
	}
}
