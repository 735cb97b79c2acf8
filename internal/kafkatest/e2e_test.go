//go:build e2e && unix

package kafkatest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/goleak"

	"github.com/typostream/typostream/internal/kafkatest"
)

const topic = "life"

// TestLife takes one cluster through everything it can do to its nodes. One
// test, not several: each step needs what the former left, and a start is dear.
func TestLife(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	c := timed(t, "start", func() (*kafkatest.Cluster, error) { return kafkatest.Start(ctx, kafkatest.Options{}) })
	defer func() {
		if t.Failed() {
			for _, id := range c.Nodes() {
				t.Logf("log of node %d:\n%s", id, c.Log(id))
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error("second Close:", err)
		}
	}()
	must(t, "create topic", func() error { return c.CreateTopic(ctx, topic, 1, 3, 2) })
	if err := c.CreateTopic(ctx, topic, 1, 3, 2); err == nil {
		t.Error("a topic was created twice")
	}

	p := &producer{cluster: c, sent: map[string]string{}}
	p.send(t, ctx, "first")
	p.check(t, ctx)

	leader := p.leader(t, ctx)
	must(t, "kill the leader", func() error { return c.Kill(leader) })
	if err := c.Kill(leader); err == nil {
		t.Error("a node was killed twice")
	}
	must(t, "settle on two nodes", func() error { return c.WaitReady(ctx) })
	if now := p.leader(t, ctx); now == leader {
		t.Errorf("node %d is killed and leads", leader)
	}
	p.send(t, ctx, "without one")
	must(t, "bring it back", func() error { return c.StartNode(leader) })
	if err := c.StartNode(leader); err == nil {
		t.Error("a node was started twice")
	}
	must(t, "settle on three nodes", func() error { return c.WaitReady(ctx) })
	p.check(t, ctx)

	leader = p.leader(t, ctx)
	must(t, "hang the leader", func() error { return c.Pause(leader) })
	must(t, "settle without it", func() error { return c.WaitReady(ctx) })
	p.send(t, ctx, "while one hangs", leader)
	must(t, "let it go on", func() error { return c.Resume(leader) })
	must(t, "settle with it", func() error { return c.WaitReady(ctx) })
	p.check(t, ctx)

	must(t, "stop one in order", func() error { return c.Stop(leader) })
	must(t, "settle without it", func() error { return c.WaitReady(ctx) })
	p.send(t, ctx, "while one is stopped")

	must(t, "stop the others", func() error {
		return c.Stop(slices.DeleteFunc(c.Nodes(), func(id int) bool { return id == leader })...)
	})
	must(t, "start all", func() error { return c.StartNode(c.Nodes()...) })
	must(t, "settle", func() error { return c.WaitReady(ctx) })
	p.check(t, ctx)
	p.send(t, ctx, "after all were down")
	p.check(t, ctx)
}

// must runs one step, says how long it took, and ends the test if it failed.
func must(t *testing.T, what string, f func() error) {
	t.Helper()
	timed(t, what, func() (struct{}, error) { return struct{}{}, f() })
}

func timed[T any](t *testing.T, what string, f func() (T, error)) T {
	t.Helper()
	start := time.Now()
	v, err := f()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Logf("%-24s %5.1f s", what, time.Since(start).Seconds())
	return v
}

// A producer writes with the product's client, all in-sync replicas acknowledging, and knows what it wrote.
type producer struct {
	cluster *kafkatest.Cluster
	sent    map[string]string
}

func (p *producer) leader(t *testing.T, ctx context.Context) int {
	t.Helper()
	id, err := p.cluster.Leader(ctx, topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// send writes ten records. The hung nodes are not asked for metadata: they
// accept a connection and then say nothing, which the Writer takes for the end.
func (p *producer) send(t *testing.T, ctx context.Context, name string, hung ...int) {
	t.Helper()
	var brokers []string
	for i, id := range p.cluster.Nodes() {
		if !slices.Contains(hung, id) {
			brokers = append(brokers, p.cluster.Brokers()[i])
		}
	}
	w := &kafka.Writer{
		Addr:         kafka.TCP(brokers...),
		Topic:        topic,
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond,
		Transport:    &kafka.Transport{},
	}
	defer w.Transport.(*kafka.Transport).CloseIdleConnections()
	defer w.Close()
	var msgs []kafka.Message
	for i := range 10 {
		k, v := fmt.Sprintf("%s %d", name, i), fmt.Sprintf("value of %s %d", name, i)
		p.sent[k] = v
		msgs = append(msgs, kafka.Message{Key: []byte(k), Value: []byte(v)})
	}
	if err := w.WriteMessages(ctx, msgs...); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// check reads everything back: each record that was acknowledged is there with its value, and offsets have no gap.
func (p *producer) check(t *testing.T, ctx context.Context) {
	t.Helper()
	records, err := p.cluster.ReadAll(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i, r := range records {
		got[string(r.Key)] = string(r.Value)
		if r.Partition != 0 || r.Offset != int64(i) {
			t.Fatalf("record %d is at %d/%d", i, r.Partition, r.Offset)
		}
	}
	if !maps.Equal(got, p.sent) {
		t.Fatalf("the topic has %d keys, sent were %d:\n%q\n%q", len(got), len(p.sent), got, p.sent)
	}
}
