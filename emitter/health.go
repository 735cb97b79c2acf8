package emitter

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Health is what is known of Kafka.
type Health struct {
	// Known is false until something was sent or Check was called.
	Known bool
	// Reachable is whether Kafka answered last, and its breaker is closed. It
	// may be true though no event gets through: see Problems.
	Reachable bool
	// Since is when Reachable last changed.
	Since time.Time
	// Cause says why Kafka is not reachable; nil if it is.
	Cause error
	// Problems names what does not take events now (all of Kafka, topics,
	// partitions), each with its cause: those events go to the spool. A spool
	// that is full is named too.
	Problems []string
}

// health remembers the last outcome.
type health struct {
	mu    sync.Mutex
	known bool
	cause error
	since time.Time
}

func (h *health) note(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known || (h.cause == nil) != (cause == nil) {
		h.since = time.Now()
	}
	h.known, h.cause = true, cause
}

// Health returns what is known of Kafka now; it asks nobody.
func (k *Kafka) Health() Health {
	k.health.mu.Lock()
	h := Health{Known: k.health.known, Cause: k.health.cause, Since: k.health.since}
	k.health.mu.Unlock()
	h.Problems = k.openBreakers()
	if k.spool != nil && k.spool.room.full() {
		h.Problems = append(h.Problems, "spool: full, events wait")
	}
	if open, since, cause := k.brk.state(time.Now()); open {
		h.Since, h.Cause = since, cause
	}
	h.Reachable = h.Known && h.Cause == nil
	return h
}

// Numbers are the figures by which the health of an emitter can be judged.
type Numbers struct {
	// Settled new events got their outcome within RecentWindow. Failed of them
	// were not acknowledged but spooled, dead-lettered or handed back; Returned
	// of them were handed back because neither Kafka nor the disk took them.
	Settled, Failed, Returned int64
	// AckP50, AckP95 and AckP99 are quantiles, by batch, of the time from
	// sending to acknowledgement within RecentWindow, at most a tenth too long;
	// 0 if nothing was acknowledged.
	AckP50, AckP95, AckP99 time.Duration
	// Retries are attempts after the first, and Retried the batches that were
	// acknowledged after some, since the start.
	Retries, Retried int64
	// DeadLetters were written within the last hour, by this process: refused
	// events, unusable inputs, damaged lines of the spool.
	DeadLetters int64
	// Breakers are open: for all of Kafka, for topics, for partitions.
	Breakers int
	Spool    SpoolStats
}

// ErrorRate is the share of the settled events that failed, 0 if there are none.
func (n *Numbers) ErrorRate() float64 {
	if n.Settled == 0 {
		return 0
	}
	return float64(n.Failed) / float64(n.Settled)
}

// Numbers returns the figures of this moment; it asks nobody.
func (k *Kafka) Numbers() Numbers {
	a := k.books.snapshot()
	n := Numbers{Retries: a.Retries, Retried: a.Retried, Breakers: len(k.openBreakers())}
	k.recent.numbers(&n)
	if k.dead != nil {
		n.DeadLetters = k.dead.recent.sum()
	}
	if k.spool != nil {
		n.Spool = k.spool.Stats()
	}
	return n
}

// openBreakers names what does not take events.
func (k *Kafka) openBreakers() []string {
	var out []string
	add := func(b *breaker, what string) {
		if open, _, cause := b.state(time.Now()); open {
			out = append(out, what+": "+brief(cause))
		}
	}
	add(&k.brk, "Kafka")
	for _, t := range k.known() {
		add(&t.brk, "topic "+t.name)
		for _, l := range t.all() {
			add(&l.brk, fmt.Sprintf("partition %d of topic %s", l.partition, t.name))
		}
	}
	return out
}

// known are the topics that were written to, but that of the dead letters: its
// messages are copies, which may be lost.
func (k *Kafka) known() []*topic {
	k.mu.Lock()
	defer k.mu.Unlock()
	topics := make([]*topic, 0, len(k.topics))
	for _, t := range k.topics {
		if t.name != k.cfg.DeadLetterTopic {
			topics = append(topics, t)
		}
	}
	return topics
}

// Check asks Kafka for the topic's metadata afresh, within RequestTimeout, and
// remembers for Health whether an answer came. After a good one the next batch
// is tried, even in the period in which messages go to the spool at once, and
// when no part of Kafka is known to be in trouble Run looks after the spool. A
// missing topic is an error too: a *KafkaError, as all others.
func (k *Kafka) Check(ctx context.Context, topicName string) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.RequestTimeout)
	defer cancel()
	view, err := k.cluster.fresh(ctx, topicName)
	if err == nil {
		_, err = view.partitions(topicName)
	}
	if err == nil {
		k.brk.hasten()
		k.topic(topicName).hasten()
		k.health.note(nil)
		if len(k.openBreakers()) == 0 {
			k.freeSpool()
		}
		return nil
	}
	v := judge(err, false)
	cause := &KafkaError{Topic: topicName, Code: int(v.code), Err: err, hint: hintFor(topicName, v)}
	if v.code == 0 || v.class == classConfig && v.scope == scopeCluster {
		k.health.note(cause)
	} else {
		k.health.note(nil) // an answer about the topic: Kafka is there
	}
	return cause
}
