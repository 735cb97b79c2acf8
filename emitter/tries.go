package emitter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
)

// tries paces the attempts of one batch.
type tries struct {
	k         *Kafka
	topic     string
	partition int // −1 while it is not known
	key       string
	others    int // messages beside the first

	made       int // attempts used up
	missing    bool
	deadline   time.Time // of the delivery
	waitUntil  time.Time // end of the wait for topic or leader
	swiftUntil time.Time // end of the swift tries after a connection was lost
	swift      int       // swift tries made
	pause      time.Duration
}

// Pauses of the wait for a leader, and of swift tries.
const (
	firstPause = 10 * time.Millisecond
	longPause  = 500 * time.Millisecond
)

// leastSwift is how many swift tries there are at least where the answer was lost:
// if each of them takes long, the time for them is over after one or two.
const leastSwift = 5

func (k *Kafka) newTries(topicName, key string, others int) *tries {
	return &tries{
		k: k, topic: topicName, partition: -1, key: key, others: others,
		pause: firstPause, deadline: time.Now().Add(k.cfg.DeliveryTimeout),
	}
}

// again waits as long as v deserves and reports whether to try once more. A
// topic or leader that is being made is waited for up to TopicWait, and a
// connection that was lost is followed by swift tries for as long as Backoff, and
// an answer that was lost by leastSwift of them at least, since the partition may
// have a new leader by now; only then does it cost an attempt. One that took all
// its time costs one at once.
func (t *tries) again(v verdict) bool {
	cfg := &t.k.cfg
	if t.k.ctx.Err() != nil {
		return false
	}
	now := time.Now()
	if now.Before(t.deadline) {
		swift := v.refresh && !v.wait && !errors.Is(v.err, context.DeadlineExceeded)
		swift = swift && (inTime(&t.swiftUntil, now, cfg.Backoff) || v.class == classUnknown && t.swift < leastSwift)
		if swift {
			t.swift++
		}
		if swift || v.wait && inTime(&t.waitUntil, now, max(cfg.TopicWait, 0)) {
			pause := vary(t.pause)
			t.pause = min(2*t.pause, longPause)
			return pauseFor(t.k.ctx, pause)
		}
	}
	if v.code == kafka.UnknownTopicOrPartition {
		t.missing = true
		return false
	}
	t.made++
	cfg.Log.Warn(fmt.Sprintf("Send failed for %s (attempt %d/%d): %s", t.name(), t.made, cfg.Attempts, brief(v.err)), t.attrs()...)
	if t.made >= cfg.Attempts || v.class == classConfig {
		return false
	}
	backoff := cfg.BackoffMax
	if shift := t.made - 1; shift < 30 {
		backoff = min(backoff, cfg.Backoff<<shift)
	}
	if backoff = vary(backoff); now.Add(backoff).After(t.deadline) {
		return false
	}
	t.k.books.retried()
	return pauseFor(t.k.ctx, backoff)
}

// inTime tells whether now is before until, which is set to limit from now
// when it is first asked for.
func inTime(until *time.Time, now time.Time, limit time.Duration) bool {
	if until.IsZero() {
		*until = now.Add(limit)
	}
	return now.Before(*until)
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
