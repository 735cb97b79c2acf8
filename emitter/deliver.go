package emitter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// delivery is the way of one batch until its outcome is certain or given up.
type delivery struct {
	l     *lane
	items []*item
	part  bool // of a batch that was split: what was retried then is not again

	wire      []byte // nil until encoded; the same on every attempt
	gen       int    // of the metadata used by the last attempt
	ambiguous bool   // an attempt's answer was lost: the batch may be in the log
	doubted   bool   // and that is in the books
	renewals  int    // producer identities lost on the way
}

// handle brings taken items to their end.
func (l *lane) handle(items []*item) {
	g := gate{&l.k.brk, &l.t.brk, &l.brk}
	if !g.admit(time.Now()) {
		l.k.store(items, false, g.blockedCause())
		return
	}
	l.deliver(g, items, false)
}

func (l *lane) deliver(g gate, items []*item, part bool) {
	k := l.k
	d := &delivery{l: l, items: items, part: part}
	tr := k.newTries(l.t.name, items[0].msg.Key, len(items)-1)
	tr.partition = l.partition
	v := d.run(tr)
	if d.ambiguous && v.class != classAcked {
		// Its sequence numbers may be in the log: no other bytes may use them.
		k.session.drop(l.gen)
		d.doubt()
	}
	switch v.class {
	case classAcked:
		k.passed(g, l.t.name)
		k.finish(items, Receipt{Acked: len(items)}, nil, false)
	case classRecord:
		k.passed(g, l.t.name)
		if len(items) == 1 {
			k.bury(items[0], l.t.name, tr.made, v)
			return
		}
		l.deliver(g, items[:len(items)/2], true)
		l.deliver(g, items[len(items)/2:], true)
	default:
		k.giveUp(g, items, tr, v, d.ambiguous)
	}
}

