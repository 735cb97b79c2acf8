//go:build linux

package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// scenario is one row of the table.
type scenario struct {
	name string
	run  func(context.Context, *suite, *row) error
}

var scenarios = []scenario{
	{"baseline", baseline},
	{"leader moved every second", fault{beside: true, do: moveLeaders}.run},
	{"leader killed, and back", fault{beside: true, do: killLeader}.run},
	{"rolling restart", fault{beside: true, do: roll, long: true}.run},
	{"all brokers down, and back", fault{do: allDown}.run},
	{"worker, all brokers down", commandOutage},
	{"two of three stopped", fault{do: twoStopped, long: true}.run},
	{"two of three killed", fault{do: twoKilled, long: true}.run},
	{"broker hangs (SIGSTOP)", fault{beside: true, do: hang, long: true}.run},
	{"network cut", fault{proxied: true, beside: true, do: network{cut: true}.happens}.run},
	{"network delays 300 ms", fault{proxied: true, beside: true, do: network{delay: 300 * time.Millisecond}.happens}.run},
	{"network resets", fault{proxied: true, beside: true, do: network{reset: 0.05}.happens}.run},
	{"network half open", fault{proxied: true, beside: true, do: network{silent: true}.happens}.run},
	{"produce responses lost", fault{proxied: true, beside: true, do: network{dropAcks: 0.3}.happens}.run},
	{"topic deleted and recreated", recreated},
	{"message over the limit", overLimit},
	{"wrong password, then right", password},
	{"disk full", diskFull},
	{"fsync fails", syncFails},
	{"spool cut at every byte", tornSpool},
	{"emitter killed at random", emitterKilled},
	{"typostream killed at random", commandKilled},
	{"clock jumps", clockJumps},
	{"1,000 at once, new topic", newTopic},
}

// topicOf makes a name of a topic and folder of the scenario's.
func topicOf(r *row) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(r.name))
}

const (
	callers  = 16
	interval = 10 * time.Millisecond // of a caller
	warmup   = 500                   // events before a fault and after it
)

// fault is what most scenarios are: a load on a topic, something bad, the end of it.
type fault struct {
	proxied, beside bool
	long            bool // left out of the short suite
	do              func(context.Context, *trial) error
}

// trial is a fault while it happens.
type trial struct {
	*suite
	row   *row
	topic string
	dir   string
	load  *load
	proxy *proxy
}

func (f fault) run(ctx context.Context, s *suite, r *row) error {
	if f.long && s.short {
		r.note("not in the short suite")
		return nil
	}
	t, err := s.trial(ctx, r, f.proxied)
	if err != nil {
		return err
	}
	if t.proxy != nil {
		defer t.proxy.close()
	}
	if t.load, err = startLoad(t.order(), filepath.Join(t.dir, "log")); err != nil {
		return err
	}
	defer t.load.kill()
	var other *beside
	if f.beside {
		if err := s.cluster.CreateTopic(ctx, t.topic+".beside", 6, 3, 2); err != nil {
			return err
		}
		if other, err = startBeside(s.cluster.Brokers(), t.topic+".beside", t.proxy, callers, interval); err != nil {
			return err
		}
		defer func() { r.beside = other.stop() }()
	}
	if err := t.load.await(ctx, 'A', warmup); err != nil {
		return err
	}
	if err := f.do(ctx, t); err != nil {
		return err
	}
	if err := t.load.await(ctx, 'A', warmup); err != nil {
		return err
	}
	if err := t.load.finish(ctx); err != nil {
		return err
	}
	return s.check(ctx, r, t.topic, t.dir, claims{}, t.load)
}

// trial makes the topic and the folder, and with a proxy stands one before the brokers.
func (s *suite) trial(ctx context.Context, r *row, proxied bool) (*trial, error) {
	t := &trial{suite: s, row: r, topic: topicOf(r)}
	var err error
	if t.dir, err = s.folder(t.topic); err != nil {
		return nil, err
	}
	if err := s.cluster.CreateTopic(ctx, t.topic, 6, 3, 2); err != nil {
		return nil, err
	}
	if proxied {
		t.proxy, err = startProxy(s.cluster.Brokers())
	}
	return t, err
}

// order is for a steady load.
func (t *trial) order() order {
	o := order{Brokers: t.cluster.Brokers(), Topic: t.topic, Dir: t.dir, Tag: "e", Callers: callers, Slice: 1, Pause: interval}
	if t.proxy != nil {
		o.Via = t.proxy.Via
	}
	return o
}

