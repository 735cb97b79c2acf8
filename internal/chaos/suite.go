//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/internal/kafkatest"
)

var errOutOfTime = errors.New("out of time")

var quiet = slog.New(slog.DiscardHandler)

// options say what of the suite is run.
type options struct {
	short bool
	names *regexp.Regexp // nil: all
	dir   string         // "": a temporary one
	log   io.Writer
}

// suite is what scenarios share.
type suite struct {
	options
	cluster *kafkatest.Cluster
	admin   *kadm.Client
	binary  string
}

// row is the result of a scenario.
type row struct {
	name                                             string
	accepted, acked, spooled, replayed, deadLettered int64 // spooled: ever
	lost, duplicated, ambiguous                      int64
	stall, beside                                    time.Duration // 0: not measured
	took                                             time.Duration
	notes                                            []string
	err                                              error
}

func (r *row) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// fail adds to what is wrong.
func (r *row) fail(format string, args ...any) {
	r.err = errors.Join(r.err, fmt.Errorf(format, args...))
}

// withCluster does something with three brokers and the command built, and
// closes all of it.
func withCluster(ctx context.Context, o options, do func(*suite) error) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "chaos-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	s := &suite{options: o}
	if s.binary, err = buildCommand(ctx, o.dir); err != nil {
		return err
	}
	if s.cluster, err = kafkatest.Start(ctx, kafkatest.Options{Secure: true}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.cluster.Close()) }()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.Brokers()...))
	if err != nil {
		return err
	}
	defer client.Close()
	s.admin = kadm.NewClient(client)
	return do(s)
}

// run is the whole suite. A scenario that fails does not end it.
func run(ctx context.Context, o options) (rows []*row, err error) {
	err = withCluster(ctx, o, func(s *suite) (err error) {
		rows, err = s.runAll(ctx)
		return err
	})
	return rows, err
}

func (s *suite) runAll(ctx context.Context) (rows []*row, err error) {
	for _, sc := range scenarios {
		if s.names != nil && !s.names.MatchString(sc.name) {
			continue
		}
		r := &row{name: sc.name}
		rows = append(rows, r)
		begun := time.Now()
		if r.err = context.Cause(ctx); r.err == nil {
			fmt.Fprintf(s.log, "%s\n", sc.name)
			if err := sc.run(ctx, s, r); err != nil {
				r.fail("%w", err)
			}
		}
		r.took = time.Since(begun)
		fmt.Fprintf(s.log, "    %v lost %d duplicated %d %s\n", r.took.Round(100*time.Millisecond), r.lost, r.duplicated, r.verdict())
		if err := s.heal(ctx); err != nil {
			return rows, fmt.Errorf("after %s the brokers do not settle: %w", sc.name, err)
		}
	}
	return rows, nil
}

// heal brings back all brokers, whatever state a failed scenario left them in.
func (s *suite) heal(ctx context.Context) error {
	for _, id := range s.cluster.Nodes() {
		_ = s.cluster.Resume(id)    // it is not paused
		_ = s.cluster.StartNode(id) // it runs
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.cluster.WaitReady(ctx)
}

func (r *row) verdict() string {
	if r.err != nil {
		return "FAILED: " + r.err.Error()
	}
	return "ok"
}

// folder makes a directory of the scenario.
func (s *suite) folder(name string) (string, error) {
	dir := filepath.Join(s.dir, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// printTable writes a line a scenario, and below it what needs words.
func printTable(w io.Writer, rows []*row) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "scenario\taccepted\tacked\tspooled\treplayed\tdead-lettered\tlost\tduplicated\tlongest stall\tfranz-go's\ttook\t")
	for _, r := range rows {
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t\n", r.name, r.accepted, r.acked, r.spooled, r.replayed, r.deadLettered,
			r.lost, r.duplicated, seconds(r.stall), seconds(r.beside), seconds(r.took))
	}
	_ = out.Flush() // to a terminal or a log
	for _, r := range rows {
		for _, n := range r.notes {
			fmt.Fprintf(w, "%s: %s\n", r.name, n)
		}
		if r.err != nil {
			fmt.Fprintf(w, "%s: %s\n", r.name, strings.ReplaceAll(r.verdict(), "\n", "\n    "))
		}
	}
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
