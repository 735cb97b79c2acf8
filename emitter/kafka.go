package emitter

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

// Kafka writes messages to Kafka, idempotently, with acks from all in-sync
// replicas.
//
// The way of a message: Emit puts it into the queue of its partition (lane).
// A lane takes what its queue holds as one batch, has one batch in flight at a
// time, and sends the same bytes with the same sequence number until the
// outcome is certain or the attempts are used up (deliver). What cannot be
// delivered goes to the spool, what Kafka refuses for good to the dead
// letters, and only then is the caller released.
//
// Messages with one key keep their order among those that are acked; spooled
// messages come later, by Replay.
type Kafka struct {
	cfg     KafkaConfig
	packer  *compressor
	cluster *cluster
	session *session
	spool   *Spool       // nil: Emit returns an error instead
	dead    *DeadLetters // nil: Emit returns an error instead
	books   ledger
	meters  meters
	health  health
	brk     breaker // of the whole cluster

	room   *semaphore.Weighted // bytes inside
	ctx    context.Context     // ends when Close gives up waiting
	cancel context.CancelFunc

	closing chan struct{} // closed when Close begins

	mu     sync.Mutex
	topics map[string]*topic
	closed bool
	inside sync.WaitGroup // calls of Emit and goroutines of lanes
	gone   chan struct{}  // closed when Close is through
	once   sync.Once
}

// NewKafka checks the configuration and touches no network. With a nil spool
// Emit returns an *UndeliveredError for what Kafka does not take; with nil
// dead letters it does so for what Kafka refuses. Close closes both files.
func NewKafka(cfg KafkaConfig, spool *Spool, dead *DeadLetters) (*Kafka, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	k := &Kafka{
		cfg:    cfg,
		spool:  spool,
		dead:   dead,
		meters: newMeters(),
		room:   semaphore.NewWeighted(int64(cfg.QueueBytes)),
		topics: map[string]*topic{},
		gone:   make(chan struct{}),

		closing: make(chan struct{}),
	}
	var err error
	if k.packer, err = newCompressor(cfg.Compression); err != nil {
		return nil, &ConfigError{[]string{"Compression: " + err.Error()}}
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.cluster = newCluster(&k.cfg)
	k.session = newSession(k.cluster, k.books.session)
	return k, nil
}

// item is one message inside the emitter.
type item struct {
	msg  Message
	size int64
	call *call
	// state decides between the lane that takes the item into a batch and the
	// Emit that is cancelled.
	state atomic.Uint32
}

const (
	itemQueued uint32 = iota
	itemTaken
)

// take is true for the one who may settle the item.
func (it *item) take() bool { return it.state.CompareAndSwap(itemQueued, itemTaken) }

// call is one Emit.
type call struct {
	mu      sync.Mutex
	left    int
	receipt Receipt
	lost    *UndeliveredError
	done    chan struct{} // closed when left is 0
}

// settle books n messages of the call; err says that they are durable nowhere.
func (c *call) settle(n int, r Receipt, err error, unknown bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receipt = c.receipt.Add(r)
	if err != nil {
		if c.lost == nil {
			c.lost = &UndeliveredError{Cause: err}
		}
		c.lost.Count += n
		if unknown {
			c.lost.Unknown += n
		}
	}
	if c.left -= n; c.left == 0 {
		close(c.done)
	}
}

// itemOverhead is what an item costs beside its key and value, roughly.
const itemOverhead = 128

// Emit returns when every message is durable, and nil promises that. On error
// the receipt counts the messages that are durable nevertheless; the others
// are certainly not in the spool, and the error says how many of them may be
// in the topic.
//
// When ctx ends, messages that are not yet part of a batch are handed back at
// once, and Emit waits for the outcome of those that are: nothing is reported
// lost that may still be delivered. That wait is bounded by TopicWait and the
// attempts, and by Close.
func (k *Kafka) Emit(ctx context.Context, msgs ...Message) (Receipt, error) {
	if err := checkMessages(msgs); err != nil {
		return Receipt{}, err
	}
	if !k.enter() {
		return Receipt{}, ErrClosed
	}
	defer k.inside.Done()
	if len(msgs) == 0 {
		return Receipt{}, nil
	}
	if err := ctx.Err(); err != nil {
		return Receipt{}, &UndeliveredError{Count: len(msgs), Cause: err}
	}
	c := &call{left: len(msgs), done: make(chan struct{})}
	items := make([]item, len(msgs))
	k.offer(ctx, c, items, msgs)
	select {
	case <-c.done:
	case <-ctx.Done():
		k.withdraw(ctx, items)
		<-c.done
	}
	if c.lost != nil {
		return c.receipt, c.lost
	}
	return c.receipt, nil
}

func (k *Kafka) enter() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.inside.Add(1)
	return true
}

