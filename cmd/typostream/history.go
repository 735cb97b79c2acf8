package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

// history is what the workers remember of seeds: in a file, or in Redis.
type history interface {
	Candidates(ctx context.Context, seed, after string, limit int) (found []store.Entry, more bool, err error)
	Changes(ctx context.Context, after string, limit int) ([]store.Change, error)
	Seed(ctx context.Context, seed string) (store.SeedRecord, error)
}

// historyPage is how much is read of it at a time.
const historyPage = 1000

func historyOptions(asJSON *bool) []option {
	return join([]option{
		outputDirOption("out"),
		{name: "json", value: "false", toggle: true, usage: "print a JSON object a line", set: toggle(func(*settings) *bool { return asJSON })},
	}, dedupOptions(), httpClientOptions())
}

func reportCommand(t *terminal) *cli.Command {
	var asJSON bool
	return t.command(&cli.Command{
		Name: "report", Usage: "list what is known of a seed's look-alikes, from what the worker remembers", ArgsUsage: "SEED...",
		Description: `EXAMPLES:
   typostream report example.com
   REDIS_HOST=redis typostream report --json example.com

It asks no nameserver. The state is registered, or gone since the time that
is named. Exit code 1 if a seed was never scanned to its end.`,
	}, historyOptions(&asJSON), func(ctx context.Context, s *settings, arguments []string) error {
		return t.eachSeed(s, arguments, func(h history, seed string) error { return t.report(ctx, h, seed, asJSON) })
	})
}

func diffCommand(t *terminal) *cli.Command {
	var asJSON bool
	var since time.Time
	options := append(historyOptions(&asJSON), option{
		name: "since", value: "24h", usage: "`TIME` from which on: a date, a time in RFC 3339, or how long ago, such as 7d or 12h",
		set: func(_ *settings, value string, _ source) (err error) {
			since, err = parseSince(value, time.Now())
			return err
		},
	})
	return t.command(&cli.Command{
		Name: "diff", Usage: "list what has changed of a seed's look-alikes, from what the worker remembers", ArgsUsage: "SEED...",
		Description: `EXAMPLES:
   typostream diff example.com
   typostream diff --since 2026-01-31 --json example.com

It asks no nameserver. What the first scan of a seed found is no change. The last
100,000 changes of all seeds are kept. Exit code 1 if a seed was never scanned
to its end.`,
	}, options, func(ctx context.Context, s *settings, arguments []string) error {
		return t.eachSeed(s, arguments, func(h history, seed string) error { return t.diff(ctx, h, seed, since, asJSON) })
	})
}

// parseSince reads a date, a time, or a duration before now.
func parseSince(value string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, nil
		}
	}
	if days, ok := strings.CutSuffix(value, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	ago, err := time.ParseDuration(value)
	if err != nil || ago < 0 {
		return time.Time{}, errors.New("must be a date (2026-01-31), a time (2026-01-31T08:00:00Z) or how long ago (7d, 12h)")
	}
	return now.Add(-ago), nil
}

// eachSeed calls f with what is remembered, for each of the seeds.
func (t *terminal) eachSeed(s *settings, arguments []string, f func(history, string) error) error {
	if len(arguments) == 0 {
		return usagef("name a domain that a worker has scanned", "no seed given")
	}
	var seeds []string
	for _, a := range arguments {
		seed, err := fuzzer.ParseSeed(a)
		if err != nil {
			return usagef("", "%w", err)
		}
		seeds = append(seeds, seed.FQDN)
	}
	h, done, err := openHistory(s)
	if err != nil {
		return err
	}
	defer done()
	for _, seed := range seeds {
		if err := f(h, seed); err != nil {
			return err
		}
	}
	return nil
}

func openHistory(s *settings) (h history, done func(), err error) {
	if s.RedisHost != "" {
		r := store.NewRedis(redisConfig(s))
		return r, func() { _ = r.Close() }, nil
	}
	file, err := store.OpenRead(statePath(s))
	switch {
	case errors.Is(err, store.ErrInUse):
		return workerOf(s), func() {}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, hinted(fmt.Errorf("%s: no worker has remembered anything there", statePath(s)), "name the worker's directory with --output-dir or --state-dir, or its Redis with --redis-host")
	case err != nil:
		return nil, nil, err
	}
	return file.Published(s.DedupTTL), func() { _ = file.Close() }, nil
}

// errNeverScanned says that nothing can be said of a seed.
func errNeverScanned(seed string) error {
	return hinted(fmt.Errorf("%s was never scanned to its end", seed), "typostream scan "+seed+" asks now")
}

