//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/typostream/typostream/emitter"
)

// recreated deletes the topic and makes it anew. What it held is gone by the
// operator's will; of what was emitted after that nothing is.
func recreated(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, false)
	if err != nil {
		return err
	}
	if t.load, err = startLoad(t.order(), filepath.Join(t.dir, "log")); err != nil {
		return err
	}
	defer t.load.kill()
	if err := t.load.await(ctx, 'A', warmup); err != nil {
		return err
	}
	if _, err := s.admin.DeleteTopic(ctx, t.topic); err != nil {
		return err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	if err := s.cluster.CreateTopic(ctx, t.topic, 6, 3, 2); err != nil {
		return err
	}
	if err := t.load.newPhase(ctx); err != nil {
		return err
	}
	if err := t.load.await(ctx, 'A', 4*warmup); err != nil {
		return err
	}
	if err := t.load.finish(ctx); err != nil {
		return err
	}
	return s.check(ctx, r, t.topic, t.dir, claims{from: "e.1."}, t.load)
}

// overLimit has a message above the broker's limit among each hundred.
func overLimit(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, false)
	if err != nil {
		return err
	}
	o := t.order()
	o.Callers, o.Slice, o.Pause, o.Count, o.BigEvery, o.BigBytes = 4, 50, 0, 2000, 100, 2<<20
	l, err := startLoad(o, filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer l.kill()
	if err := l.wait(ctx); err != nil {
		return err
	}
	if l.counts['A'] != 1980 || l.counts['D'] != 20 {
		r.fail("%d acked and %d dead-lettered, want 1980 and 20", l.counts['A'], l.counts['D'])
	}
	return s.check(ctx, r, t.topic, t.dir, claims{}, l)
}

// password lets the emitter begin with a wrong one.
func password(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, false)
	if err != nil {
		return err
	}
	if err := s.cluster.SetPassword(ctx, "chaos", "right"); err != nil {
		return err
	}
	file := filepath.Join(t.dir, "password")
	if err := os.WriteFile(file, []byte("wrong\n"), 0o600); err != nil {
		return err
	}
	o := t.order()
	o.Brokers = s.cluster.SecureBrokers()
	o.Security = emitter.Security{
		Protocol: "SASL_SSL", Mechanism: "SCRAM-SHA-512", CAFile: s.cluster.CAFile(),
		Username: emitter.Secret{Value: "chaos"}, Password: emitter.Secret{File: file},
	}
	l, err := startLoad(o, filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer l.kill()
	if err := l.await(ctx, 'S', warmup); err != nil {
		return err
	}
	if l.count('A') > 0 {
		r.fail("events were acknowledged with a wrong password")
	}
	if err := os.WriteFile(file, []byte("right\n"), 0o600); err != nil {
		return err
	}
	if err := l.await(ctx, 'A', warmup); err != nil {
		return err
	}
	if err := l.finish(ctx); err != nil {
		return err
	}
	return s.check(ctx, r, t.topic, t.dir, claims{}, l)
}

// newTopic emits a thousand events to a topic that does not exist.
func newTopic(ctx context.Context, s *suite, r *row) error {
	topic := topicOf(r)
	dir, err := s.folder(topic)
	if err != nil {
		return err
	}
	o := order{Brokers: s.cluster.Brokers(), Topic: topic, Dir: dir, Tag: "e", Callers: 1, Slice: 1000, Count: 1000, CreateTopics: true}
	l, err := startLoad(o, filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer l.kill()
	if err := l.wait(ctx); err != nil {
		return err
	}
	if n := l.counts['A']; n != 1000 {
		r.fail("%d of 1000 acked at once", n)
	}
	return s.check(ctx, r, topic, dir, claims{}, l)
}

// clockJumps has the clock of spool and dead letters jump by up to two days
// either way at each look, during an outage that fills many small files.
func clockJumps(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, true)
	if err != nil {
		return err
	}
	defer t.proxy.close()
	o := t.order()
	o.JumpingClock, o.SegmentBytes = true, 16<<10
	l, err := startLoad(o, filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer l.kill()
	if err := l.await(ctx, 'A', warmup); err != nil {
		return err
	}
	t.proxy.set(network{cut: true})
	if err := l.await(ctx, 'S', 4*warmup); err != nil {
		return err
	}
	t.proxy.set(network{})
	if err := l.await(ctx, 'A', warmup); err != nil {
		return err
	}
	if err := l.finish(ctx); err != nil {
		return err
	}
	return s.check(ctx, r, t.topic, t.dir, claims{}, l)
}

// emitterKilled kills a process that emits, at random moments, again and
// again; the network is whole, cut, or loses responses. The last process
// empties what they left.
func emitterKilled(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, true)
	if err != nil {
		return err
	}
	defer t.proxy.close()
	kills := 50
	if s.short {
		kills = 10
	}
	networks := []network{{}, {cut: true}, {dropAcks: 0.3}}
	var loads []*load
	for i := range kills + 1 {
		last := i == kills
		n := networks[i%len(networks)]
		if last {
			n = network{}
		}
		t.proxy.set(n)
		o := t.order()
		o.Tag, o.SegmentBytes = fmt.Sprintf("p%d", i), 16<<10
		l, err := startLoad(o, filepath.Join(t.dir, "log"))
		if err != nil {
			return err
		}
		defer l.kill()
		loads = append(loads, l)
		if last {
			if err := l.await(ctx, 'A', warmup); err != nil {
				return err
			}
			if err := l.finish(ctx); err != nil {
				return err
			}
			break
		}
		// Not only its start: most processes have emitted something when they are killed.
		if i%5 > 0 && !n.cut {
			if err := l.until(ctx, "an event", func() bool { return l.count('A')+l.count('S') > 0 }); err != nil {
				return err
			}
		}
		if n.cut { // the first of an outage go to the spool after three attempts
			if err := l.await(ctx, 'S', 1); err != nil {
				return err
			}
		}
		if err := pause(ctx, time.Duration(rand.Int64N(int64(800*time.Millisecond)))); err != nil {
			return err
		}
		l.kill()
	}
	r.note("%d processes killed", kills)
	return errors.Join(s.check(ctx, r, t.topic, t.dir, claims{killed: kills}, loads...), noSpool(t.dir))
}

// noSpool is an error if the folder holds one.
func noSpool(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "spool_*"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left: %v", left)
	}
	return err
}
