package emitter

import (
	"context"
	"errors"
	"time"
)

// delivery is the way of one batch until its outcome is certain or given up.
type delivery struct {
	l       *lane
	items   []*item // nil once they are in the spool
	records int
	part    bool // of a batch that was split: what was retried then is not again

	wire      []byte // nil until encoded; the same on every attempt
	lent      bool   // a request that was given up may still read it
	gen       int    // of the metadata used by the last attempt
	ambiguous bool   // an attempt's answer was lost: the batch may be in the log
	doubted   bool   // and that is in the books
	renewals  int    // producer identities lost on the way
	attempts  int    // begun
	bytes     int    // of the encoded batch
}

// handle brings taken items to their end.
func (l *lane) handle(items []*item) {
	g := l.gate()
	if !g.admit(time.Now()) {
		l.k.store(items, false, g.blockedCause())
		return
	}
	if l.head != nil && !l.settle(g) {
		l.k.store(items, false, errHead)
		return
	}
	if items = l.k.divert(items); len(items) == 0 {
		g.release()
		return
	}
	l.deliver(g, items, false)
}

func (l *lane) gate() gate { return gate{&l.k.brk, &l.t.brk, &l.brk} }

func (l *lane) deliver(g gate, items []*item, part bool) {
	k := l.k
	if l.head != nil { // the other part of a batch that was split
		k.store(items, false, errHead)
		return
	}
	d := &delivery{l: l, items: items, records: len(items), part: part}
	tr := k.newTries(l.t.name, items[0].msg.Key, len(items)-1)
	tr.partition = l.partition
	span := d.trace()
	v := d.run(tr)
	d.traced(span, v)
	switch v.class {
	case classAcked:
		k.passed(g, l.t.name)
		k.finish(items, Receipt{Acked: len(items)}, nil, false)
	case classRecord:
		if d.ambiguous {
			d.doubt()
		}
		k.passed(g, l.t.name)
		if len(items) == 1 {
			k.bury(items[0], l.t.name, tr.made, v)
			return
		}
		l.deliver(g, items[:len(items)/2], true)
		l.deliver(g, items[len(items)/2:], true)
	default:
		cause := k.giveUp(g, len(items), tr, v)
		if d.ambiguous {
			l.keep(d, cause)
			return
		}
		k.store(items, false, cause)
	}
}

// run attempts until there is nothing more to try. The verdict is that of the
// last attempt; d.ambiguous remembers a worse one.
func (d *delivery) run(tr *tries) verdict {
	k := d.l.k
	for {
		start := time.Now()
		v := d.attempt(min(k.cfg.RequestTimeout, time.Until(tr.deadline)))
		if v.class == classAcked {
			d.acked(time.Since(start))
			if tr.made > 0 {
				k.books.retryAcked()
			}
			return v
		}
		if v.class.outcome() == unknown {
			d.ambiguous = true
		}
		if v.refresh {
			k.cluster.refresh(d.gen)
		}
		if v.class == classSession {
			k.session.drop(d.l.gen)
			d.wire = nil
			if d.ambiguous {
				d.doubt()
			}
			if d.renewals++; d.renewals <= 2 {
				k.cfg.Log.Info("Kafka no longer knows our producer id, taking a new one",
					"topic", d.l.t.name, "partition", d.l.partition, "cause", v.code.Title())
				continue
			}
		}
		if v.class == classRecord && (!v.retryFirst || d.part) {
			tr.made++
			return v
		}
		if !tr.again(v) {
			return v
		}
	}
}

// acked advances the partition's sequence.
func (d *delivery) acked(after time.Duration) {
	d.l.seq = nextSequence(d.l.seq, d.records)
	if !d.lent {
		d.l.k.packer.release(d.wire)
	}
	d.wire = nil
	d.l.k.meters.batch(d.records, after)
	d.l.k.recent.ack(after)
}

// doubt gives up the sequence numbers, which may be in the log: no other bytes
// may use them. It books, once, that these messages may come to be in the
// topic twice.
func (d *delivery) doubt() {
	d.l.k.session.drop(d.l.gen)
	if !d.doubted {
		d.doubted = true
		d.l.k.books.ambiguous(d.records)
	}
}

