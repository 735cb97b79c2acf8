// Package emitter makes messages durable. Emit returns nil only when every
// message is acknowledged by all in-sync replicas of Kafka, or fsynced in the
// spool, or fsynced in the dead letters; in file-only mode when its line is
// fsynced.
//
// Kafka writes idempotently (KIP-98) and synchronously; Files writes bare
// lines; Replay brings spooled or saved lines back to Kafka. The package knows
// nothing of where messages come from.
package emitter

import (
	"errors"
	"fmt"
)

// Message is one record on its way to a topic.
//
// The emitter does not copy Value: it must not change before Emit returns.
type Message struct {
	// Topic is a legal Kafka topic name: 1 to 249 of A-Z a-z 0-9 . _ -
	Topic string
	// Key selects the partition as Kafka's Java client does (murmur2). Any
	// bytes are allowed. Empty means that the record has no key; such records
	// are spread over the partitions in turn.
	Key string
	// Value is the record's body and must not be empty. In file-only mode it
	// is one line, so it must not hold a line feed.
	Value []byte
}

// Receipt says what became of the messages of one Emit.
type Receipt struct {
	// Acked were acknowledged by all in-sync replicas; in file-only mode their
	// lines are fsynced.
	Acked int
	// Spooled are fsynced in the spool and wait for a replay.
	Spooled int
	// DeadLettered were refused by Kafka for good and are fsynced in the dead
	// letters.
	DeadLettered int
}

// Add returns the sum of both receipts.
func (r Receipt) Add(o Receipt) Receipt {
	return Receipt{
		Acked:        r.Acked + o.Acked,
		Spooled:      r.Spooled + o.Spooled,
		DeadLettered: r.DeadLettered + o.DeadLettered,
	}
}

// Fate is what became of one message.
type Fate uint8

const (
	// FateUndelivered: it was handed back, and is durable nowhere. Of a message
	// of the spool: it is still there.
	FateUndelivered Fate = iota
	FateAcked
	FateSpooled
	FateDeadLettered
)

// Tally counts what became of messages.
func Tally(fates []Fate) (r Receipt) {
	for _, f := range fates {
		switch f {
		case FateAcked:
			r.Acked++
		case FateSpooled:
			r.Spooled++
		case FateDeadLettered:
			r.DeadLettered++
		}
	}
	return r
}

// fate is that of the one message that the receipt counts.
func (r Receipt) fate() Fate {
	switch {
	case r.Acked > 0:
		return FateAcked
	case r.Spooled > 0:
		return FateSpooled
	case r.DeadLettered > 0:
		return FateDeadLettered
	}
	return FateUndelivered
}

// times returns n times the receipt.
func (r Receipt) times(n int) Receipt {
	return Receipt{Acked: n * r.Acked, Spooled: n * r.Spooled, DeadLettered: n * r.DeadLettered}
}

// Total is the number of durable messages.
func (r Receipt) Total() int { return r.Acked + r.Spooled + r.DeadLettered }

// ErrClosed is returned by calls that come after Close.
var ErrClosed = errors.New("the emitter is closed")

// MessageError reports a message that cannot be emitted as it is. Nothing of
// the call that held it was sent.
type MessageError struct {
	Index  int // position among the arguments of Emit, from 0
	Key    string
	Reason string
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("message %d (key %q): %s", e.Index, e.Key, e.Reason)
}

// Hint says what to do, for people.
func (e *MessageError) Hint() string {
	return "this is a fault of the caller: check the topic's name and the value"
}

// UndeliveredError reports messages that Emit could not make durable anywhere.
// The receipt returned beside it counts the others.
type UndeliveredError struct {
	Count   int   // messages that are not durable
	Unknown int   // of those, how many may nevertheless be in the topic
	Cause   error // the first cause
}

func (e *UndeliveredError) Error() string {
	s := fmt.Sprintf("%d messages not delivered", e.Count)
	if e.Count == 1 {
		s = "1 message not delivered"
	}
	if e.Unknown > 0 {
		s += fmt.Sprintf(" (%d of them may be in the topic: the answer was lost)", e.Unknown)
	}
	return s + ": " + e.Cause.Error()
}

func (e *UndeliveredError) Unwrap() error { return e.Cause }

// Hint returns the cause's advice, or says that the caller must keep them.
func (e *UndeliveredError) Hint() string {
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](e.Cause); ok {
		return h.Hint()
	}
	return "keep the source of these messages and emit them again"
}

// legalTopic tells whether Kafka accepts the name. It is also what makes a
// topic safe as a part of a file's name.
func legalTopic(s string) bool {
	if s == "" || len(s) > 249 || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// checkMessages returns a *MessageError for the first message that can never
// be emitted.
func checkMessages(msgs []Message) error {
	for i := range msgs {
		m := &msgs[i]
		switch {
		case !legalTopic(m.Topic):
			return &MessageError{i, m.Key, fmt.Sprintf("topic %q is no legal Kafka topic name", m.Topic)}
		case len(m.Value) == 0:
			return &MessageError{i, m.Key, "the value is empty"}
		}
	}
	return nil
}
