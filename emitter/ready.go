package emitter

import (
	"context"
	"fmt"
	"time"
)

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
	n, gen, err := k.count(ctx, name, created)
	if err == nil {
		err = k.led(ctx, name, n)
	}
	if err != nil {
		k.cluster.refresh(gen)
	}
	return err
}

// led is nil when each of the n partitions has a leader.
func (k *Kafka) led(ctx context.Context, name string, n int) error {
	v, err := k.cluster.view(ctx, name)
	for p := 0; p < n && err == nil; p++ {
		_, err = v.leader(name, p)
	}
	return err
}