// run attempts until there is nothing more to try. The verdict is that of the
// last attempt; d.ambiguous remembers a worse one.
func (d *delivery) run(tr *tries) verdict {
	k := d.l.k
	for {
		start := time.Now()
		v := d.attempt()
		if v.class == classAcked {
			d.l.seq = nextSequence(d.l.seq, len(d.items))
			k.meters.batch(len(d.items), time.Since(start))
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

// doubt books, once, that these messages may come to be in the topic twice:
// the sequence numbers that would have shown it are given up.
func (d *delivery) doubt() {
	if !d.doubted {
		d.doubted = true
		d.l.k.books.ambiguous(len(d.items))
	}
}

// attempt sends the batch once.
func (d *delivery) attempt() verdict {
	l, k := d.l, d.l.k
	ctx, cancel := context.WithTimeout(k.ctx, k.cfg.RequestTimeout)
	defer cancel()
	client, gen := k.cluster.use(l.t.name)
	d.gen = gen
	if d.wire == nil {
		p, err := k.session.get(ctx)
		if err != nil {
			return judge(err, false)
		}
		if l.gen != p.gen {
			l.gen, l.seq = p.gen, 0
		}
		d.wire, err = encodeBatch(d.items, k.codec, p, l.seq, time.Now())
		if err != nil {
			return verdict{rule: rule{class: classRecord, why: "kafka-go cannot encode it"}, err: err}
		}
	}
	p := &parcel{b: d.wire}
	res, err := client.RawProduce(ctx, &kafka.RawProduceRequest{
		Topic: l.t.name, Partition: l.partition, RequiredAcks: kafka.RequireAll,
		RawRecords: protocol.RawRecordSet{Reader: p},
	})
	taken := p.keep()
	if _, unsent := errors.AsType[*unsentError](err); unsent {
		return judge(err, false)
	}
	switch {
	case err != nil && !taken:
		err = k.cluster.explain(ctx, l.t.name, l.partition, err)
	case err == nil && !taken:
		err = errAbandoned // kafka-go takes "no records" for success
	case err == nil:
		err = res.Error
	}
	return judge(err, taken)
}

// bury puts a record that Kafka refuses for good into the dead letters.
func (k *Kafka) bury(it *item, topicName string, attempts int, v verdict) {
	cause := &KafkaError{Topic: topicName, Attempts: attempts, Code: int(v.code), Err: v.err, hint: hintFor(topicName, v)}
	if k.dead == nil {
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

// giveUp says once what went wrong, opens the breaker of the scope that
// failed, and stores the items.
func (k *Kafka) giveUp(g gate, items []*item, tr *tries, v verdict, ambiguous bool) {
	cause := &KafkaError{Topic: tr.topic, Attempts: tr.made, Code: int(v.code), Err: v.err, hint: hintFor(tr.topic, v)}
	switch {
	case k.ctx.Err() != nil:
		k.cfg.Log.Warn("closing before Kafka has answered, events go to the spool", tr.attrs("events", len(items))...)
	case tr.missing:
		k.cfg.Log.Warn("topic "+tr.topic+" does not exist on the brokers, its events go to the spool",
			"events", len(items), "hint", cause.hint)
	default:
		k.cfg.Log.Error(fmt.Sprintf("Failed to send %s after %s", tr.name(), counted(tr.made, "attempt")),
			tr.attrs("cause", brief(v.err), "hint", cause.hint)...)
	}
	k.trip(g, tr, v, cause)
	k.store(items, ambiguous, cause)
}

// trip opens the narrowest breaker that explains the failure.
func (k *Kafka) trip(g gate, tr *tries, v verdict, cause error) {
	at := scopePartition
	switch {
	case k.ctx.Err() != nil: // Close cut it short: nothing was learned
		for _, b := range g {
			b.release()
		}
		return
	case tr.missing:
		at = scopeTopic
		k.topic(tr.topic).forget()
	case v.class == classConfig:
		at = v.scope
	default:
		if k.cluster.reachable(k.ctx, tr.topic) != nil {
			at = scopeCluster
		}
	}
	at = min(at, scope(len(g)-1))
	now := time.Now()
	for i, b := range g {
		switch {
		case scope(i) < at:
			k.shut(b, tr.topic)
		case scope(i) > at:
			b.release()
		case b.trip(now, k.cfg.BreakerPeriod, cause):
			news := "Kafka does not take events: they go to the spool at once, one batch tries now and then"
			if k.spool == nil {
				news = "Kafka does not take events: they are handed back at once, one batch tries now and then"
			}
			k.cfg.Log.Warn(news, "concerns", tr.concerns(at), "retry_after", k.cfg.BreakerPeriod)
		}
	}
	if at > scopeCluster {
		cause = nil // Kafka itself answers
	}
	k.health.note(cause)
}

// passed closes the breakers after an answer that shows Kafka at work.
func (k *Kafka) passed(g gate, topicName string) {
	for _, b := range g {
		k.shut(b, topicName)
	}
	k.health.note(nil)
}

func (k *Kafka) shut(b *breaker, topicName string) {
	if was, since := b.pass(); was {
		k.cfg.Log.Info("Kafka takes events again", "topic", topicName, "after", time.Since(since).Round(time.Millisecond))
		k.freeSpool()
	}
}

// freeSpool closes the spool's file, so that it can be replayed while we go on.
func (k *Kafka) freeSpool() {
	if k.spool == nil {
		return
	}
	if err := k.spool.free(); err != nil && !errors.Is(err, ErrClosed) {
		k.cfg.Log.Warn("the spool could not be closed for a replay", "cause", err)
	}
}

// tries paces the attempts of one batch.
type tries struct {
	k         *Kafka
	topic     string
	partition int // −1 while it is not known
	key       string
	others    int // messages beside the first

	made      int // attempts used up
	missing   bool
	waitUntil time.Time // end of the wait for topic or leader
	pause     time.Duration
}

// Pauses of the wait for a leader.
const (
	firstPause = 10 * time.Millisecond
	longPause  = 500 * time.Millisecond
)

func (k *Kafka) newTries(topicName, key string, others int) *tries {
	return &tries{k: k, topic: topicName, partition: -1, key: key, others: others, pause: firstPause}
}

// again waits as long as v deserves and reports whether to try once more.
func (t *tries) again(v verdict) bool {
	cfg := &t.k.cfg
	if t.k.ctx.Err() != nil {
		return false
	}
	if v.wait {
		now := time.Now()
		if t.waitUntil.IsZero() {
			t.waitUntil = now.Add(max(cfg.TopicWait, 0))
		}
		if now.Before(t.waitUntil) {
			pause := vary(t.pause)
			t.pause = min(2*t.pause, longPause)
			return pauseFor(t.k.ctx, pause)
		}
		if v.code == kafka.UnknownTopicOrPartition {
			t.missing = true
			return false
		}
	}
	t.made++
	cfg.Log.Warn(fmt.Sprintf("Send failed for %s (attempt %d/%d): %s", t.name(), t.made, cfg.Attempts, brief(v.err)), t.attrs()...)
	if t.made >= cfg.Attempts || v.class == classConfig {
		return false
	}
	t.k.books.retried()
	backoff := cfg.BackoffMax
	if shift := t.made - 1; shift < 30 {
		backoff = min(backoff, cfg.Backoff<<shift)
	}
	return pauseFor(t.k.ctx, vary(backoff))
}

// vary returns d changed by at most a fifth, so that many clients do not come
// back at the same instant.
func vary(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

func (t *tries) name() string {
	if t.key == "" {
		return "an event of " + t.topic
	}
	return t.key
}

// attrs are the attributes of the batch's log lines.
func (t *tries) attrs(more ...any) []any {
	a := []any{slog.String("topic", t.topic)}
	if t.partition >= 0 {
		a = append(a, slog.Int("partition", t.partition))
	}
	if t.others > 0 {
		a = append(a, slog.Int("others", t.others))
	}
	return append(a, more...)
}

func (t *tries) concerns(s scope) string {
	switch s {
	case scopeCluster:
		return "all of Kafka"
	case scopeTopic:
		return "topic " + t.topic
	}
	return fmt.Sprintf("partition %d of topic %s", t.partition, t.topic)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
