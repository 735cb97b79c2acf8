package resolver

import (
	crand "crypto/rand"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

const (
	socketsPerFlow = 3
	// A query whose ID came back with another question so often goes over TCP:
	// somebody is guessing.
	strangeLimit = 3
	// patienceSteps is how often the time-out doubles.
	patienceSteps = 8
	// checkEvery is how late the end of a context may be noticed. Who waits for an
	// answer waits for one thing only, which is cheaper than for two.
	checkEvery = 20 * time.Millisecond
)

// flow carries all queries to one address over a few UDP sockets, as many at a
// time as its window allows. Its methods may be called from many goroutines.
//
// A query is first in line, then in the table under its ID until it is
// answered or taken back. An overdue one stays in the table: its answer may
// still come, and its ID is not free until then.
type flow struct {
	addr   netip.AddrPort
	clock  func() time.Duration
	watch  *sweeper
	meter  *meter
	wiring *wiring
	pace   *pace
	limit  time.Duration // Config.Timeout
	kick   chan struct{} // holds one: the writer has something to do
	done   chan struct{} // closed by close

	mu       sync.Mutex
	closed   bool
	idle     bool // the writer waits for kick
	sockets  []*socket
	retired  []*socket // replaced, with answers still to come
	table    [1 << 16]*query
	again    queue                // in line: retries first
	fresh    queue                // in line
	waiting  [patienceSteps]queue // sent, by try, in the order of sending
	fixed    queue                // sent, with a time-out of their own
	overdue  queue
	inFlight int
	window   window
	rto      estimator
	now      time.Duration // a moment ago
	checked  time.Duration // when contexts were last looked at
	asked    bool          // something was sent since the last answer, or is in flight
	quiet    time.Duration // if asked: since when no answer has come
	random   *rand.ChaCha8
	out      outbox
}

// openFlow opens the sockets and starts their readers and the writer, which end
// after close. After Resolver.Close it returns ErrClosed.
func openFlow(addr netip.AddrPort, u *upstream) (*flow, error) {
	r := u.resolver
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails, by its documentation
	f := &flow{
		addr: addr, clock: r.clock, watch: r.watch, meter: u.meter, wiring: &r.wiring, pace: r.pace, limit: r.cfg.Timeout,
		kick: make(chan struct{}, 1), done: make(chan struct{}), idle: true,
		window: newWindow(), rto: estimator{floor: r.cfg.floor},
		// A CSPRNG: ChaCha8 is a stream cipher, and this is its key stream under a
		// key from the system, with a new key from itself every 992 bytes. An ID
		// seen tells nothing of the next (RFC 5452 section 9.2).
		random: rand.NewChaCha8(seed),
	}
	for range socketsPerFlow {
		s, err := f.openSocket()
		if err != nil {
			f.close()
			return nil, err
		}
		f.sockets = append(f.sockets, s)
	}
	if !r.watch.add(f) || !r.watch.spawn(f.write) {
		f.close()
		return nil, ErrClosed
	}
	return f, nil
}

// start puts q in line. Its events follow, errUnreachable at once if the flow
// is closed. q is the flow's until it has ended or cancel has returned.
func (f *flow) start(q *query) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		q.box.put(event{q, errUnreachable})
		return
	}
	q.strange, q.late = 0, false
	q.sent = f.now
	if q.try > 0 {
		f.again.push(q)
	} else {
		f.fresh.push(q)
	}
	f.wakeWriter()
}

// cancel takes q back: no event of it comes after that.
func (f *flow) cancel(q *query) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.in != nil {
		if q.socket != nil {
			q.socket.owed++ // another try was answered, and this one may be yet
		}
		f.remove(q)
		f.wakeWriter()
	}
}

// wakeWriter is called when there is something in line or room for it.
func (f *flow) wakeWriter() {
	if f.idle && f.inFlight < f.room() && f.again.n+f.fresh.n > 0 {
		f.idle = false
		f.kick <- struct{}{} // the place is free: the writer took the last one before it went idle
	}
}

// room is how many queries may be in flight.
func (f *flow) room() int { return int(f.window.size) }

// remove takes q out of line or out of the table. The caller holds mu.
func (f *flow) remove(q *query) {
	if q.in != &f.again && q.in != &f.fresh {
		f.table[messageID(q.packet)] = nil
		if !q.late {
			f.inFlight--
			f.meter.inFlight.Add(-1)
			q.socket.inFlight--
		}
		q.socket.expected--
		f.settleSocket(q.socket)
		q.socket = nil
	}
	q.leave()
}

// end takes q out and tells what became of it. The caller holds mu, so that
// cancel has the last word.
func (f *flow) end(q *query, err error) {
	f.remove(q)
	q.box.put(event{q, err})
}

// deliver hands datagrams to the queries they answer. Whatever answers none is
// counted and dropped, and the query goes on waiting for the real one.
func (f *flow) deliver(s *socket, batch [][]byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.tick()
	for _, b := range batch {
		reason := f.match(s, b, now)
		if reason == "" {
			continue
		}
		f.meter.drop(reason)
		if reason != dropLate {
			f.suspect(s, now)
		}
	}
	if drops := s.wire.overflow(); drops != s.overflow {
		f.meter.overflows.Add(drops - s.overflow)
		s.overflow = drops
	}
	f.wakeWriter()
}

// match finds the query that b answers, or says why it answers none.
func (f *flow) match(s *socket, b []byte, now time.Duration) (reason string) {
	if !isReply(b) {
		return dropHeader
	}
	q := f.table[messageID(b)]
	if q == nil || q.socket != s {
		if s.owed > 0 {
			s.owed--
			return dropLate
		}
		return dropUnexpected
	}
	if !answersQuestion(b, q.packet, q.end) {
		if q.strange++; q.strange >= strangeLimit {
			f.meter.forged.Add(1)
			f.end(q, errForged)
		}
		return dropQuestion
	}
	s.good++
	f.asked, f.quiet = f.inFlight > 1, now
	rtt := now - q.sent
	f.rto.observe(rtt)
	f.meter.roundTrip(rtt)
	f.window.answered(now, f.rto.srtt, f.rto.rto, f.inFlight, q.late)
	f.meter.window.Store(int64(f.window.size))
	q.received = now
	if q.mixed && len(b) > headerLen && !sameQuestion(b, q.packet, q.end) {
		f.end(q, errCase)
		return ""
	}
	q.answer = append(q.answer[:0], b...)
	f.end(q, nil)
	return ""
}

// tick reads the clock. The caller holds mu.
func (f *flow) tick() time.Duration {
	f.now = f.clock()
	return f.now
}

// wait returns how long a try waits for its answer.
func (f *flow) wait(try int) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rto.timeout(try, f.limit)
}

// state returns the smoothed round trip, and how full the window is.
func (f *flow) state() (srtt time.Duration, load float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rto.srtt, float64(f.inFlight+f.again.n+f.fresh.n) / f.window.size
}

// ownLoss reports whether the loss of a query sent then is explained by too many
// having been sent at a time: the window was cut since, and answers do come.
func (f *flow) ownLoss(sent time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.window.cutAt > sent && !f.silent(f.now)
}

// close ends the writer, the readers and everything on its way. Safe to call
// again.
func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.closed = true
	close(f.done)
	f.watch.drop(f)
	f.each(func(q *query) { f.end(q, errUnreachable) })
	for _, s := range append(f.sockets, f.retired...) {
		_ = s.wire.close() // a UDP socket has nothing to lose by closing
	}
}
