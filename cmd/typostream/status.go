package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

func statusCommand(t *terminal) *cli.Command {
	var asJSON bool
	options := join([]option{
		compatOption(), outputDirOption("out"),
		{name: "json", value: "false", toggle: true, usage: "print a JSON object a line", set: toggle(func(*settings) *bool { return &asJSON })},
	}, dedupOptions())
	return t.command(&cli.Command{
		Name: "status", Usage: "tell what became of events, by their id or a name", ArgsUsage: "ID|NAME...",
		Description: `EXAMPLES:
   typostream status examp1e.com
   typostream status --json 4d2b1f0c9a1e55d2b7043f0c9a1e55d2

It looks at the spool, the dead letters, the files of the mode without Kafka
and what the worker remembers as published, and changes nothing. Exit code 1 if
there is no trace of one, 3 if there is none and one place could not be asked.`,
	}, options, func(ctx context.Context, s *settings, arguments []string) error {
		return t.status(ctx, s, arguments, asJSON)
	})
}

// The last known state of an event.
const (
	stateAcked        = "acked"         // the worker remembers that Kafka, or the disk where there is none, took it
	stateSpooled      = "spooled"       // it waits in the spool
	stateDeadLettered = "dead_lettered" // it is among the dead letters
	stateWritten      = "written"       // it is a line of a file of the mode without Kafka
	stateNotFound     = "not_found"
)

