package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"
)

// The checks of doctor, as they are printed; OPERATIONS.md says of each what it
// means.
const (
	checkBootstrap   = "bootstrap"
	checkMetadata    = "metadata"
	checkBroker      = "broker"
	checkIdempotence = "idempotence"
	checkTopic       = "topic"
	checkRights      = "rights"
	checkReplication = "replication"
	checkSettings    = "settings"
	checkInSync      = "in-sync"
	checkElection    = "election"
	checkRetention   = "retention"
	checkSize        = "size"
	checkPartitions  = "partitions"
	checkGroup       = "group"
	checkDirectory   = "directory"
	checkFsync       = "fsync"
	checkSpace       = "space"
	checkStore       = "store"
	checkNameserver  = "nameserver"
	checkRedis       = "redis"
	checkCountries   = "countries"
)

// verdict is what a check came to.
type verdict string

const (
	pass verdict = "pass"
	warn verdict = "warn" // it may lose events one day, or costs time
	fail verdict = "fail" // it loses events, or nothing works
)

// diagnosis is one line of doctor.
type diagnosis struct {
	Check   string  `json:"check"`
	Subject string  `json:"subject"` // what was looked at
	Verdict verdict `json:"verdict"`
	Finding string  `json:"finding"`
	Remedy  string  `json:"remedy,omitempty"` // of what did not pass
}

// doctorFlags are the options of doctor beside the worker's.
type doctorFlags struct {
	workers int
	timeout time.Duration
	json    bool
}

func (f *doctorFlags) options() []option {
	return []option{
		{name: "workers", value: "1", usage: "workers that are to run at once, `N`", set: count(1, 100_000, func(*settings) *int { return &f.workers })},
		{
			name: "timeout", value: "5s", usage: "longest `TIME` to wait for one answer",
			set: duration(100*time.Millisecond, time.Minute, func(*settings) *time.Duration { return &f.timeout }),
		},
		{name: "json", value: "false", toggle: true, usage: "print a JSON object a line", set: toggle(func(*settings) *bool { return &f.json })},
	}
}

func doctorCommand(t *terminal) *cli.Command {
	var f doctorFlags
	return t.command(&cli.Command{
		Name: "doctor", Usage: "check a worker's Kafka, disk, resolvers and Redis for what loses events",
		Description: `EXAMPLES:
   KAFKA_BOOTSTRAP=kafka:9092 typostream doctor
   typostream doctor --bootstrap kafka:9092 --output-dir out --workers 6
   typostream doctor --no-kafka --json

Takes the worker's options and environment. Exit code 1 if a check fails,
0 on warnings.`,
	}, join(workerCatalogue(), f.options()), func(ctx context.Context, s *settings, arguments []string) error {
		if len(arguments) > 0 {
			return usagef("name brokers with --bootstrap", "doctor takes no arguments (got %q)", arguments[0])
		}
		return t.doctor(ctx, s, &f)
	})
}

// doctor runs all examinations at a time and prints what they found, in the
// same order each time.
func (t *terminal) doctor(ctx context.Context, s *settings, f *doctorFlags) error {
	examinations, err := examine(s, f)
	if err != nil {
		return err
	}
	found := make([][]diagnosis, len(examinations))
	var running sync.WaitGroup
	for i, run := range examinations {
		running.Go(func() { found[i] = run(ctx) })
	}
	running.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	var all []diagnosis
	counts := map[verdict]int{}
	for _, list := range found {
		for _, d := range list {
			d.Subject, d.Finding, d.Remedy = printable(d.Subject), printable(d.Finding), printable(d.Remedy)
			counts[d.Verdict]++
			all = append(all, d)
		}
	}
	if err := t.printDiagnoses(all, f.json); err != nil {
		return err
	}
	if n := counts[fail]; n > 0 {
		return &illnessError{failed: n, of: len(all)}
	}
	t.say("%s: %d passed, %s", plural(len(all), "check"), counts[pass], plural(counts[warn], "warning"))
	return nil
}

// examine returns what is to be run; a fault of the settings is found before
// anything is.
func examine(s *settings, f *doctorFlags) ([]func(context.Context) []diagnosis, error) {
	var all []func(context.Context) []diagnosis
	if s.Kafka {
		if err := checkSecurity(s); err != nil {
			return nil, err
		}
		all = append(all, func(ctx context.Context) []diagnosis { return examineKafka(ctx, s, f) })
	}
	all = append(all, func(ctx context.Context) []diagnosis { return examineDir(ctx, s, f.timeout) })
	if !s.Oneshot {
		all = append(all, func(ctx context.Context) []diagnosis { return examineStore(ctx, s, f.timeout) })
	}
	nameservers, err := examineNameservers(s)
	if err != nil {
		return nil, err
	}
	all = append(all, nameservers)
	if s.RedisHost != "" {
		all = append(all, func(ctx context.Context) []diagnosis { return examineRedis(ctx, s, f.timeout) })
	}
	if s.GeoDatabase != "" {
		all = append(all, func(ctx context.Context) []diagnosis { return examineCountries(ctx, s.GeoDatabase, f.timeout) })
	}
	return all, nil
}

// illnessError ends doctor with exit code 1.
type illnessError struct{ failed, of int }

func (e *illnessError) Error() string {
	return fmt.Sprintf("%d of %s failed", e.failed, plural(e.of, "check"))
}

// Hint points at the lines.
func (e *illnessError) Hint() string { return "each line that failed says what to do" }

// printDiagnoses prints a table, with a line below each diagnosis that has a
// remedy.
func (t *terminal) printDiagnoses(all []diagnosis, asJSON bool) (err error) {
	out := t.output()
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		for _, d := range all {
			if err := encoder.Encode(d); err != nil {
				return err
			}
		}
		return nil
	}
	checks, subjects := 0, 0
	for _, d := range all {
		checks, subjects = max(checks, len(d.Check)), max(subjects, utf8.RuneCountInString(d.Subject))
	}
	w := bufio.NewWriter(out)
	for _, d := range all {
		padding := strings.Repeat(" ", subjects-utf8.RuneCountInString(d.Subject))
		fmt.Fprintf(w, "%s  %-*s  %s%s  %s\n", d.Verdict, checks, d.Check, d.Subject, padding, d.Finding)
		if d.Remedy != "" {
			fmt.Fprintf(w, "      -> %s\n", d.Remedy)
		}
	}
	return w.Flush()
}
