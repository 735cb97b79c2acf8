package emitter

import (
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
)

// head is a batch that stays at the head of its partition: its attempts are
// used up and Kafka may have it. Its messages are in the spool, so that nothing
// is lost and no caller waits. The same bytes with the same sequence number are
// sent again until Kafka says what became of them, and no other batch is sent
// before: then the lines in the spool are known to be delivered, and the topic
// has each message once. Only the end of the process, or a session that Kafka
// has forgotten, leaves the outcome open.
type head struct {
	*delivery
	held    *Held
	missing time.Time // since when the topic is, zero if it is not
}

var errHead = errors.New("an earlier batch of the partition waits for its outcome")

// closingTry bounds the last question after a head's outcome.
const closingTry = time.Second

// keep makes a batch of unknown outcome the lane's head, if it can be kept.
func (l *lane) keep(d *delivery, cause error) {
	if d.wire == nil || l.k.spool == nil {
		d.doubt()
		l.k.store(d.items, true, cause)
		return
	}
	held, ok := l.k.hold(d.items, cause)
	if !ok {
		d.doubt()
		return
	}
	d.items = nil
	l.head = &head{delivery: d, held: held}
}

// settle asks what became of the head. It reports whether the lane may go on;
// if not, the gate's breakers have been told.
func (l *lane) settle(g gate) bool {
	k, h := l.k, l.head
	v := h.again(min(k.cfg.RequestTimeout, k.cfg.DeliveryTimeout))
	switch {
	case v.class == classAcked:
		k.passed(g, l.t.name)
		l.delivered()
		return true
	case v.class == classSession, v.class == classRecord, h.gone(v):
		l.abandon(v.err)
		return true
	}
	tr := k.newTries(l.t.name, "", h.records-1)
	tr.partition, tr.made = l.partition, 1
	k.trip(g, tr, v, &KafkaError{Topic: l.t.name, Attempts: 1, Code: int(v.code), Err: v.err, hint: hintFor(l.t.name, v)})
	return false
}

// again sends the head's bytes, swiftly once more where the leader has moved.
func (h *head) again(limit time.Duration) verdict {
	k := h.l.k
	start := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		v := h.attempt(limit)
		if v.class == classAcked {
			h.acked(time.Since(start))
			return v
		}
		if v.refresh {
			k.cluster.refresh(h.gen)
		}
		if !v.wait && !v.refresh || time.Since(start) > min(k.cfg.Backoff, limit) || !pauseFor(k.ctx, vary(pause)) {
			return v
		}
	}
}

// gone tells whether the topic has been missing for so long that the batch
// cannot be in it.
func (h *head) gone(v verdict) bool {
	if v.code != kafka.UnknownTopicOrPartition {
		h.missing = time.Time{}
		return false
	}
	if h.missing.IsZero() {
		h.missing = time.Now()
	}
	return time.Since(h.missing) >= h.l.k.cfg.TopicWait
}

func (l *lane) delivered() {
	h := l.head
	l.head = nil
	h.held.Delivered()
	l.k.cfg.Log.Info("Kafka has the events whose answer was lost, they are not sent again",
		"topic", l.t.name, "partition", l.partition, "events", h.records)
}

// abandon gives up finding out what became of the head.
func (l *lane) abandon(cause error) {
	h := l.head
	l.head = nil
	h.doubt()
	h.held.Release()
	l.k.cfg.Log.Warn("it cannot be known any more whether Kafka has these events, a replay may send them twice",
		"topic", l.t.name, "partition", l.partition, "events", h.records, "cause", brief(cause))
}

// await waits with a head, and nothing else to do, until it is time to ask
// again, and asks. When the emitter closes it asks once more.
func (l *lane) await() {
	t := time.NewTimer(l.k.cfg.BreakerPeriod)
	defer t.Stop()
	select {
	case <-l.wake: // there is work, or Kafka is known to be well
	case <-t.C:
	case <-l.k.closing:
		if v := l.head.again(closingTry); v.class == classAcked {
			l.delivered()
		} else {
			l.abandon(v.err)
		}
		return
	}
	if g := l.gate(); g.admit(time.Now()) && l.settle(g) {
		g.release() // what is not closed by an answer is left to the next batch
	}
}
