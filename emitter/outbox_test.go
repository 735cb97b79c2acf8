package emitter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// counter is the outbox of a rig with one broker, behind a gate: no connection is
// made before it is opened.
type counter struct {
	*outbox
	r    *rig
	gate chan struct{}
}

func newCounter(t *testing.T) *counter {
	r := newRig(t, nil, kfake.NumBrokers(1), kfake.SeedTopics(4, testTopic))
	gate := make(chan struct{})
	ls := newLinks(&KafkaConfig{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		<-gate
		return new(net.Dialer).DialContext(ctx, network, addr)
	}})
	c := &counter{&outbox{links: ls, addr: r.cluster.ListenAddrs()[0], ctx: context.Background(), under: new(sync.WaitGroup)}, r, gate}
	t.Cleanup(func() {
		ls.close()
		c.under.Wait()
	})
	return c
}

// parcel is a batch of one message, the first of its partition.
func (c *counter) parcel(t *testing.T, partition int) *parcel {
	p, err := c.r.session.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := c.message(partition)
	wire, err := encodeBatch([]*item{{msg: m}}, c.r.packer, p, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &parcel{topic: m.Topic, partition: partition, wire: wire}
}

func (c *counter) message(partition int) Message {
	return msg(fmt.Sprintf("p%d.example", partition), partition)
}

// send produces the parcel and returns where the error comes.
func (c *counter) send(ctx context.Context, p *parcel) <-chan error {
	out := make(chan error, 1)
	go func() { out <- c.produce(ctx, p) }()
	return out
}

func (c *counter) waits(t *testing.T, n int) {
	waitFor(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.waiting) == n
	})
}

// What is ready when a connection is goes in one request, and each batch has its
// own answer; one that must go alone does.
func TestBatchesReadyTogetherShareARequest(t *testing.T) {
	c := newCounter(t)
	var mu sync.Mutex
	var requests []int // how many partitions each is for
	c.r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.r.cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, topic := range req.(*kmsg.ProduceRequest).Topics {
			n += len(topic.Partitions)
		}
		requests = append(requests, n)
		return nil, nil, false
	})
	parcels := []*parcel{c.parcel(t, 0), c.parcel(t, 1), c.parcel(t, 9), c.parcel(t, 2), c.parcel(t, 3)}
	parcels[4].alone = true
	var answers []<-chan error
	for i, p := range parcels {
		answers = append(answers, c.send(t.Context(), p))
		c.waits(t, i+1)
	}
	close(c.gate)
	for i, answer := range answers {
		var want error
		if parcels[i].partition == 9 {
			want = kafka.UnknownTopicOrPartition
		}
		if err := <-answer; !errors.Is(err, want) {
			t.Errorf("partition %d: %v, want %v", parcels[i].partition, err, want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(requests) != 2 || requests[0]+requests[1] != 5 || requests[0] != 4 && requests[1] != 4 {
		t.Errorf("requests for %v partitions, want one for 4 and one for 1", requests)
	}
	c.r.exactly(t, testTopic, []Message{c.message(0), c.message(1), c.message(2), c.message(3)})
}

// Who leaves before there is a connection knows that nothing was sent; who leaves
// a request that another waits for leaves it to that one; the last ends it.
func TestLeavingARequest(t *testing.T) {
	c := newCounter(t)
	early, leave := context.WithCancel(t.Context())
	p := c.parcel(t, 0)
	answer := c.send(early, p)
	c.waits(t, 1)
	leave()
	if err := <-answer; !unsent(err) || !errors.Is(err, context.Canceled) || p.lent {
		t.Errorf("left before the request: %v, lent %v", err, p.lent)
	}

	begun, release := make(chan struct{}), make(chan struct{})
	c.r.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.r.cluster.KeepControl()
		begun <- struct{}{}
		c.r.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	leaver, stayer := c.parcel(t, 1), c.parcel(t, 2)
	ctx, leave := context.WithCancel(t.Context())
	left := c.send(ctx, leaver)
	stays := c.send(t.Context(), stayer)
	c.waits(t, 2)
	close(c.gate)
	<-begun
	leave()
	if err := <-left; unsent(err) || !errors.Is(err, context.Canceled) || !leaver.lent {
		t.Errorf("left a request that goes on: %v, lent %v", err, leaver.lent)
	}
	release <- struct{}{}
	if err := <-stays; err != nil {
		t.Errorf("stayed: %v", err)
	}
	c.r.exactly(t, testTopic, []Message{c.message(1), c.message(2)}) // the leaver's bytes were on their way

	defer close(release)
	last := c.parcel(t, 3)
	ctx, leave = context.WithCancel(t.Context())
	answer = c.send(ctx, last)
	<-begun
	leave()
	if err := <-answer; unsent(err) || !errors.Is(err, context.Canceled) || last.lent {
		t.Errorf("the last one left: %v, lent %v", err, last.lent)
	}
}

// A broker that takes all the time of an attempt has used it up: there is no swift
// try as after a lost connection.
func TestHungBrokerCostsAnAttempt(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) {
		cfg.Attempts, cfg.RequestTimeout, cfg.Backoff = 1, 100*time.Millisecond, time.Hour
	}, kfake.NumBrokers(1), kfake.SeedTopics(1, testTopic))
	var asked atomic.Int32
	release := make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		asked.Add(1)
		r.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	got, err := r.Emit(t.Context(), messages(1)...)
	if err != nil || got.Spooled != 1 || asked.Load() != 1 {
		t.Errorf("Emit = %+v, %v after %d requests, want 1", got, err, asked.Load())
	}
	if log := r.log.String(); !strings.Contains(log, "(attempt 1/1): context deadline exceeded") {
		t.Errorf("the log does not say what happened:\n%s", log)
	}
	close(release)
}