// known is a look-alike as it is remembered.
type known struct {
	Seed      string        `json:"seed"`
	Name      string        `json:"name"`
	State     string        `json:"state"` // registered or gone
	FirstSeen time.Time     `json:"first_seen"`
	LastSeen  time.Time     `json:"last_seen"`
	Gone      time.Time     `json:"gone,omitzero"`
	Changed   time.Time     `json:"published"` // as it is
	Event     string        `json:"event"`
	Change    string        `json:"change,omitempty"` // the last one
	ChangedAt time.Time     `json:"changed_at,omitzero"`
	Records   store.Records `json:"records"`
}

func (t *terminal) report(ctx context.Context, h history, seed string, asJSON bool) error {
	record, err := h.Seed(ctx, seed)
	if err != nil {
		return err
	}
	if record.LastScan.IsZero() {
		return errNeverScanned(seed)
	}
	var all []known
	there := 0
	for after, more := "", true; more; {
		var page []store.Entry
		if page, more, err = h.Candidates(ctx, seed, after, historyPage); err != nil {
			return err
		}
		for _, e := range page {
			after = e.Name
			k := known{
				Seed: seed, Name: e.Name, State: "registered", FirstSeen: e.FirstSeen.UTC(), LastSeen: e.LastSeen.UTC(), Changed: e.Published.UTC(), Event: e.ID, Records: e.Records,
			}
			if e.Change != "" {
				k.Change, k.ChangedAt = e.Change, e.ChangedAt.UTC()
			}
			if !e.Gone.IsZero() {
				k.State, k.Gone = "gone", e.Gone.UTC()
			} else {
				there++
			}
			all = append(all, k)
		}
	}
	// What came last is what somebody wants to see first.
	slices.SortStableFunc(all, func(a, b known) int { return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.Name, b.Name)) })
	if asJSON {
		return writeLines(t, all)
	}
	fmt.Fprintf(t.output(), "%s (%s): %d registered, %d gone; last scan %s\n", seed, printable(record.Brand), there, len(all)-there, record.LastScan.UTC().Format(time.RFC3339))
	w := tabwriter.NewWriter(t.output(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STATE\tNAME\tFIRST SEEN\tLAST SEEN\tRECORDS")
	for _, k := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.State, k.Name, k.FirstSeen.Format(time.DateOnly), k.LastSeen.Format(time.DateOnly), recordsInWords(k.Records))
	}
	return w.Flush()
}

func (t *terminal) diff(ctx context.Context, h history, seed string, since time.Time, asJSON bool) error {
	record, err := h.Seed(ctx, seed)
	if err != nil {
		return err
	}
	if record.LastScan.IsZero() {
		return errNeverScanned(seed)
	}
	var all []store.Change
	for after := ""; ; {
		page, err := h.Changes(ctx, after, historyPage)
		if err != nil {
			return err
		}
		for _, c := range page {
			after = c.ID
			if c.Seed == seed && !c.At.Before(since) {
				all = append(all, c)
			}
		}
		if len(page) < historyPage {
			break
		}
	}
	if asJSON {
		return writeLines(t, all)
	}
	fmt.Fprintf(t.output(), "%s (%s): %s since %s; last scan %s\n",
		seed, printable(record.Brand), plural(len(all), "change"), since.UTC().Format(time.RFC3339), record.LastScan.UTC().Format(time.RFC3339))
	w := tabwriter.NewWriter(t.output(), 0, 0, 2, ' ', 0)
	for i, c := range all {
		if i == 0 {
			fmt.Fprintln(w, "TIME\tCHANGE\tNAME\tOF\tRECORDS")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n",
			c.At.UTC().Format(time.RFC3339), printable(c.Kind), printable(c.Name), cmp.Or(printable(strings.Join(c.Changed, ",")), "-"), recordsInWords(c.Records))
	}
	return w.Flush()
}

// writeLines prints a JSON object a line.
func writeLines[T any](t *terminal, all []T) error {
	encoder := json.NewEncoder(t.output())
	encoder.SetEscapeHTML(false)
	for _, one := range all {
		if err := encoder.Encode(one); err != nil {
			return err
		}
	}
	return nil
}

// recordsInWords are the first records of each type, and how many more there are.
func recordsInWords(r store.Records) string {
	var words []string
	for _, list := range []struct {
		name    string
		records []string
	}{{"", r.A}, {"", r.AAAA}, {"NS:", r.NS}, {"MX:", r.MX}, {"CNAME:", r.CNAME}} {
		if len(list.records) == 0 {
			continue
		}
		word := list.name + printable(list.records[0])
		if more := len(list.records) - 1; more > 0 {
			word += fmt.Sprintf("+%d", more)
		}
		words = append(words, word)
	}
	return cmp.Or(strings.Join(words, " "), "-")
}
