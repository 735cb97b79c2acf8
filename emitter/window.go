package emitter

import (
	"math"
	"sync"
	"time"
)

// The sliding windows: how many slots of which length. The oldest slot is
// forgotten as a whole, so a window reaches back at least all slots but one.
const (
	recentSlots = 10
	recentSlot  = 30 * time.Second

	letterSlots = 60
	letterSlot  = time.Minute
)

// RecentWindow is the stretch of time that the figures of Numbers are of, where
// they are of a window.
const RecentWindow = recentSlots * recentSlot

// recent remembers outcomes and acknowledgement times of the last five minutes
// in memory that does not grow. Its zero value is ready; it is safe for
// concurrent use.
type recent struct {
	mu    sync.Mutex
	begun time.Time // carries the monotonic clock: a clock that is set moves nothing
	slots [recentSlots]recentSlotCounts
}

type recentSlotCounts struct {
	turn     int64 // which slot of time, from 0
	settled  int64
	failed   int64
	returned int64
	batches  int64
	acks     [ackBuckets]uint32
}

// Acknowledgement times are kept in buckets, eight to a doubling, from 0.1 ms to
// seven minutes: what is told is at most a tenth too long.
const (
	ackBuckets   = 176
	ackPerDouble = 8
	ackLeast     = 100 * time.Microsecond
)

func ackBucket(d time.Duration) int {
	if d <= ackLeast {
		return 0
	}
	return min(int(math.Ceil(math.Log2(float64(d)/float64(ackLeast))*ackPerDouble)), ackBuckets-1)
}

// ackBound is the longest time of a bucket.
func ackBound(i int) time.Duration {
	return time.Duration(float64(ackLeast) * math.Exp2(float64(i)/ackPerDouble))
}

// turnAt is the slot of now, counted from the first use.
func turnAt(begun *time.Time, slot time.Duration) int64 {
	if begun.IsZero() {
		*begun = time.Now()
	}
	return int64(time.Since(*begun) / slot)
}

// now returns the slot of this moment; mu is held.
func (r *recent) now() *recentSlotCounts {
	turn := turnAt(&r.begun, recentSlot)
	s := &r.slots[turn%recentSlots]
	if s.turn != turn {
		*s = recentSlotCounts{turn: turn}
	}
	return s
}

// outcome notes n new events, acknowledged or not.
func (r *recent) outcome(n int, acked bool) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.now()
	s.settled += int64(n)
	if !acked {
		s.failed += int64(n)
	}
}

// gaveBack notes n new events that are durable nowhere.
func (r *recent) gaveBack(n int) {
	r.outcome(n, false)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now().returned += int64(n)
}

func (r *recent) ack(after time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.now()
	s.batches++
	s.acks[ackBucket(after)]++
}

// numbers fills in what is of the window.
func (r *recent) numbers(n *Numbers) {
	r.mu.Lock()
	defer r.mu.Unlock()
	turn := turnAt(&r.begun, recentSlot)
	var acks [ackBuckets]int64
	var batches int64
	for i := range r.slots {
		s := &r.slots[i]
		if s.turn <= turn-recentSlots {
			continue
		}
		n.Settled += s.settled
		n.Failed += s.failed
		n.Returned += s.returned
		batches += s.batches
		for j, c := range s.acks {
			acks[j] += int64(c)
		}
	}
	quantile := func(share float64) time.Duration {
		left := int64(math.Ceil(share * float64(batches)))
		for i, c := range acks {
			if left -= c; left <= 0 && batches > 0 {
				return ackBound(i)
			}
		}
		return 0
	}
	n.AckP50, n.AckP95, n.AckP99 = quantile(0.5), quantile(0.95), quantile(0.99)
}

// tally counts what happened in the last hour. Its zero value is ready; it is
// safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	begun time.Time
	slots [letterSlots]struct{ turn, n int64 }
}

func (t *tally) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := turnAt(&t.begun, letterSlot)
	s := &t.slots[turn%letterSlots]
	if s.turn != turn {
		s.turn, s.n = turn, 0
	}
	s.n++
}

func (t *tally) sum() (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn := turnAt(&t.begun, letterSlot)
	for i := range t.slots {
		if t.slots[i].turn > turn-letterSlots {
			n += t.slots[i].n
		}
	}
	return n
}