// sighting is one place where an event was found.
type sighting struct {
	Query    string    `json:"query"`
	State    string    `json:"state"`
	Name     string    `json:"name,omitempty"`
	ID       string    `json:"id,omitempty"`
	Seed     string    `json:"seed,omitempty"`
	Time     time.Time `json:"time,omitzero"` // published, dead-lettered, or when the file was begun
	Topic    string    `json:"topic,omitempty"`
	File     string    `json:"file,omitempty"`
	Line     int       `json:"line,omitempty"`
	Unknown  bool      `json:"unknown,omitempty"` // it may be in its topic all the same
	Error    string    `json:"error,omitempty"`
	Code     int       `json:"code,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	Letter   string    `json:"letter,omitempty"` // its id for typostream dlq
}

// eventID is how an id looks: 128 bits in hex.
var eventID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// inquiry is what to find out, and what has been.
type inquiry struct {
	queries []statusQuery
	found   []sighting
	silent  bool // a place could not be asked
}

// statusQuery is an argument, as an id or as a name.
type statusQuery struct {
	text string
	store.Query
}

func (t *terminal) status(ctx context.Context, s *settings, arguments []string, asJSON bool) error {
	if len(arguments) == 0 {
		return usagef("typostream status examp1e.com", "no id and no name given")
	}
	var q inquiry
	for _, a := range arguments {
		if eventID.MatchString(a) {
			q.queries = append(q.queries, statusQuery{a, store.Query{ID: a}})
			continue
		}
		name, err := fuzzer.NormalizeFQDN(a)
		if err != nil {
			return usagef("an id has 32 digits of 0-9 and a-f, a name at least one dot", "%q is neither the id of an event nor a name: %w", a, err)
		}
		q.queries = append(q.queries, statusQuery{a, store.Query{Name: name}})
	}
	if err := t.traceFiles(s, &q); err != nil {
		return err
	}
	if err := t.traceStore(ctx, s, &q); err != nil {
		return err
	}
	missing := q.notFound()
	if err := t.printSightings(q.found, asJSON); err != nil {
		return err
	}
	switch {
	case missing > 0 && q.silent:
		return &incompleteError{fmt.Sprintf("incomplete: no trace of %d of %s, and not every place could be asked", missing, plural(len(q.queries), "argument"))}
	case missing > 0:
		return fmt.Errorf("no trace of %d of %s", missing, plural(len(q.queries), "argument"))
	}
	return nil
}

// traceFiles looks through the output directory.
func (t *terminal) traceFiles(s *settings, q *inquiry) error {
	bad, err := emitter.ReadSpool(s.OutputDir, func(k emitter.Kept) bool {
		q.match(k.Value, sighting{State: stateSpooled, Time: k.Since, Topic: k.Topic, File: k.File, Line: k.Line, Unknown: k.Unknown})
		return true
	})
	if bad > 0 {
		q.silent = true
		t.say("warning: %s of the spool in %s cannot be read", plural(bad, "line"), s.OutputDir)
	}
	if err != nil {
		return err
	}
	err = t.letters(s, func(emitter.StoredLetter) bool { return true }, func(l emitter.StoredLetter) error {
		q.match(l.Raw, sighting{State: stateDeadLettered, Time: l.Time, Topic: l.Topic, Error: l.Reason, Code: l.Code, Attempts: l.Attempts, Letter: l.ID})
		return nil
	})
	if err != nil {
		return err
	}
	return emitter.ReadFiles(s.OutputDir, func(k emitter.Kept) bool {
		q.match(k.Value, sighting{State: stateWritten, Time: k.Since, File: k.File, Line: k.Line})
		return true
	})
}

// match keeps the sighting if the record is of an event that was asked about.
func (q *inquiry) match(record []byte, at sighting) {
	for _, query := range q.queries {
		if !bytes.Contains(record, []byte(cmp.Or(query.Name, query.ID))) {
			continue // most are not, and need not be taken apart
		}
		who, ok := emitter.IdentityOf(record)
		if !ok || query.Name != "" && who.Name != query.Name || query.ID != "" && who.ID != query.ID {
			continue
		}
		at.Query, at.Name, at.ID, at.Seed = query.text, who.Name, who.ID, who.Seed
		q.found = append(q.found, at)
	}
}

// traceStore asks what the worker remembers.
func (t *terminal) traceStore(ctx context.Context, s *settings, q *inquiry) error {
	if s.DedupTTL == 0 {
		return nil // nothing is remembered
	}
	find, done := finder(s)
	defer done()
	for _, query := range q.queries {
		err := find(ctx, query.Query, func(seed string, e store.Entry) {
			q.found = append(q.found, sighting{Query: query.text, State: stateAcked, Name: e.Name, ID: e.ID, Seed: seed, Time: e.Published.UTC()})
		})
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, store.ErrInUse):
			t.say("warning: a running worker has %s; what it has published is not shown", statePath(s))
		default:
			t.say("warning: what was published is not shown: %v", err)
		}
		q.silent = true
		return nil
	}
	return nil
}

type findFunc func(context.Context, store.Query, func(seed string, e store.Entry)) error

// finder searches what the worker of these settings remembers in, until done.
func finder(s *settings) (find findFunc, done func()) {
	if s.RedisHost != "" {
		r := store.NewRedis(store.RedisConfig{Addr: net.JoinHostPort(s.RedisHost, strconv.Itoa(s.RedisPort)), Password: s.RedisPassword.Read, TTL: s.DedupTTL})
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

// notFound adds a line for each argument without a trace, and counts them.
func (q *inquiry) notFound() int {
	seen := map[string]bool{}
	for _, f := range q.found {
		seen[f.Query] = true
	}
	missing := 0
	for _, query := range q.queries {
		if !seen[query.text] {
			seen[query.text] = true
			missing++
			q.found = append(q.found, sighting{Query: query.text, State: stateNotFound})
		}
	}
	return missing
}

func (t *terminal) printSightings(found []sighting, asJSON bool) error {
	out := t.output()
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		for _, f := range found {
			if err := encoder.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STATE\tNAME\tSEED\tTIME\tWHERE")
	for _, f := range found {
		at := "-"
		if !f.Time.IsZero() {
			at = f.Time.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.State, printable(cmp.Or(f.Name, f.Query)), cmp.Or(printable(f.Seed), "-"), at, printable(f.where()))
	}
	return w.Flush()
}

// where says in words where the event is.
func (f *sighting) where() string {
	switch f.State {
	case stateAcked:
		return "known as published"
	case stateSpooled:
		text := fmt.Sprintf("%s:%d, for topic %s", f.File, f.Line, f.Topic)
		if f.Unknown {
			text += "; it may be there already"
		}
		return text
	case stateDeadLettered:
		return fmt.Sprintf("typostream dlq show %s: %s", f.Letter, short(f.Error))
	case stateWritten:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	default:
		return "-"
	}
}