// attempt sends the batch once.
func (d *delivery) attempt(limit time.Duration) verdict {
	l, k := d.l, d.l.k
	d.attempts++
	ctx, end := context.WithTimeout(k.ctx, limit)
	defer end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v, err := k.cluster.view(ctx, l.t.name)
	if err != nil {
		return judge(err, false)
	}
	d.gen = v.gen
	leader, err := v.leader(l.t.name, l.partition)
	if err != nil {
		return judge(err, false)
	}
	if err := d.encode(ctx); err != nil {
		if _, ok := errors.AsType[*encodeError](err); ok {
			return verdict{rule: rule{class: classRecord, why: "it cannot be encoded"}, err: err}
		}
		return judge(err, false)
	}
	box := k.cluster.outbox(leader)
	// Whoever asks what became of a head asks for its own partition only.
	p := &parcel{topic: l.t.name, partition: l.partition, wire: d.wire, alone: l.head != nil || time.Now().Before(l.alone)}
	defer time.AfterFunc(p.patience(), func() { d.watch(ctx, box, p, cancel) }).Stop()
	err = box.produce(ctx, p)
	d.lent = d.lent || p.lent
	if context.Cause(ctx) == errShared {
		l.alone = time.Now().Add(aloneFor)
	}
	return judge(err, !unsent(err))
}

// encode makes the batch's bytes, if there are none, with the sequence number
// that the partition is at.
func (d *delivery) encode(ctx context.Context) error {
	if d.wire != nil {
		return nil
	}
	l := d.l
	p, err := l.k.session.get(ctx)
	if err != nil {
		return err
	}
	if l.gen != p.gen {
		l.gen, l.seq = p.gen, 0
	}
	d.wire, err = encodeBatch(d.items, l.k.packer, p, l.seq, time.Now())
	d.bytes = len(d.wire)
	return err
}

const (
	// hungAfter is how long a request for several partitions may take before we
	// look whether the leader still is one, and before each of its batches is sent
	// by itself: the same bytes, which Kafka knows again.
	hungAfter = 2 * time.Second
	// aloneFor is how long the partition's batches then go by themselves: as long
	// as a replica that does not follow stays in sync, by default
	// (replica.lag.time.max.ms).
	aloneFor = 30 * time.Second
)

// patience is how long a broker may take before its answer is doubted. Those that
// are alone have mostly been waited for in a request with others.
func (p *parcel) patience() time.Duration {
	if p.alone {
		return longPause
	}
	return hungAfter
}

// The reasons to end an attempt that the broker has not answered.
var (
	errShared = errors.New("another partition of the request may be what takes long")
	errMoved  = errors.New("another broker leads the partition by now")
)

// watch ends an attempt whose broker does not answer, when its request hangs or as
// soon as another broker leads the partition. The batch may be in the log; who
// leads knows.
func (d *delivery) watch(ctx context.Context, box *outbox, p *parcel, cancel context.CancelCauseFunc) {
	for ctx.Err() == nil {
		if box.hangs(p) {
			cancel(errShared)
			return
		}
		if v, err := d.l.k.cluster.fresh(ctx, d.l.t.name); err == nil {
			if now, err := v.leader(d.l.t.name, d.l.partition); err == nil && now != box.addr {
				cancel(errMoved)
			}
		}
		pauseFor(ctx, longPause)
	}
}

// bury puts a record that Kafka refuses for good into the dead letters.
func (k *Kafka) bury(it *item, topicName string, attempts int, v verdict) {
	cause := &KafkaError{Topic: topicName, Attempts: attempts, Code: int(v.code), Err: v.err, hint: hintFor(topicName, v)}
	if k.dead == nil || it.copy {
		k.finish([]*item{it}, Receipt{}, cause, false)
		return
	}
	k.cfg.Log.Warn("Kafka refuses an event for good, it goes to the dead letters",
		"key", it.msg.Key, "topic", topicName, "bytes", len(it.msg.Value), "cause", brief(v.err), "hint", cause.hint)
	err := k.dead.Put(context.Background(), DeadLetter{
		FailureType: FailureKafkaSend, Reason: brief(v.err), Raw: it.msg.Value,
		Topic: topicName, Key: it.msg.Key, Code: int(v.code), Attempts: attempts,
	})
	if err != nil {
		k.cfg.Log.Error("the dead letters cannot be written, the event goes to the spool", "key", it.msg.Key, "cause", err)
		k.store([]*item{it}, false, cause)
		return
	}
	k.finish([]*item{it}, Receipt{DeadLettered: 1}, nil, false)
}
