package emitter

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// Kafka writes messages to Kafka, idempotently, with acks from all in-sync
// replicas.
//
// The way of a message: Emit puts it into the queue of its partition (lane).
// A lane takes what its queue holds as one batch, has one batch in flight at a
// time, and sends the same bytes with the same sequence number until the
// outcome is certain or the attempts are used up (deliver). Batches for one
// broker that are ready together share a request (outbox). What cannot be
// delivered goes to the spool, what Kafka refuses for good to the dead
// letters, and only then is the caller released.
//
// Run sends what is in the spool when Kafka takes events again. Messages with
// one key keep the order in which their Emits returned: while an older one is in
// the spool a newer one goes there too.
type Kafka struct {
	cfg     KafkaConfig
	packer  *compressor
	cluster *cluster
	session *session
	spool   *Spool       // nil: Emit returns an error instead
	dead    *DeadLetters // nil: Emit returns an error instead
	books   ledger
	meters  meters
	recent  recent
	health  health
	brk     breaker // of the whole cluster
	pace    *pace   // of new messages
	replays *rate.Limiter
	copies  copies // of dead letters, on their way to their topic

	room   *semaphore.Weighted // bytes inside
	ctx    context.Context     // ends when Close gives up waiting
	cancel context.CancelFunc

	closing chan struct{} // closed when Close begins

	mu      sync.Mutex
	topics  map[string]*topic
	closed  bool
	callers sync.WaitGroup // calls of Emit and the like
	inside  sync.WaitGroup // goroutines of lanes and topics
	gone    chan struct{}  // closed when Close is through
	once    sync.Once
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
		cfg:     cfg,
		spool:   spool,
		dead:    dead,
		meters:  newMeters(),
		room:    semaphore.NewWeighted(int64(cfg.QueueBytes)),
		pace:    newPace(cfg.EmitRate, cfg.EmitBurst),
		replays: newLimit(cfg.ReplayRate),
		topics:  map[string]*topic{},
		gone:    make(chan struct{}),

		closing: make(chan struct{}),
	}
	var err error
	if k.packer, err = newCompressor(cfg.Compression); err != nil {
		return nil, &ConfigError{[]string{"Compression: " + err.Error()}}
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.cluster = newCluster(&k.cfg)
	k.session = newSession(k.cluster, k.books.session)
	if dead != nil && cfg.DeadLetterTopic != "" {
		dead.tee = k.copyLetter
	}
	return k, nil
}

// item is one message inside the emitter.
type item struct {
	msg  Message
	size int64
	call *call
	room int64    // taken in the spool, in case the message comes to be there
	line *lineRef // of a message that is in the spool already; nil: new
	copy bool     // of a dead letter: nobody waits for it, and it is in no books
	fate Fate
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
	span    trace.SpanContext // that the caller is in; not set without a tracer
	done    chan struct{}     // closed when left is 0
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
	_, receipt, err := k.emit(ctx, msgs)
	return receipt, err
}

// EmitEach is Emit, and says of each message what became of it.
func (k *Kafka) EmitEach(ctx context.Context, msgs ...Message) ([]Fate, error) {
	items, _, err := k.emit(ctx, msgs)
	fates := make([]Fate, len(msgs))
	for i := range items {
		fates[i] = items[i].fate
	}
	return fates, err
}

func (k *Kafka) emit(ctx context.Context, msgs []Message) ([]item, Receipt, error) {
	if err := checkMessages(msgs); err != nil {
		return nil, Receipt{}, err
	}
	if !k.enter() {
		return nil, Receipt{}, ErrClosed
	}
	defer k.callers.Done()
	if len(msgs) == 0 {
		return nil, Receipt{}, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, Receipt{}, &UndeliveredError{Count: len(msgs), Cause: err}
	}
	c := &call{left: len(msgs), done: make(chan struct{})}
	if k.cfg.Tracer != nil {
		c.span = trace.SpanContextFromContext(ctx)
	}
	items := make([]item, len(msgs))
	k.admit(ctx, c, items, msgs)
	k.await(ctx, c, items)
	if c.lost != nil {
		return items, c.receipt, c.lost
	}
	return items, c.receipt, nil
}

