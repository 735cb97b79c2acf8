package emitter

import (
	"sync"
	"time"
)

// breaker keeps messages away from a part of Kafka that has just failed.
// Closed, it lets all through. Open, none for a period; then one batch probes
// while the others still wait outside.
type breaker struct {
	mu      sync.Mutex
	open    bool
	probing bool
	until   time.Time // of the open period
	since   time.Time // opened at
	cause   error
}

// blocked tells, without taking part, whether a message would not get through.
func (b *breaker) blocked(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open && (b.probing || now.Before(b.until))
}

// admit lets a batch through or not. Who is admitted calls pass, trip or
// release afterwards.
func (b *breaker) admit(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true
	}
	if b.probing || now.Before(b.until) {
		return false
	}
	b.probing = true
	return true
}

// pass closes the breaker; it reports whether it was open, and since when.
func (b *breaker) pass() (was bool, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, since = b.open, b.since
	b.open, b.probing, b.cause = false, false, nil
	return was, since
}

// trip opens the breaker for a period; it reports whether it was closed.
func (b *breaker) trip(now time.Time, period time.Duration, cause error) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = !b.open
	if first {
		b.since = now
	}
	b.open, b.probing, b.until, b.cause = true, false, now.Add(period), cause
	return first
}

// hasten ends the open period: the next batch may probe.
func (b *breaker) hasten() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Time{}
}

// outlook tells whether a batch finds out just now how things are, or the
// breaker rests until its period is over.
func (b *breaker) outlook(now time.Time) (probes, rests bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open && b.probing, b.open && !b.probing && now.Before(b.until)
}

// release ends a probe that learned nothing of this breaker's part.
func (b *breaker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}

// state returns whether the breaker keeps messages away now, since when it is
// open and why. One whose period is over lets the next message try, so it tells
// of no trouble that is known.
func (b *breaker) state(now time.Time) (keeps bool, since time.Time, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open && (b.probing || now.Before(b.until)), b.since, b.cause
}

// gate is the row of breakers a batch must pass, from the widest scope to the
// narrowest: cluster, topic and, when it is known, partition.
type gate []*breaker

func (g gate) blocked(now time.Time) bool {
	for _, b := range g {
		if b.blocked(now) {
			return true
		}
	}
	return false
}

func (g gate) admit(now time.Time) bool {
	for i, b := range g {
		if !b.admit(now) {
			g[:i].release()
			return false
		}
	}
	return true
}

// release ends probes that learned nothing.
func (g gate) release() {
	for _, b := range g {
		b.release()
	}
}

// cause is that of the widest open breaker, nil if none is.
func (g gate) cause() error {
	for _, b := range g {
		if open, _, cause := b.state(time.Now()); open {
			return cause
		}
	}
	return nil
}
