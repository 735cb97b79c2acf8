package resolver

import (
	"sync"
	"sync/atomic"
	"time"
)

// Of RFC 6298; the floor is lower than its 1 s because a lost DNS datagram
// costs a query, not a congested stream.
const (
	firstRTO = time.Second
	minRTO   = 200 * time.Millisecond
)

// estimator keeps the smoothed round trip of one upstream and derives the
// retransmission time-out from it (RFC 6298 section 2). Every try has an ID of
// its own, so a sample is never ambiguous (Karn's problem does not arise).
type estimator struct {
	mu           sync.Mutex
	srtt, rttvar time.Duration
	rto          atomic.Int64 // 0 until the first sample
}

// observe takes one round trip. Under contention a sample is skipped: there
// are more than enough.
func (e *estimator) observe(rtt time.Duration) {
	if !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	if e.srtt == 0 {
		e.srtt, e.rttvar = rtt, rtt/2
	} else {
		e.rttvar += ((e.srtt - rtt).Abs() - e.rttvar) / 4
		e.srtt += (rtt - e.srtt) / 8
	}
	e.rto.Store(int64(max(e.srtt+4*e.rttvar, minRTO)))
}

// timeout returns how long to wait for an answer after so many unanswered
// tries of the same question, never more than limit.
func (e *estimator) timeout(unanswered int, limit time.Duration) time.Duration {
	rto := time.Duration(e.rto.Load())
	if rto == 0 {
		rto = firstRTO
	}
	for range unanswered {
		if rto >= limit {
			break
		}
		rto *= 2
	}
	return min(rto, limit)
}
