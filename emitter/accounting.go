package emitter

import "sync"

// Accounting is a snapshot of every message ever handed to an emitter. In each
// snapshot, at every moment:
//
//	Accepted = Acked + Spooled + DeadLettered + InFlight
type Accounting struct {
	// Accepted messages entered the emitter and were not handed back. Those
	// that Recover found on disk are among them.
	Accepted int64
	Acked    int64
	// Spooled messages are in the spool now.
	Spooled      int64
	DeadLettered int64
	// InFlight messages wait for their outcome; their Emit has not returned.
	InFlight int64
	// Returned messages were handed back to the caller with an error, durable
	// nowhere. They are not among the accepted.
	Returned int64
	// Replayed messages are those of the acked that a replay sent from the
	// spool.
	Replayed int64
	// Ambiguous messages may be in a topic twice, or be spooled and in the
	// topic: an answer was lost and could not be asked for again.
	Ambiguous int64
	// Retries counts attempts after the first, by batch.
	Retries int64
	// Retried counts the batches acknowledged after such an attempt.
	Retried int64
	// Sessions counts the producer ids taken from Kafka.
	Sessions int64
}

// ledger keeps the books behind Accounting. All methods are safe for
// concurrent use.
type ledger struct {
	mu sync.Mutex
	a  Accounting
}

func (l *ledger) snapshot() Accounting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.a
}

func (l *ledger) accept(n int) {
	l.mu.Lock()
	l.a.Accepted += int64(n)
	l.a.InFlight += int64(n)
	l.mu.Unlock()
}

// settle moves messages from in flight to where r says.
func (l *ledger) settle(r Receipt) {
	l.mu.Lock()
	l.a.InFlight -= int64(r.Total())
	l.a.Acked += int64(r.Acked)
	l.a.Spooled += int64(r.Spooled)
	l.a.DeadLettered += int64(r.DeadLettered)
	l.mu.Unlock()
}

// unspool moves messages from the spool to where r says.
func (l *ledger) unspool(r Receipt) {
	l.mu.Lock()
	l.a.Spooled -= int64(r.Total())
	l.a.Acked += int64(r.Acked)
	l.a.DeadLettered += int64(r.DeadLettered)
	l.mu.Unlock()
}

// replayed is unspool of messages that a replay has sent.
func (l *ledger) replayed(r Receipt) {
	l.mu.Lock()
	l.a.Spooled -= int64(r.Total())
	l.a.Acked += int64(r.Acked)
	l.a.Replayed += int64(r.Acked)
	l.a.DeadLettered += int64(r.DeadLettered)
	l.mu.Unlock()
}

// recovered takes in what an earlier process left on disk.
func (l *ledger) recovered(spooled, deadLettered int) {
	l.mu.Lock()
	l.a.Accepted += int64(spooled + deadLettered)
	l.a.Spooled += int64(spooled)
	l.a.DeadLettered += int64(deadLettered)
	l.mu.Unlock()
}

// giveBack takes messages out of the books: their Emit returns an error.
func (l *ledger) giveBack(n int) {
	l.mu.Lock()
	l.a.InFlight -= int64(n)
	l.a.Accepted -= int64(n)
	l.a.Returned += int64(n)
	l.mu.Unlock()
}

func (l *ledger) ambiguous(n int) {
	l.mu.Lock()
	l.a.Ambiguous += int64(n)
	l.mu.Unlock()
}

func (l *ledger) retried() {
	l.mu.Lock()
	l.a.Retries++
	l.mu.Unlock()
}

func (l *ledger) retryAcked() {
	l.mu.Lock()
	l.a.Retried++
	l.mu.Unlock()
}

func (l *ledger) session() {
	l.mu.Lock()
	l.a.Sessions++
	l.mu.Unlock()
}