// lasts is how long a fault lasts.
func (s *suite) lasts(full, short time.Duration) time.Duration {
	if s.short {
		return short
	}
	return full
}

func baseline(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, false)
	if err != nil {
		return err
	}
	o := t.order()
	o.Callers, o.Slice, o.Pause, o.Count = 4, 500, 0, 200_000
	if s.short {
		o.Count = 20_000
	}
	l, err := startLoad(o, filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer l.kill()
	if err := l.wait(ctx); err != nil {
		return err
	}
	if len(l.fates) != o.Count {
		r.fail("%d events taken, want %d", len(l.fates), o.Count)
	}
	return s.check(ctx, r, t.topic, t.dir, claims{}, l)
}

// moveLeaders makes another replica the leader of every partition, each second.
func moveLeaders(ctx context.Context, t *trial) error {
	moves := 10
	if t.short {
		moves = 5
	}
	for i := range moves {
		var req kadm.AlterPartitionAssignmentsReq
		topics := kadm.TopicsSet{}
		for _, name := range []string{t.topic, t.topic + ".beside"} {
			for p := range int32(6) {
				first := (p + int32(i)) % 3
				req.Assign(name, p, []int32{first + 1, (first+1)%3 + 1, (first+2)%3 + 1})
				topics.Add(name, p)
			}
		}
		if _, err := t.admin.AlterPartitionAssignments(ctx, req); err != nil {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		if _, err := t.admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, topics); err != nil {
			return err
		}
		if err := pause(ctx, 800*time.Millisecond); err != nil {
			return err
		}
	}
	return t.cluster.WaitReady(ctx)
}

func killLeader(ctx context.Context, t *trial) error {
	id, err := t.cluster.Leader(ctx, t.topic, 0)
	if err != nil {
		return err
	}
	return t.gone(ctx, 5*time.Second, t.cluster.Kill, id)
}

// gone takes nodes away for a while and brings them back.
func (t *trial) gone(ctx context.Context, d time.Duration, take func(...int) error, ids ...int) error {
	if err := take(ids...); err != nil {
		return err
	}
	if err := pause(ctx, d); err != nil {
		return err
	}
	if err := t.cluster.StartNode(ids...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return t.cluster.WaitReady(ctx)
}

func roll(ctx context.Context, t *trial) error {
	for _, id := range t.cluster.Nodes() {
		if err := t.gone(ctx, 0, t.cluster.Stop, id); err != nil {
			return err
		}
	}
	return nil
}

func allDown(ctx context.Context, t *trial) error {
	err := t.gone(ctx, t.lasts(30*time.Second, 10*time.Second), t.cluster.Kill, t.cluster.Nodes()...)
	if t.load.count('S') == 0 {
		t.row.fail("nothing was spooled while no broker was there")
	}
	return err
}

// twoStopped stops one broker after the other: each leaves the replicas in sync
// in order, so the last knows that it is alone.
func twoStopped(ctx context.Context, t *trial) error {
	err := t.gone(ctx, 15*time.Second, func(ids ...int) error {
		return errors.Join(t.cluster.Stop(ids[0]), t.cluster.Stop(ids[1]))
	}, 2, 3)
	t.row.note("lines of the log with NOT_ENOUGH_REPLICAS: %d", t.load.said("[19] "))
	return err
}

func twoKilled(ctx context.Context, t *trial) error {
	return t.gone(ctx, 15*time.Second, t.cluster.Kill, 2, 3)
}

func hang(ctx context.Context, t *trial) error {
	id, err := t.cluster.Leader(ctx, t.topic, 0)
	if err != nil {
		return err
	}
	if err := t.cluster.Pause(id); err != nil {
		return err
	}
	err = pause(ctx, 10*time.Second)
	return errors.Join(err, t.cluster.Resume(id), t.cluster.WaitReady(ctx))
}

// happens makes the network so for a while.
func (n network) happens(ctx context.Context, t *trial) error {
	t.proxy.set(n)
	err := pause(ctx, t.lasts(10*time.Second, 4*time.Second))
	t.proxy.set(network{})
	if n.dropAcks > 0 {
		t.proxy.mu.Lock()
		defer t.proxy.mu.Unlock()
		t.row.note("%d responses were lost after the append, of both clients", t.proxy.lost)
		if t.proxy.lost == 0 {
			t.row.fail("no response was lost")
		}
	}
	return err
}