// offer brings the messages to their lanes, as far as there is room and the
// context lives.
func (k *Kafka) offer(ctx context.Context, c *call, items []item, msgs []Message) {
	first := 0 // of those that have room and are not in their lane
	for i := range msgs {
		it := &items[i]
		it.msg, it.call = msgs[i], c
		it.size = min(int64(len(it.msg.Key)+len(it.msg.Value)+itemOverhead), int64(k.cfg.QueueBytes))
		if k.room.TryAcquire(it.size) {
			continue
		}
		k.enqueue(items[first:i]) // they hold room themselves
		first = i
		if err := k.room.Acquire(ctx, it.size); err != nil {
			for j := range items[i:] {
				items[i+j].state.Store(itemTaken)
			}
			c.settle(len(items)-i, Receipt{}, err, false)
			return
		}
	}
	k.enqueue(items[first:])
}

// enqueue puts items into their lanes. What a breaker keeps from Kafka is
// spooled here, by the caller, so that it does not queue behind a probe.
func (k *Kafka) enqueue(items []item) {
	k.books.accept(len(items))
	now := time.Now()
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].msg.Topic == items[0].msg.Topic {
			n++
		}
		held, cause := k.topic(items[0].msg.Topic).enqueue(items[:n], now)
		if len(held) > 0 {
			k.store(held, false, cause)
		}
		items = items[n:]
	}
}

func (g gate) blockedCause() error {
	if err := g.cause(); err != nil {
		return err
	}
	return errBreaker
}

// topic returns the named topic, which may be new to us.
func (k *Kafka) topic(name string) *topic {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.topics[name]
	if t == nil {
		t = &topic{k: k, name: name}
		k.topics[name] = t
	}
	return t
}

// withdraw hands back the items that no batch has taken.
func (k *Kafka) withdraw(ctx context.Context, items []item) {
	for i := range items {
		if it := &items[i]; it.take() {
			k.finish([]*item{it}, Receipt{}, context.Cause(ctx), false)
		}
	}
}

// store makes taken items durable on this machine, after Kafka did not take
// them. ambiguous says that they may be in the topic.
func (k *Kafka) store(items []*item, ambiguous bool, cause error) {
	if k.spool == nil {
		k.finish(items, Receipt{}, cause, ambiguous)
		return
	}
	msgs := make([]Message, len(items))
	for i, it := range items {
		msgs[i] = it.msg
	}
	if err := k.spool.Put(msgs, ambiguous); err != nil {
		k.cfg.Log.Error("the spool cannot take events, they are handed back to the caller",
			"events", len(items), "cause", err)
		k.finish(items, Receipt{}, &SpoolError{Kafka: cause, Err: err}, ambiguous)
		return
	}
	k.finish(items, Receipt{Spooled: len(items)}, nil, false)
}

// hold is store for items of unknown outcome whose batch stays at the head of
// its partition. It reports whether they are in the spool.
func (k *Kafka) hold(items []*item, cause error) (*Held, bool) {
	msgs := make([]Message, len(items))
	for i, it := range items {
		msgs[i] = it.msg
	}
	held, err := k.spool.PutHeld(msgs)
	if err != nil {
		k.cfg.Log.Error("the spool cannot take events, they are handed back to the caller",
			"events", len(items), "cause", err)
		k.finish(items, Receipt{}, &SpoolError{Kafka: cause, Err: err}, true)
		return nil, false
	}
	held.books = &k.books
	k.finish(items, Receipt{Spooled: len(items)}, nil, false)
	return held, true
}

// finish settles taken items alike: r counts them all, or err says why they
// are durable nowhere.
func (k *Kafka) finish(items []*item, r Receipt, err error, ambiguous bool) {
	if err != nil {
		k.books.giveBack(len(items))
	} else {
		k.books.settle(r)
	}
	var room int64
	one := Receipt{Acked: min(r.Acked, 1), Spooled: min(r.Spooled, 1), DeadLettered: min(r.DeadLettered, 1)}
	for _, it := range items {
		room += it.size
	}
	k.room.Release(room)
	for _, it := range items {
		it.msg.Value = nil // the queue may hold the item longer than its caller
		it.call.settle(1, one, err, ambiguous)
	}
}

// Accounting returns the books as they are at this moment.
func (k *Kafka) Accounting() Accounting { return k.books.snapshot() }

// Metrics returns the collectors of this emitter, prefixed typostream_emit_.
func (k *Kafka) Metrics() []prometheus.Collector {
	return append([]prometheus.Collector{
		&bookCollector{books: &k.books},
		k.meters.breakerGauge(k),
	}, k.meters.all()...)
}

// Close refuses new calls and waits until every message inside has its
// outcome. When ctx ends first, attempts under way are cut short and their
// messages go to the spool. Then it closes the spool and the dead letters. It
// is safe twice, and safe beside Emit; only the first call returns the error
// of closing the files.
func (k *Kafka) Close(ctx context.Context) error {
	var err error
	k.once.Do(func() {
		k.mu.Lock()
		k.closed = true
		k.mu.Unlock()
		close(k.closing)
		stop := context.AfterFunc(ctx, k.cancel)
		k.inside.Wait()
		stop()
		k.cancel()
		k.cluster.close()
		err = k.closeFiles()
		close(k.gone)
	})
	<-k.gone
	return err
}

func (k *Kafka) closeFiles() error {
	var err error
	if k.spool != nil {
		err = k.spool.Close()
	}
	if k.dead != nil {
		if derr := k.dead.Close(); err == nil {
			err = derr
		}
	}
	return err
}
