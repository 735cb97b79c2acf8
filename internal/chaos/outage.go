//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// commandKilled kills the real command at random moments, every other time
// with no broker to be reached. Of each seed that it called completed every
// name is in the topic when a last run has emptied the spool. Each run has
// seeds of its own, so that none makes up for another's loss.
func commandKilled(ctx context.Context, s *suite, r *row) error {
	kills, each := 50, 6
	if s.short {
		kills = 10
	}
	topic := topicOf(r)
	dir, err := s.folder(topic)
	if err != nil {
		return err
	}
	brands, zone, err := inventBrands(1000, each*(kills+1))
	if err != nil {
		return err
	}
	dns, err := resolvertest.Start(zone)
	if err != nil {
		return err
	}
	defer dns.Close()
	env, err := s.environment(ctx, topic, filepath.Join(dir, "out"), dns.Addr())
	if err != nil {
		return err
	}
	var completed []brand
	var spooledRuns int
	for i, group := range slices.Collect(slices.Chunk(brands, each)) {
		last := i == kills
		own := maps.Clone(env)
		if i%2 == 1 && !last {
			own["KAFKA_BOOTSTRAP"] = "127.0.0.1:1"
			own["SEEDS_IN_PARALLEL"] = "1"
			spooledRuns++
		}
		csv := filepath.Join(dir, fmt.Sprintf("seeds%d.csv", i))
		text := "cse_id,seed_registrable\n"
		for _, b := range group {
			text += "BRAND," + b.seed + "\n"
		}
		if err := os.WriteFile(csv, []byte(text), 0o644); err != nil {
			return err
		}
		c, err := s.startCommand(filepath.Join(dir, fmt.Sprintf("log%d", i)), own, "worker", "--mode", "oneshot", "--seeds", csv)
		if err != nil {
			return err
		}
		defer c.kill()
		if last {
			if code, err := c.wait(ctx); err != nil || code != 0 {
				return fmt.Errorf("the last run ended with %d, %w: %s", code, err, c.text()[max(0, len(c.text())-2000):])
			}
		} else {
			if i%5 > 0 { // not only its start
				if err := c.awaitLog(ctx, "Completed "); err != nil && ctx.Err() != nil {
					return err
				}
			}
			if err := pause(ctx, time.Duration(rand.Int64N(int64(400*time.Millisecond)))); err != nil {
				return err
			}
			c.kill()
		}
		log := c.text()
		for _, b := range group {
			if strings.Contains(log, "Completed "+b.seed+":") {
				completed = append(completed, b)
			}
		}
		r.tally(log)
		if m := foundSpooled.FindStringSubmatch(log); last && m != nil {
			_, _ = fmt.Sscan(m[1], &r.replayed) // digits; its spool is empty, see below
		}
	}
	r.note("%d processes killed, %d of them with no broker to be reached", kills, spooledRuns)
	return errors.Join(s.checkNames(ctx, r, topic, completed), noSpool(env["OUTPUT_DIR"]))
}

// wordings of the log by which the table's columns are filled where no books are left.
var (
	allSent      = regexp.MustCompile(`"records":(\d+)`)
	foundSpooled = regexp.MustCompile(`events of an earlier run were found.*"spooled":(\d+)`)
	someSent     = regexp.MustCompile(`(\d+) of (\d+) records sent, (\d+) spooled`)
)

// tally adds what the log of a run says of its seeds.
func (r *row) tally(log string) {
	for line := range strings.Lines(log) {
		var total, acked, spooled int64
		if m := someSent.FindStringSubmatch(line); m != nil {
			_, _ = fmt.Sscan(m[1]+" "+m[2]+" "+m[3], &acked, &total, &spooled) // digits, by the expression
		} else if m := allSent.FindStringSubmatch(line); m != nil && strings.Contains(line, "sent successfully") {
			_, _ = fmt.Sscan(m[1], &acked)
			total = acked
		}
		r.accepted, r.acked, r.spooled = r.accepted+total, r.acked+acked, r.spooled+spooled
	}
}

// commandOutage has the real worker work while all brokers go away and come back.
func commandOutage(ctx context.Context, s *suite, r *row) error {
	if s.short {
		r.note("not in the short suite")
		return nil
	}
	topic := topicOf(r)
	dir, err := s.folder(topic)
	if err != nil {
		return err
	}
	brands, zone, err := inventBrands(1, 60)
	if err != nil {
		return err
	}
	dns, err := resolvertest.Start(zone)
	if err != nil {
		return err
	}
	defer dns.Close()
	env, err := s.environment(ctx, topic, filepath.Join(dir, "out"), dns.Addr())
	if err != nil {
		return err
	}
	env["DNS_QPS"] = "20000" // the outage is to meet a worker that has work left
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.Brokers()...), kgo.DefaultProduceTopic(topic+".input"))
	if err != nil {
		return err
	}
	defer client.Close()
	c, err := s.startCommand(filepath.Join(dir, "log"), env, "worker")
	if err != nil {
		return err
	}
	defer c.kill()
	submit := func(brands []brand) error {
		for _, b := range brands {
			text := fmt.Sprintf(`{"fqdn":%q,"source":"frontend_api","timestamp":1760600000,"cse_id":"BRAND","is_original_seed":true}`, b.seed)
			if err := client.ProduceSync(ctx, &kgo.Record{Key: []byte(b.seed), Value: []byte(text)}).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(submit(brands[:40]), c.awaitLog(ctx, "Completed ")); err != nil {
		return err
	}
	w, err := watchBooks(c)
	if err != nil {
		return err
	}
	defer w.stop()
	t := &trial{suite: s, row: r}
	err = t.gone(ctx, 30*time.Second, s.cluster.Kill, s.cluster.Nodes()...)
	if err := errors.Join(err, submit(brands[40:])); err != nil {
		return err
	}
	if err := s.awaitNoLag(ctx, topic); err != nil {
		return err
	}
	err = eventually(ctx, "an empty spool", func() (bool, error) { return noSpool(env["OUTPUT_DIR"]) == nil, nil })
	if err != nil {
		return err
	}
	b, unbalanced, looks := w.stop()
	r.accepted, r.acked, r.replayed, r.deadLettered, r.ambiguous = b.Accepted, b.Acked, b.Replayed, b.DeadLettered, b.Ambiguous
	r.spooled = b.Replayed + b.Spooled
	if unbalanced > 0 || looks == 0 {
		r.fail("of %d looks at /readyz?verbose %d showed books that do not balance", looks, unbalanced)
	}
	if b.Replayed == 0 {
		r.fail("nothing was replayed")
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // its exit code tells
	if code, err := c.wait(ctx); err != nil || code != 0 {
		r.fail("exit code %d, %w", code, err)
	}
	r.note("the books balanced at each of %d looks at /readyz?verbose", looks)
	if err := s.checkNames(ctx, r, topic, brands); err != nil {
		return err
	}
	if r.duplicated > 0 {
		r.note("a seed that was read but not committed when the brokers went is scanned again: so %d records came again", r.duplicated)
	}
	return nil
}
