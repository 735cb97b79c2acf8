package resolver

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
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

// write sends what is in line.
func (f *flow) write() {
	for {
		select {
		case <-f.kick:
		case <-f.done:
			return
		}
		for {
			// Let everybody who is about to ask something do so first: else each
			// batch has one packet.
			runtime.Gosched()
			s := f.fill()
			if s == nil {
				break
			}
			if err := s.wire.send(&f.out); err != nil {
				f.unreachable(s)
			}
		}
	}
}

// fill moves queries from the line to the outbox and returns the socket that
// they go through; nil, and the writer is idle, when there is nothing to send.
func (f *flow) fill() *socket {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out.reset()
	now := f.tick()
	s := f.chooseSocket(now)
	n := 0
	if s != nil {
		n = min(f.room()-f.inFlight, maxBatch, s.wire.capacity()-s.inFlight, f.again.n+f.fresh.n)
		n = f.pace.take(f.window.allow(now, n))
	}
	for n > 0 {
		q := f.again.first
		if q == nil {
			q = f.fresh.first
		}
		if q == nil {
			break
		}
		if err := q.ctx.Err(); err != nil {
			f.end(q, err)
			continue
		}
		f.launch(q, s, now)
		n--
	}
	if f.out.n == 0 {
		f.idle = true
		if f.again.n+f.fresh.n > 0 {
			f.watch.notify() // it looks again
		}
		return nil
	}
	return s
}

// launch gives q an ID and puts it into the table and the outbox.
func (f *flow) launch(q *query, s *socket, now time.Duration) {
	q.leave()
	bits := f.random.Uint64()
	id := uint16(bits)
	for f.table[id] != nil { // in the table are at most a few times maxWindow of 65,536
		id = uint16(f.random.Uint64())
	}
	binary.BigEndian.PutUint16(q.packet, id)
	if q.mixed {
		mixCase(q.packet[headerLen:q.end-4], bits>>16, f.random)
	}
	if !f.asked {
		f.asked, f.quiet = true, now
	}
	if f.inFlight == 0 {
		f.watch.notify()
	}
	q.sent, q.socket = now, s
	f.table[id] = q
	if q.fixed {
		f.fixed.push(q)
	} else {
		f.waiting[min(q.try, patienceSteps-1)].push(q)
	}
	f.inFlight++
	s.inFlight++
	s.expected++
	s.sent++
	f.meter.inFlight.Add(1)
	f.meter.query(q.kind)
	f.out.add(q.packet)
}

// mixCase gives each letter a random case (draft-vixie-dnsext-dns0x20): what an
// attacker has to guess besides the ID. bits holds 48 random bits.
func mixCase(name []byte, bits uint64, more *rand.ChaCha8) {
	left := 48
	for i, c := range name {
		if c|0x20 < 'a' || c|0x20 > 'z' { // the length of a label is below 'A'
			continue
		}
		if left == 0 {
			bits, left = more.Uint64(), 64
		}
		name[i] = c&^0x20 | byte(bits&1)<<5
		bits >>= 1
		left--
	}
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

// tick reads the clock. The caller holds mu.
func (f *flow) tick() time.Duration {
	f.now = f.clock()
	return f.now
}

// unreachable ends everything sent through s.
func (f *flow) unreachable(s *socket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endAll(errUnreachable, func(q *query) bool { return q.socket == s })
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
			f.end(q, err)
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
