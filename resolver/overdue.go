package resolver

import (
	"context"
	"time"
)

// sweep ends what is overdue and reports whether anything is left to watch.
func (f *flow) sweep() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.tick()
	for i := range f.waiting {
		wait := f.rto.timeout(i, f.limit)
		for q := f.waiting[i].first; q != nil && now-q.sent >= wait; q = f.waiting[i].first {
			f.miss(q, now)
		}
	}
	for q := f.fixed.first; q != nil; {
		next := q.next
		if now-q.sent >= q.patience {
			f.end(q, errTimeout)
		}
		q = next
	}
	if now-f.checked >= checkEvery {
		f.checked = now
		f.endCancelled()
	}
	f.sweepLine(&f.again, now)
	f.sweepLine(&f.fresh, now)
	f.meter.window.Store(int64(f.window.size))
	f.retireSockets(now)
	f.wakeWriter()
	return f.inFlight+f.again.n+f.fresh.n+f.overdue.n+len(f.retired) > 0
}

// miss makes q overdue.
func (f *flow) miss(q *query, now time.Duration) {
	q.leave()
	f.overdue.push(q)
	q.late = true
	f.inFlight--
	q.socket.inFlight--
	f.meter.inFlight.Add(-1)
	f.meter.timeouts.Add(1)
	f.window.lost(now, q.sent, f.rto.srtt, f.rto.rto)
	q.box.put(event{q, errTimeout})
}

// sweepLine ends waiting in line when it has no end: the server is silent, and
// what is in flight is not making room.
func (f *flow) sweepLine(line *queue, now time.Duration) {
	silent, full := f.silent(now), f.inFlight >= f.room() // else it is the pace that makes wait
	for q := line.first; q != nil; {
		next := q.next
		switch {
		case !silent:
			q.sent = now // the wait begins with the silence
		case full && now-q.sent >= f.rto.timeout(q.try, f.limit):
			f.end(q, errTimeout)
		}
		q = next
	}
}

// silent reports whether the server owes answers and gives none.
func (f *flow) silent(now time.Duration) bool {
	return f.asked && now-f.quiet > f.rto.timeout(2, f.limit)
}

// unreachable ends everything sent through s.
func (f *flow) unreachable(s *socket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.each(func(q *query) {
		if q.socket == s {
			f.abandon(q, errUnreachable)
		}
	})
}

// abandon ends a query whose answer may yet come.
func (f *flow) abandon(q *query, err error) {
	if q.socket != nil {
		q.socket.owed++
	}
	f.end(q, err)
}

// endAll ends the queries in the table that which selects.
func (f *flow) endAll(err error, which func(*query) bool) {
	f.each(func(q *query) {
		if q.socket != nil && which(q) {
			f.end(q, err)
		}
	})
}

// endCancelled ends the queries whose context has ended.
func (f *flow) endCancelled() {
	var known context.Context // most share one
	var err error
	f.each(func(q *query) {
		if q.ctx != known {
			known, err = q.ctx, q.ctx.Err()
		}
		if err != nil {
			f.abandon(q, err)
		}
	})
}

// each calls do with every query in line or in the table; do may end it.
func (f *flow) each(do func(*query)) {
	through := func(l *queue) {
		for q := l.first; q != nil; {
			next := q.next
			do(q)
			q = next
		}
	}
	for i := range f.waiting {
		through(&f.waiting[i])
	}
	for _, l := range []*queue{&f.fixed, &f.overdue, &f.again, &f.fresh} {
		through(l)
	}
}
