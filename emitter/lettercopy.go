package emitter

import (
	"encoding/json"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// copies counts the copies of dead letters that did not reach their topic.
type copies struct {
	waiting atomic.Int64
	lost    atomic.Int64
}

// copiesMost bounds the copies on their way; what is more is let go: the
// letters are on disk, and no one waits for their copies.
const copiesMost = 1000

// copyBytes bounds a copy. A longer letter goes without the original's bytes,
// which are in the file: often their size was the reason of the letter.
const copyBytes = 512 << 10

func (c *copies) counter() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "typostream_emit_dead_letter_copies_lost_total", Help: "Copies of dead letters that did not reach their topic; the letters are in the file.",
	}, func() float64 { return float64(c.lost.Load()) })
}

// copyLetter sends a copy of a dead letter to its topic. It does not wait, and
// what becomes of the copy is nobody's concern but a counter's.
func (k *Kafka) copyLetter(letter *deadLetterLine, line []byte) {
	if len(line) > copyBytes {
		short := *letter
		short.RawBase64 = ""
		var err error
		if line, err = json.Marshal(&short); err != nil {
			k.copies.lost.Add(1)
			return
		}
	}
	if k.copies.waiting.Add(1) > copiesMost || !k.enter() {
		k.copied(false)
		return
	}
	defer k.callers.Done()
	items := []item{{
		msg:  Message{Topic: k.cfg.DeadLetterTopic, Key: letter.Key, Value: line},
		size: int64(len(line) + itemOverhead), copy: true,
	}}
	if !k.room.TryAcquire(items[0].size) {
		k.copied(false)
		return
	}
	k.enqueue(items)
}

// copied settles a copy.
func (k *Kafka) copied(ok bool) {
	k.copies.waiting.Add(-1)
	if !ok {
		k.copies.lost.Add(1)
	}
}

// notCopied says once an outage why copies do not arrive.
func (k *Kafka) notCopied(cause *KafkaError) {
	k.cfg.Log.Warn("dead letters are not copied to their topic; they are all in the file",
		"topic", cause.Topic, "cause", brief(cause.Err), "hint", cause.hint)
}
