package emitter

import (
	"context"
	"errors"
	"fmt"
	"iter"
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

// enqueue puts the items into their lanes, in their order, but for those that
// a breaker forbids: they are returned, taken, with the breaker's cause.
func (t *topic) enqueue(items []item, now time.Time) (held []*item, cause error) {
	g := gate{&t.k.brk, &t.brk}
	if g.blocked(now) {
		return takeAll(items), g.blockedCause()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parts) == 0 {
		t.wait(items)
		return nil, nil
	}
	for l, mine := range t.sort(items) {
		if l.brk.blocked(now) {
			cause = gate{&l.brk}.blockedCause()
			for _, it := range mine {
				it.take()
			}
			held = append(held, mine...)
			continue
		}
		l.push(mine)
	}
	return held, cause
}

// takeAll takes items that no one else knows yet.
func takeAll(items []item) []*item {
	out := make([]*item, len(items))
	for i := range items {
		items[i].take()
		out[i] = &items[i]
	}
	return out
}

// wait makes the items wait until the partitions are known; t.mu is held.
func (t *topic) wait(items []item) {
	if len(t.pending) == 0 {
		t.head = items[0].msg.Key
	}
	for i := range items {
		t.pending = append(t.pending, &items[i])
	}
	if !t.resolving {
		t.resolving = true
		t.k.inside.Add(1)
		go t.resolve()
	}
}

// sort yields the items of each lane, in their order; t.mu is held.
func (t *topic) sort(items []item) iter.Seq2[*lane, []*item] {
	return func(yield func(*lane, []*item) bool) {
		if len(items) == 1 {
			yield(t.lane(items[0].msg.Key), []*item{&items[0]})
			return
		}
		mine := make([][]*item, len(t.lanes))
		for i := range items {
			l := t.lane(items[i].msg.Key)
			mine[l.partition] = append(mine[l.partition], &items[i])
		}
		for i, its := range mine {
			if len(its) > 0 && !yield(t.lanes[i], its) {
				return
			}
		}
	}
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
		t.k.store(items, false, t.k.giveUp(g, len(items), tr, v))
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
		n, gen, err := t.k.count(ctx, t.name, &created)
		cancel()
		if err == nil {
			return n, verdict{}
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

// count returns the number of the topic's partitions, and the generation of
// the metadata that says so. A missing topic is created once, if that is
// allowed; the error says that it was missing all the same.
func (k *Kafka) count(ctx context.Context, name string, created *bool) (n, gen int, err error) {
	v, err := k.cluster.view(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	n, err = v.partitions(name)
	if errors.Is(err, kafka.UnknownTopicOrPartition) && k.cfg.CreateTopics && !*created {
		*created = true
		if cerr := k.cluster.create(ctx, name); cerr != nil {
			err = fmt.Errorf("creating topic %s: %w", name, cerr)
		}
	}
	return n, v.gen, err
}

// route sets the number of partitions and hands pending items to the lanes, in
// their order.
func (t *topic) route(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resize(n)
	t.resolving = false
	for _, it := range t.pending {
		t.lane(it.msg.Key).push([]*item{it})
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
			t.lanes = append(t.lanes, &lane{t: t, k: t.k, partition: i, wake: make(chan struct{}, 1)})
		}
	}
	t.checked = time.Now()
}

// grown looks, now and then, whether partitions were added, as far as the
// metadata at hand says so.
func (t *topic) grown() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parts) == 0 || time.Since(t.checked) <= partitionsCheck {
		return
	}
	t.checked = time.Now()
	if n := t.k.cluster.count(t.name); n > len(t.parts) {
		t.resize(n)
	}
}

// all are the lanes, of partitions that are gone too.
func (t *topic) all() []*lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lanes
}

// hasten has the outcomes that the topic's partitions wait for asked about.
func (t *topic) hasten() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lanes {
		l.hasten()
	}
}

// forget makes the next message ask for the number of partitions again, after
// the topic has vanished.
func (t *topic) forget() {
	t.mu.Lock()
	t.parts = nil
	t.mu.Unlock()
}
