package resolver

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	breakAfter   = 3 // unanswered tries in a row, and silence for a time-out's length
	firstBreak   = time.Second
	longestBreak = 30 * time.Second
)

// The states of a breaker.
const (
	breakerClosed int32 = iota
	breakerHalfOpen
	breakerOpen
)

// breaker keeps questions from an upstream that is silent. After a while one
// question tries it again: answered, the upstream is back in use, else it is
// left for twice as long.
type breaker struct {
	state    atomic.Int32
	failures atomic.Int32 // unanswered tries in a row
	heard    atomic.Int64 // when an answer last came

	mu    sync.Mutex
	until time.Duration // when an open one becomes half open
	pause time.Duration
}

// current returns the state.
func (b *breaker) current() int32 { return b.state.Load() }

// answered notes an answer that came then.
func (b *breaker) answered(then time.Duration) {
	b.heard.Store(int64(then))
	if b.failures.Load() != 0 {
		b.failures.Store(0)
	}
	if b.state.Load() != breakerClosed {
		b.mu.Lock()
		b.pause = 0
		b.state.Store(breakerClosed)
		b.mu.Unlock()
	}
}

// failed notes an unanswered try and reports whether it opened the breaker.
// Silence shorter than patience is no reason: under loss a few tries in a row
// fail now and then. mayOpen is asked last.
func (b *breaker) failed(now, patience time.Duration, mayOpen func() bool) bool {
	n := b.failures.Add(1)
	if n < breakAfter && b.state.Load() == breakerClosed || now-time.Duration(b.heard.Load()) < patience {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Load() == breakerOpen || b.state.Load() == breakerClosed && !mayOpen() {
		return false
	}
	b.pause = min(max(2*b.pause, firstBreak), longestBreak)
	b.until = now + b.pause
	b.state.Store(breakerOpen)
	return true
}

// admits reports whether a question may go to the upstream, and whether it is
// the one that tries it again.
func (b *breaker) admits(now time.Duration) (yes, trial bool) {
	if b.state.Load() == breakerClosed {
		return true, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.state.Load() {
	case breakerClosed:
		return true, false
	case breakerHalfOpen:
		if now < b.until {
			return false, false
		}
	case breakerOpen:
		if now < b.until {
			return false, false
		}
		b.state.Store(breakerHalfOpen)
	}
	// Should the trial never come to an end, another follows.
	b.until = now + longestBreak
	return true, true
}

// reset closes the breaker.
func (b *breaker) reset(now time.Duration) { b.answered(now) }
