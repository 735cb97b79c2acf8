package emitter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
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
	// partitions), each with its cause. Those events go to the spool.
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
	if open, since, cause := k.brk.state(time.Now()); open {
		h.Since, h.Cause = since, cause
	}
	h.Reachable = h.Known && h.Cause == nil
	return h
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
	k.mu.Lock()
	topics := make([]*topic, 0, len(k.topics))
	for _, t := range k.topics {
		topics = append(topics, t)
	}
	k.mu.Unlock()
	for _, t := range topics {
		add(&t.brk, "topic "+t.name)
		t.mu.Lock()
		lanes := t.lanes
		t.mu.Unlock()
		for _, l := range lanes {
			add(&l.brk, fmt.Sprintf("partition %d of topic %s", l.partition, t.name))
		}
	}
	return out
}

// Check asks Kafka for the topic's metadata afresh, within RequestTimeout, and
// remembers for Health whether an answer came. After a good one the next batch
// is tried, even in the period in which messages go to the spool at once, and
// when no part of Kafka is known to be in trouble the spool's file is closed, so
// that it can be replayed. A missing topic is an error too: a *KafkaError, as all others.
func (k *Kafka) Check(ctx context.Context, topicName string) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.RequestTimeout)
	defer cancel()
	_, gen := k.cluster.use(topicName)
	k.cluster.refresh(gen)
	_, _, err := k.cluster.lookup(ctx, topicName)
	if err == nil {
		k.brk.hasten()
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

// EnsureTopics returns when every topic exists and each of its partitions has
// a leader. Missing topics are created if the configuration allows it, else
// waited for as long as TopicWait. The error is a *KafkaError of the first
// topic that is not ready.
func (k *Kafka) EnsureTopics(ctx context.Context, topics ...string) error {
	for _, name := range topics {
		if !legalTopic(name) {
			return &MessageError{Reason: fmt.Sprintf("topic %q is no legal Kafka topic name", name)}
		}
		if err := k.ensure(ctx, name); err != nil {
			v := judge(err, false)
			return &KafkaError{Topic: name, Code: int(v.code), Err: err, hint: hintFor(name, v)}
		}
	}
	return nil
}

func (k *Kafka) ensure(ctx context.Context, name string) error {
	until := time.Now().Add(max(k.cfg.TopicWait, 0))
	created := false
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := k.ready(ctx, name, &created)
		if err == nil {
			return nil
		}
		v := judge(err, false)
		if !v.wait || time.Now().After(until) || !pauseFor(ctx, pause) {
			return err
		}
	}
}

func (k *Kafka) ready(ctx context.Context, name string, created *bool) error {
	ctx, cancel := context.WithTimeout(ctx, k.cfg.RequestTimeout)
	defer cancel()
	t, gen, err := k.cluster.lookup(ctx, name)
	if errors.Is(err, kafka.UnknownTopicOrPartition) && k.cfg.CreateTopics && !*created {
		*created = true
		if err := k.cluster.create(ctx, name); err != nil {
			return fmt.Errorf("creating topic %s: %w", name, err)
		}
	}
	if err == nil {
		for _, p := range t.Partitions {
			if p.Error != nil {
				err = p.Error
			} else if p.Leader.Host == "" {
				err = kafka.LeaderNotAvailable
			}
		}
	}
	if err != nil {
		k.cluster.refresh(gen)
	}
	return err
}
