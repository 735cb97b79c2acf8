package emitter

import (
	"fmt"
	"time"
)

// giveUp says once what went wrong and opens the breaker of the scope that
// failed. The items are the caller's to store.
func (k *Kafka) giveUp(g gate, n int, tr *tries, v verdict) error {
	cause := &KafkaError{Topic: tr.topic, Attempts: tr.made, Code: int(v.code), Err: v.err, hint: hintFor(tr.topic, v)}
	switch {
	case tr.topic == k.cfg.DeadLetterTopic:
		k.notCopied(cause)
	case k.ctx.Err() != nil:
		k.cfg.Log.Warn("closing before Kafka has answered, events go to the spool", tr.attrs("events", n)...)
	case tr.missing:
		k.cfg.Log.Warn("topic "+tr.topic+" does not exist on the brokers, its events go to the spool",
			"events", n, "hint", cause.hint)
	default:
		k.cfg.Log.Error(fmt.Sprintf("Failed to send %s after %s", tr.name(), counted(tr.made, "attempt")),
			tr.attrs("cause", brief(v.err), "hint", cause.hint)...)
	}
	k.trip(g, tr, v, cause)
	return cause
}

// trip opens the narrowest breaker that explains the failure.
func (k *Kafka) trip(g gate, tr *tries, v verdict, cause error) {
	at := scopePartition
	switch {
	case k.ctx.Err() != nil: // Close cut it short: nothing was learned
		g.release()
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
		case b.trip(now, k.cfg.BreakerPeriod, cause) && (at == scopeCluster || tr.topic != k.cfg.DeadLetterTopic):
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
		k.topic(topicName).hasten()
		k.freeSpool()
	}
}

// freeSpool wakes who sends what is in the spool.
func (k *Kafka) freeSpool() {
	if k.spool != nil {
		k.spool.wake()
	}
}
