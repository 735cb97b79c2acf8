package emitter

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// quota is a number of bytes that may be used, given out in the order in which
// it was asked for. What is found in use may exceed it; then nobody gets more
// until it does not. One request larger than all of it is granted when nothing
// else is in use.
type quota struct {
	max int64

	mu      sync.Mutex
	used    int64
	givers  int // who will release; without one nobody waits
	waiters []*waiter
	refused bool // since the last release
}

type waiter struct {
	n   int64
	got chan error
}

var errNoRoom = errors.New("no room, and nobody who makes some")

func (q *quota) fits(n int64) bool { return q.used+n <= q.max || q.used == 0 }

// acquire waits for n bytes if there is someone who may release some; else it
// returns errNoRoom at once.
func (q *quota) acquire(ctx context.Context, n int64) error {
	if q.tryAcquire(n) {
		return nil
	}
	q.mu.Lock()
	if q.givers == 0 {
		q.refused = true
		q.mu.Unlock()
		return errNoRoom
	}
	w := &waiter{n: n, got: make(chan error, 1)}
	q.waiters = append(q.waiters, w)
	q.serve() // there may be room by now
	q.mu.Unlock()
	select {
	case err := <-w.got:
		return err
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case err := <-w.got: // it came in the same moment
		return err
	default:
	}
	for i := range q.waiters {
		if q.waiters[i] == w {
			q.waiters = append(q.waiters[:i], q.waiters[i+1:]...)
			break
		}
	}
	q.serve()
	return context.Cause(ctx)
}

// tryAcquire takes n bytes if they are free.
func (q *quota) tryAcquire(n int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiters) > 0 || !q.fits(n) {
		return false
	}
	q.used += n
	return true
}

// force takes n bytes that are in use whether there is room or not.
func (q *quota) force(n int64) {
	q.mu.Lock()
	q.used += n
	q.mu.Unlock()
}

func (q *quota) release(n int64) {
	if n == 0 {
		return
	}
	q.mu.Lock()
	q.used -= n
	q.refused = false
	q.serve()
	q.mu.Unlock()
}

// serve grants what fits; q.mu is held.
func (q *quota) serve() {
	for len(q.waiters) > 0 && q.fits(q.waiters[0].n) {
		q.used += q.waiters[0].n
		q.waiters[0].got <- nil
		q.waiters = q.waiters[1:]
	}
}

// give says that someone will release room from now on, until stop.
func (q *quota) give() (stop func()) {
	q.mu.Lock()
	q.givers++
	q.mu.Unlock()
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.givers--; q.givers > 0 {
			return
		}
		for _, w := range q.waiters {
			w.got <- errNoRoom
		}
		q.waiters = nil
	}
}

func (q *quota) full() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiters) > 0 || q.refused
}

// FullError reports that a file or the files of a spool have reached the
// limit that was set for them.
type FullError struct {
	Path  string
	Limit int64 // bytes
}

func (e *FullError) Error() string {
	return fmt.Sprintf("%s: full, %d bytes are the limit", e.Path, e.Limit)
}

// Hint says what to do, for people.
func (e *FullError) Hint() string {
	return "bring Kafka back so that the spool drains, look at the dead letters (typostream dlq list), or raise SPOOL_MAX_BYTES or DLQ_MAX_BYTES"
}
