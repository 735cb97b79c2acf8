//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// claims say what is to hold at the end of a scenario.
type claims struct {
	// from is the first phase whose events the topic must hold; 0: all.
	from string
	// killed is how many processes were killed: what each had under way may be there twice.
	killed int
}

// underWay is how many events a process may have under way at most: those of a
// pass of the replay, and of the lanes.
const underWay = 2000

// check reads the topic back and compares it with what the processes were
// promised. The last of them has ended in order; the books are its.
func (s *suite) check(ctx context.Context, r *row, topic, dir string, c claims, loads ...*load) error {
	records, err := s.cluster.ReadAll(ctx, topic)
	if err != nil {
		return err
	}
	letters, err := os.ReadFile(filepath.Join(dir, "dead_letters.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	have := map[string]int64{}
	for _, rec := range records {
		have[string(rec.Key)]++
	}
	r.compare(have, string(letters), c, loads)
	r.audit(c, loads)
	return nil
}

// compare counts the promised events that are missing from the topic (how often
// it has each key) or from the dead letters, and those that came again.
func (r *row) compare(have map[string]int64, letters string, c claims, loads []*load) {
	for _, n := range have {
		r.duplicated += n - 1
	}
	for _, l := range loads {
		for key, fate := range l.fates {
			r.accepted++
			switch {
			case fate == 'S':
				r.spooled++
			case fate == 'D' && !strings.Contains(letters, key):
				r.lost++
				r.note("dead letter lost: %s", key)
				continue
			case fate == 'D' && have[key] > 0:
				r.fail("%s is dead-lettered and in the topic", key)
			}
			if fate == 'D' || c.from != "" && !strings.Contains(key, c.from) {
				continue
			}
			if have[key] == 0 {
				r.lost++
				if r.lost <= 5 {
					r.note("lost: %s, of fate %c", key, fate)
				}
			}
		}
	}
}

// audit checks the books of the processes that ended in order.
func (r *row) audit(c claims, loads []*load) {
	for _, l := range loads {
		b := l.books
		if b == nil {
			r.acked, r.deadLettered = r.acked+int64(l.counts['A']), r.deadLettered+int64(l.counts['D'])
			continue // killed; what it replayed it told nobody
		}
		r.acked, r.replayed, r.deadLettered = r.acked+b.Acked, r.replayed+b.Replayed, r.deadLettered+b.DeadLettered
		r.ambiguous += b.Ambiguous
		r.stall = max(r.stall, b.Stall)
		if b.Unbalanced > 0 || !balanced(b.Accounting) || b.InFlight != 0 {
			r.fail("the books did not balance %d times: %+v", b.Unbalanced, b.Accounting)
		}
		if b.Left > 0 {
			r.fail("%d events stayed in the spool", b.Left)
		}
		if len(loads) == 1 && b.Accepted != int64(len(l.fates)) {
			r.fail("the books have %d accepted, Emit took %d", b.Accepted, len(l.fates))
		}
		if b.Returned > 0 {
			r.note("%d events were handed back to their caller, durable nowhere", b.Returned)
		}
	}
	if r.lost > 0 {
		r.fail("%d events are lost", r.lost)
	}
	if r.duplicated > r.ambiguous+int64(c.killed*underWay) {
		r.fail("%d events came twice, %d are ambiguous, %d processes were killed", r.duplicated, r.ambiguous, c.killed)
	}
	if r.duplicated > 0 || r.ambiguous > 0 {
		r.note("%d records more than events; the books call %d events ambiguous; %d processes were killed", r.duplicated, r.ambiguous, c.killed)
	}
}
