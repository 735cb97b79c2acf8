package resolver

import (
	"context"
	"slices"
	"sync"
	"time"
)

// sweepEvery is how much later than due a time-out may be noticed.
const sweepEvery = 5 * time.Millisecond

// sweeper ends overdue queries of all flows: one goroutine instead of a timer
// for each query. It sleeps while nothing is in flight.
type sweeper struct {
	wake    chan struct{}   // holds one: a flow went from idle to busy
	running *sync.WaitGroup // everything that Resolver.Close waits for

	mu     sync.Mutex
	closed bool
	flows  []*flow // never changed in place
}

// add starts watching f; false after closeAll.
func (w *sweeper) add(f *flow) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.flows = append(slices.Clip(w.flows), f)
	return true
}

// spawn runs a goroutine that Resolver.Close waits for; false after closeAll.
func (w *sweeper) spawn(run func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.running.Go(run)
	return true
}

func (w *sweeper) drop(f *flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flows = without(w.flows, f)
}

// closeAll closes every flow and lets no other be added.
func (w *sweeper) closeAll() {
	w.mu.Lock()
	w.closed = true
	flows := w.flows
	w.mu.Unlock()
	for _, f := range flows {
		f.close()
	}
}

// notify tells the sweeper that there is something to watch.
func (w *sweeper) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *sweeper) run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		ticker.Stop()
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		ticker.Reset(sweepEvery)
		for busy := true; busy; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				busy = w.sweep()
			}
		}
	}
}

// sweep reports whether anything is left to watch. A flow that becomes busy
// behind its back has notified, so nothing is missed.
func (w *sweeper) sweep() (busy bool) {
	w.mu.Lock()
	flows := w.flows
	w.mu.Unlock()
	for _, f := range flows {
		if f.sweep() {
			busy = true
		}
	}
	return busy
}

// without returns list less one element, in memory of its own.
func without[T comparable](list []T, gone T) []T {
	rest := make([]T, 0, len(list))
	for _, e := range list {
		if e != gone {
			rest = append(rest, e)
		}
	}
	return rest
}