// admit offers the messages at the pace that EmitRate sets.
func (k *Kafka) admit(ctx context.Context, c *call, items []item, msgs []Message) {
	for len(msgs) > 0 {
		n, err := k.pace.take(ctx, k.ctx, len(msgs))
		if err == nil {
			err = k.offer(ctx, c, items[:n], msgs[:n])
			items, msgs = items[n:], msgs[n:]
		}
		if err != nil {
			refuse(c, items, err)
			return
		}
	}
}

// refuse hands back items that are in no lane.
func refuse(c *call, items []item, err error) {
	for i := range items {
		items[i].state.Store(itemTaken)
	}
	if len(items) > 0 {
		c.settle(len(items), Receipt{}, err, false)
	}
}

// await returns when every item of the call is settled.
func (k *Kafka) await(ctx context.Context, c *call, items []item) {
	select {
	case <-c.done:
	case <-ctx.Done():
		k.withdraw(ctx, items)
		<-c.done
	}
}

func (k *Kafka) enter() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.callers.Add(1)
	return true
}

// offer brings the messages to their lanes, as far as there is room and the
// context lives; it refuses the others and returns why.
func (k *Kafka) offer(ctx context.Context, c *call, items []item, msgs []Message) error {
	first := 0 // of those that have room and are not in their lane
	for i := range msgs {
		it := &items[i]
		it.msg, it.call = msgs[i], c
		it.size = min(int64(len(it.msg.Key)+len(it.msg.Value)+itemOverhead), int64(k.cfg.QueueBytes))
		if k.reserve(it) && k.room.TryAcquire(it.size) {
			continue
		}
		k.enqueue(items[first:i]) // they hold room themselves
		first = i
		if err := k.acquire(ctx, it); err != nil {
			refuse(c, items[i:], err)
			return err
		}
	}
	k.enqueue(items[first:])
	return nil
}

// acquire waits for what reserve and TryAcquire did not give at once.
func (k *Kafka) acquire(ctx context.Context, it *item) error {
	if k.spool != nil && it.line == nil && it.room == 0 {
		n := lineRoom(&it.msg)
		if err := k.spool.reserve(ctx, n); err != nil {
			return err
		}
		it.room = n
	}
	err := k.room.Acquire(ctx, it.size)
	if err != nil && it.room > 0 {
		k.spool.room.release(it.room)
	}
	return err
}

// reserve takes room in the spool for a new message, if there is some.
func (k *Kafka) reserve(it *item) bool {
	if k.spool == nil || it.line != nil {
		return true
	}
	n := lineRoom(&it.msg)
	if !k.spool.room.tryAcquire(n) {
		return false
	}
	it.room = n
	return true
}

// enqueue puts items into their lanes. What a breaker keeps from Kafka is
// spooled here, by the caller, so that it does not queue behind a probe.
func (k *Kafka) enqueue(items []item) {
	if len(items) == 0 {
		return
	}
	if items[0].line == nil && !items[0].copy {
		k.books.accept(len(items))
	}
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

// Accounting returns the books as they are at this moment.
func (k *Kafka) Accounting() Accounting { return k.books.snapshot() }

// Metrics returns the collectors of this emitter, prefixed typostream_emit_.
func (k *Kafka) Metrics() []prometheus.Collector {
	return append([]prometheus.Collector{
		&bookCollector{books: &k.books},
		&spoolCollector{spool: k.spool},
		k.meters.breakerGauge(k),
		&numbersCollector{k},
		k.copies.counter(),
	}, k.meters.all()...)
}

// closingGrace is what Close leaves to batches of unknown outcome and to copies
// of dead letters.
const closingGrace = 2 * time.Second

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
		k.callers.Wait()
		// What is inside now nobody waits for.
		grace := time.AfterFunc(closingGrace, k.cancel)
		k.inside.Wait()
		grace.Stop()
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
