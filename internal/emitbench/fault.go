//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/internal/kafkatest"
)

// runner writes unique events to a topic of its own with 64 callers.
type runner struct {
	client
	topic   string
	next    atomic.Int64
	mu      sync.Mutex
	acked   map[string]bool
	failed  int
	last    time.Time
	longest time.Duration
	when    time.Duration // of the longest, since the start
}

const stallCallers = 64

// stalls runs both clients while the fault happens.
func (b *bench) stalls(ctx context.Context, cluster *kafkatest.Cluster) error {
	faults := map[string]func(context.Context, *kafkatest.Cluster) error{"roll": roll, "move": move, "kill": kill, "hang": hang}
	fault := faults[b.fault]
	if fault == nil {
		return fmt.Errorf("no fault is named %q", b.fault)
	}
	var runners []*runner
	for _, open := range []func(target) (client, error){typostream, franz} {
		name := fmt.Sprintf("stall-%d", len(runners))
		if err := cluster.CreateTopic(ctx, name, 6, 3, 2); err != nil {
			return err
		}
		c, err := open(target{brokers: cluster.Brokers(), topic: name, compression: b.compression, dial: delayed(0)})
		if err != nil {
			return err
		}
		runners = append(runners, &runner{client: c, topic: name, acked: map[string]bool{}})
	}
	running, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, r := range runners {
		r.start(running, &wg)
	}
	time.Sleep(3 * time.Second)
	err := fault(ctx, cluster)
	if err == nil {
		err = cluster.WaitReady(ctx)
	}
	time.Sleep(3 * time.Second)
	stop()
	wg.Wait()
	for _, r := range runners {
		r.close()
	}
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "%s\tacked\tnot acked\tlost\tduplicated\tlongest stall\tat\t\n", b.fault)
	for _, r := range runners {
		lost, extra, err := r.readBack(ctx, cluster)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d\t%d\t%v\t%v\t\n", r.name, len(r.acked), r.failed, lost, extra, r.longest.Round(time.Millisecond), r.when.Round(time.Millisecond))
	}
	return out.Flush()
}

func (r *runner) start(ctx context.Context, wg *sync.WaitGroup) {
	begun := time.Now()
	r.last = begun.Add(time.Second) // the first second is for connecting
	for range stallCallers {
		wg.Go(func() {
			for ctx.Err() == nil {
				e := event{key: fmt.Sprintf("n%09d", r.next.Add(1))}
				e.value = fmt.Appendf(nil, `{"canonical_fqdn":%q,"pad":"%0560d"}`, e.key, 0)
				err := r.send(context.WithoutCancel(ctx), []event{e})
				r.mu.Lock()
				now := time.Now()
				if err != nil {
					r.failed++
				} else {
					r.acked[e.key] = true
					if gap := now.Sub(r.last); gap > r.longest {
						r.longest, r.when = gap, r.last.Sub(begun)
					}
					if now.After(r.last) {
						r.last = now
					}
				}
				r.mu.Unlock()
			}
		})
	}
}

func (r *runner) readBack(ctx context.Context, cluster *kafkatest.Cluster) (lost, extra int, err error) {
	records, err := cluster.ReadAll(ctx, r.topic)
	if err != nil {
		return 0, 0, err
	}
	seen := map[string]int{}
	for _, rec := range records {
		seen[string(rec.Key)]++
	}
	for key := range r.acked {
		if seen[key] == 0 {
			lost++
		}
	}
	for _, n := range seen {
		extra += n - 1
	}
	return lost, extra, nil
}

// roll stops and starts each node in turn, as an upgrade does.
func roll(ctx context.Context, c *kafkatest.Cluster) error {
	for _, id := range c.Nodes() {
		if err := c.Stop(id); err != nil {
			return err
		}
		if err := errors.Join(c.StartNode(id), c.WaitReady(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// kill ends the leader of partition 0 without warning.
func kill(ctx context.Context, c *kafkatest.Cluster) error {
	id, err := c.Leader(ctx, "stall-0", 0)
	if err != nil {
		return err
	}
	if err := c.Kill(id); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	return c.StartNode(id)
}

// hang stops the leader of partition 0 for 10 s.
func hang(ctx context.Context, c *kafkatest.Cluster) error {
	id, err := c.Leader(ctx, "stall-0", 0)
	if err != nil {
		return err
	}
	if err := c.Pause(id); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	return c.Resume(id)
}

// move makes another replica the leader of every partition, ten times, a second apart.
func move(ctx context.Context, c *kafkatest.Cluster) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		return err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	for i := range 10 {
		var req kadm.AlterPartitionAssignmentsReq
		topics := kadm.TopicsSet{}
		for _, name := range []string{"stall-0", "stall-1"} {
			for p := range int32(6) {
				first := (p + int32(i)) % 3
				req.Assign(name, p, []int32{first + 1, (first+1)%3 + 1, (first+2)%3 + 1})
				topics.Add(name, p)
			}
		}
		if _, err := admin.AlterPartitionAssignments(ctx, req); err != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
		if _, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, topics); err != nil {
			return err
		}
		time.Sleep(800 * time.Millisecond)
	}
	return nil
}