// Each question after a batch whose answer was lost has a request of its own: one
// partition that is not replicated leaves no other in the dark.
func TestQuestionsGoAlone(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Attempts, cfg.RequestTimeout = 1, 100*time.Millisecond }, kfake.NumBrokers(1), kfake.SeedTopics(4, testTopic))
	var closing atomic.Bool
	var asked atomic.Int32
	r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if !closing.Load() {
			return nil, errors.New("appended by nobody, and not answered"), true
		}
		asked.Add(1)
		if topics := req.(*kmsg.ProduceRequest).Topics; len(topics) != 1 || len(topics[0].Partitions) != 1 {
			t.Errorf("asked for %d topics, %d partitions of the first", len(topics), len(topics[0].Partitions))
		}
		return nil, nil, false
	})
	var want []Message // one for each partition
	for taken := map[int]bool{}; len(taken) < 4; {
		m := msg(fmt.Sprintf("name%d.example", rand.Int()), len(taken))
		if at := (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: []byte(m.Key)}, 0, 1, 2, 3); !taken[at] {
			taken[at], want = true, append(want, m)
		}
	}
	if got, err := r.Emit(t.Context(), want...); err != nil || got.Spooled != len(want) {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	closing.Store(true)
	if err := r.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if asked.Load() != 4 {
		t.Errorf("asked %d times, want once for each partition", asked.Load())
	}
	r.exactly(t, testTopic, want)
}

// A broker that does not answer a request for several partitions, as one of them
// is not replicated, is asked for each by itself; nothing comes twice.
func TestSlowPartitionHoldsUpNoOther(t *testing.T) {
	r := newRig(t, nil, kfake.NumBrokers(1), kfake.SeedTopics(4, testTopic))
	var held atomic.Int32
	release := make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl()
		if topics := req.(*kmsg.ProduceRequest).Topics; len(topics) > 1 || len(topics[0].Partitions) > 1 {
			held.Add(1)
			r.cluster.SleepControl(func() { <-release })
		}
		return nil, nil, false
	})
	var want []Message
	for end := time.Now().Add(20 * time.Second); held.Load() == 0 && time.Now().Before(end); {
		next := messages(len(want) + 40)[len(want):]
		want = append(want, next...)
		if got, err := r.Emit(t.Context(), next...); err != nil || got.Acked != len(next) {
			t.Fatalf("Emit = %+v, %v", got, err)
		}
	}
	if held.Load() == 0 {
		t.Error("partitions never shared a request")
	}
	close(release)
	r.exactly(t, testTopic, want)
}
