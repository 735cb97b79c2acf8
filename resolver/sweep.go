package resolver

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// sweepEvery is how much later than due a time-out may be noticed.
const sweepEvery = 10 * time.Millisecond

// sweeper ends overdue queries on all open sockets: one goroutine instead of a
// timer for each query. It sleeps while nothing is in flight.
type sweeper struct {
	clock func() time.Duration
	wake  chan struct{} // holds one: a socket went from idle to busy

	running *sync.WaitGroup // everything that Resolver.Close waits for

	mu      sync.Mutex
	sockets map[*socket]struct{} // nil after closeAll
}

// add starts watching s and runs its reader; false after closeAll.
func (w *sweeper) add(s *socket, run func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sockets == nil {
		return false
	}
	w.sockets[s] = struct{}{}
	run()
	return true
}

// spawn runs a goroutine that Resolver.Close waits for; false after closeAll.
func (w *sweeper) spawn(run func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sockets == nil {
		return false
	}
	w.running.Go(run)
	return true
}

func (w *sweeper) drop(s *socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sockets, s)
}

// closeAll closes every socket and lets no other be added.
func (w *sweeper) closeAll() {
	w.mu.Lock()
	sockets := slices.Collect(maps.Keys(w.sockets))
	w.sockets = nil
	w.mu.Unlock()
	for _, s := range sockets {
		s.close()
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
				busy = w.sweep(w.clock())
			}
		}
	}
}

// sweep reports whether anything is left in flight. A socket that becomes busy
// behind its back has notified, so nothing is missed.
func (w *sweeper) sweep(now time.Duration) (busy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.sockets {
		if s.sweep(now) {
			busy = true
		}
	}
	return busy
}
