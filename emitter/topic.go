package emitter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// partitionsCheck is how often the cached number of partitions is compared
// with the metadata.
const partitionsCheck = 5 * time.Second

// topic routes messages to the lanes of its partitions. Until their number is
// known messages are pending, and a goroutine finds it out.
type topic struct {
	k    *Kafka
	name string
	brk  breaker

	mu        sync.Mutex
	parts     []int // 0 … n−1, empty while unknown
	lanes     []*lane
	turn      int // partition of the next message without a key
	checked   time.Time
	pending   []*item
	head      string // key of the first pending item
	resolving bool
}

// enqueue puts the item into its lane, or returns why a breaker forbids it.
func (t *topic) enqueue(it *item, now time.Time) error {
	if t.brk.blocked(now) {
		return gate{&t.brk}.blockedCause()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parts) == 0 {
		if len(t.pending) == 0 {
			t.head = it.msg.Key
		}
		t.pending = append(t.pending, it)
		if !t.resolving {
			t.resolving = true
			t.k.inside.Add(1)
			go t.resolve()
		}
		return nil
	}
	l := t.lane(it.msg.Key)
	if l.brk.blocked(now) {
		return gate{&l.brk}.blockedCause()
	}
	l.push(it)
	return nil
}

// lane picks the partition as Kafka's Java client does; t.mu is held.
func (t *topic) lane(key string) *lane {
	if key == "" {
		t.turn = (t.turn + 1) % len(t.parts)
		return t.lanes[t.turn]
	}
	return t.lanes[kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: []byte(key)}, t.parts...)]
}

// resolve learns the number of partitions and hands the pending items to their
// lanes, or stores them when it cannot.
func (t *topic) resolve() {
	defer t.k.inside.Done()
	for {
		head, n := t.waiting()
		if n == 0 {
			return
		}
		g := gate{&t.k.brk, &t.brk}
		if !g.admit(time.Now()) {
			t.k.store(t.takePending(), false, g.blockedCause())
			continue
		}
		tr := t.k.newTries(t.name, head, n-1)
		parts, v := t.find(tr)
		if v.err == nil {
			t.k.passed(g, t.name)
			t.route(parts)
			return
		}
		items := t.takePending()
		t.k.giveUp(g, items, tr, v, false)
	}
}

// waiting describes the pending items; without any it ends the goroutine's
// turn.
func (t *topic) waiting() (head string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pending) == 0 {
		t.resolving = false
	}
	return t.head, len(t.pending)
}

// takePending takes those pending items that were not withdrawn.
func (t *topic) takePending() []*item {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.pending[:0]
	for _, it := range t.pending {
		if it.take() {
			taken = append(taken, it)
		}
	}
	t.pending = nil
	return taken
}

// find asks for the number of partitions until the tries are used up.
func (t *topic) find(tr *tries) (int, verdict) {
	created := false
	for {
		ctx, cancel := context.WithTimeout(t.k.ctx, t.k.cfg.RequestTimeout)
		md, gen, err := t.k.cluster.lookup(ctx, t.name)
		if errors.Is(err, kafka.UnknownTopicOrPartition) && t.k.cfg.CreateTopics && !created {
			created = true
			if cerr := t.k.cluster.create(ctx, t.name); cerr != nil {
				err = fmt.Errorf("creating topic %s: %w", t.name, cerr)
			}
		}
		cancel()
		if err == nil {
			return len(md.Partitions), verdict{}
		}
		v := judge(err, false)
		if v.refresh {
			t.k.cluster.refresh(gen)
		}
		if !tr.again(v) {
			return 0, v
		}
	}
}

// route sets the number of partitions and hands pending items to the lanes, in
// their order.
func (t *topic) route(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resize(n)
	t.resolving = false
	for _, it := range t.pending {
		t.lane(it.msg.Key).push(it)
	}
	t.pending = nil
}

// resize follows the topic's number of partitions; t.mu is held. Lanes beyond
// it are kept: they may have work, and the topic may grow again.
func (t *topic) resize(n int) {
	t.parts = make([]int, n)
	for i := range t.parts {
		t.parts[i] = i
		if i == len(t.lanes) {
			t.lanes = append(t.lanes, &lane{t: t, k: t.k, partition: i})
		}
	}
	t.checked = time.Now()
}

// grown looks, now and then, whether partitions were added. The metadata comes
// from the cache.
func (t *topic) grown(ctx context.Context) {
	t.mu.Lock()
	due := len(t.parts) > 0 && time.Since(t.checked) > partitionsCheck
	if due {
		t.checked = time.Now()
	}
	t.mu.Unlock()
	if !due {
		return
	}
	md, _, err := t.k.cluster.lookup(ctx, t.name)
	if err != nil {
		return // the next batch will find out what is wrong
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(md.Partitions); n > len(t.parts) && len(t.parts) > 0 {
		t.resize(n)
	}
}

// forget makes the next message ask for the number of partitions again, after
// the topic has vanished.
func (t *topic) forget() {
	t.mu.Lock()
	t.parts = nil
	t.mu.Unlock()
}
