package resolver

import (
	"context"
	"iter"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Each resolves every item, at most Config.Concurrency of them at a time, and
// calls fn with each answer, in the order in which they come. fn is called by
// one goroutine at a time and may block: the pool then fills up and no more
// items are taken.
//
// It begins with 320 items at a time, more if the nearest nameserver is 10 ms
// away or farther, up to that limit. More are tried again and again while the
// processors have time left, and kept as long as more answers a second come of it:
// a server far away has many on their way, and one nearby gains nothing.
//
// Each returns after the last call of fn: nil when every item was passed to
// it, else the first error of fn or the context's. After either, no further
// item is taken and no datagram sent; items without an answer by then are not
// passed to fn, and fn is not called again after it returned an error. items
// is ranged over by the caller's goroutine; cancelling cannot interrupt a
// sequence that waits for input.
func Each[T any](ctx context.Context, r *Resolver, items iter.Seq[T], name func(T) string, fn func(T, Answer) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	var serial sync.Mutex
	var fnErr error // under serial
	resolve := func(item T) error {
		answer, err := r.Resolve(groupCtx, name(item))
		if err != nil {
			return err
		}
		serial.Lock()
		defer serial.Unlock()
		if fnErr == nil {
			fnErr = fn(item, answer)
		}
		return fnErr
	}
	p := newPool[T](newCrew(r.cfg.Concurrency, r.nearest(), r.clock, r.cfg.cpu))
	skipped := false
	for item := range items {
		if groupCtx.Err() != nil || r.life.Err() != nil {
			skipped = true
			break
		}
		hire, dropped := p.give(item, groupCtx.Done())
		if hire {
			group.Go(func() error { return p.work(item, resolve) })
		}
		skipped = skipped || dropped
	}
	p.close()
	err := group.Wait()
	switch {
	case fnErr != nil:
		return fnErr
	case err != nil:
		return err
	case skipped && r.life.Err() != nil:
		return ErrClosed
	case skipped:
		return ctx.Err()
	}
	return nil
}

// nearest is the shortest round trip to an active upstream, 0 if one is not
// known.
func (r *Resolver) nearest() time.Duration {
	active := *r.active.Load()
	rtt, _ := active[0].state()
	for _, u := range active[1:] {
		other, _ := u.state()
		rtt = min(rtt, other)
	}
	return rtt
}

// itemsAhead is the most items that wait for a worker. With some, who brings
// them and who takes them need not wait for each other each time.
const itemsAhead = 64

// pool hands items to workers. Workers stay for the next item: a new goroutine
// each time would grow its stack again, which costs as much as the rest of an
// answer.
type pool[T any] struct {
	room chan struct{} // holds one: give need not wait any longer

	mu      sync.Mutex
	items   sync.Cond // for idle workers: there are some, or will be none
	ring    []T
	head, n int // of ring: the next item, and how many there are
	idle    int
	full    bool // give waits
	closed  bool
	crew    *crew
}

func newPool[T any](c *crew) *pool[T] {
	p := &pool[T]{room: make(chan struct{}, 1), ring: make([]T, min(itemsAhead, (c.limit+1)/2)), crew: c}
	p.items.L = &p.mu
	return p
}

// give hands over an item when there is a place for it, or drops it when done is
// closed. hire asks for another worker, and the item is for that one.
func (p *pool[T]) give(item T, done <-chan struct{}) (hire, dropped bool) {
	for {
		p.mu.Lock()
		if p.idle <= p.n && p.crew.hire() {
			p.mu.Unlock()
			return true, false
		}
		if p.n < len(p.ring) {
			p.ring[(p.head+p.n)%len(p.ring)] = item
			p.n++
			p.mu.Unlock()
			p.items.Signal()
			return false, false
		}
		p.full, p.crew.pressed = true, true
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-done:
			return false, true
		}
	}
}

// close says that no more items come. The workers end.
func (p *pool[T]) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.items.Broadcast()
}

// work resolves item and then others, until there are none, or too many workers.
func (p *pool[T]) work(item T, resolve func(T) error) error {
	growStack()
	for {
		if err := resolve(item); err != nil {
			return err
		}
		var ok bool
		if item, ok = p.take(); !ok {
			return nil
		}
	}
}

// growStack gives the goroutine the 8 KiB of stack that an answer takes at once. A
// stack that doubles step by step is copied each time, which is a tenth of all CPU
// where a distant nameserver has thousands of workers begin.
//
//go:noinline
func growStack() {
	var frame [5 << 10]byte
	runtime.KeepAlive(&frame[0])
}

// take returns the next item for a worker that is done with one; false if it is
// to end.
func (p *pool[T]) take() (item T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crew.answered()
	if p.crew.dismiss() {
		return item, false
	}
	for p.n == 0 {
		if p.closed {
			return item, false
		}
		p.idle++
		p.items.Wait()
		p.idle--
	}
	item = p.ring[p.head]
	p.head, p.n = (p.head+1)%len(p.ring), p.n-1
	if p.full && (p.n <= len(p.ring)/2 || p.crew.workers < p.crew.size) {
		p.full = false
		p.room <- struct{}{} // give took the last one before it said that it waits
	}
	return item, true
}
