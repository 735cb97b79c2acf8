package resolver

import "time"

// Of RFC 6298; the floor is far lower than its 1 s because a lost DNS datagram
// costs a query, not a congested stream.
const (
	firstRTO = time.Second
	minRTO   = 60 * time.Millisecond
)

// estimator keeps the smoothed round trip to one server and derives the
// retransmission time-out from it (RFC 6298 section 2). Every try has an ID of
// its own, so a sample is never ambiguous (Karn's problem does not arise), and
// late answers count too. Not safe for concurrent use.
type estimator struct {
	srtt, rttvar time.Duration
	rto          time.Duration // 0 until the first sample
	floor        time.Duration
}

// observe takes one round trip.
func (e *estimator) observe(rtt time.Duration) {
	if e.rto == 0 {
		e.srtt, e.rttvar = rtt, rtt/2
	} else {
		e.rttvar += ((e.srtt - rtt).Abs() - e.rttvar) / 4
		e.srtt += (rtt - e.srtt) / 8
	}
	e.rto = max(e.srtt+4*e.rttvar, e.floor)
}

// timeout returns how long to wait for an answer after so many unanswered
// tries of the same question, never more than limit.
func (e *estimator) timeout(unanswered int, limit time.Duration) time.Duration {
	rto := e.rto
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
