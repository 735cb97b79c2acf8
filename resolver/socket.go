package resolver

import "time"

const (
	// A socket is replaced after so many queries, or so long after it was
	// opened: its port is part of what an attacker has to guess (RFC 5452
	// section 9.2). The number varies so that the moment cannot be foreseen.
	renewAfter = 50_000
	renewAge   = time.Minute
	// A replaced socket listens so long for answers at most.
	retireTime = 10 * time.Second
	// Datagrams that answer nothing, within floodTime and beyond a tenth of
	// those that do, from which on somebody is taken to be guessing.
	floodLimit = 100
	floodTime  = time.Second
)

// socket is one UDP socket of a flow. Everything but wire is under flow.mu.
type socket struct {
	wire     wire
	opened   time.Duration
	renewal  int // queries after which it is replaced
	sent     int
	inFlight int // in the table and not overdue
	expected int // in the table
	overflow uint64

	retiredAt time.Duration
	retired   bool

	since         time.Duration // of good and strange
	good, strange int
	owed          int // answers that may still come to queries that have ended
}

// openSocket connects and starts the reader. The caller need not hold mu.
func (f *flow) openSocket() (*socket, error) {
	dial := f.wiring.dial
	if f.wiring.instead != nil {
		dial = f.wiring.instead
	}
	w, err := dial(f.addr)
	if err != nil {
		return nil, err
	}
	s := &socket{wire: w, opened: f.clock(), renewal: renewAfter/2 + int(f.random.Uint64()%(renewAfter/2))}
	read := func() {
		w.receive(func(batch [][]byte) { f.deliver(s, batch) }, func(error) { f.unreachable(s) })
	}
	if !f.watch.spawn(read) {
		_ = w.close()
		return nil, ErrClosed
	}
	return s, nil
}

// chooseSocket returns one at random that has room, nil when none has. One that
// is worn is replaced first. The caller holds mu.
func (f *flow) chooseSocket(now time.Duration) *socket {
	if f.closed {
		return nil
	}
	start := int(f.random.Uint64() % socketsPerFlow)
	for i := range f.sockets {
		at := (start + i) % len(f.sockets)
		s := f.sockets[at]
		if s.sent >= s.renewal || s.sent > 0 && now-s.opened >= renewAge {
			s = f.replace(at, now)
		}
		if s.inFlight < s.wire.capacity() {
			return s
		}
	}
	return nil
}

// replace opens another socket in the place of one, which goes on listening for
// what is in flight. When that fails the old one stays.
func (f *flow) replace(at int, now time.Duration) *socket {
	old := f.sockets[at]
	s, err := f.openSocket()
	if err != nil {
		old.sent, old.opened = 0, now // try again later
		return old
	}
	f.meter.renewed.Add(1)
	f.sockets[at] = s
	old.retired, old.retiredAt = true, now
	f.retired = append(f.retired, old)
	f.settleSocket(old)
	return s
}

// settleSocket closes a retired socket that expects nothing more.
func (f *flow) settleSocket(s *socket) {
	if s.retired && s.expected == 0 {
		_ = s.wire.close() // a UDP socket has nothing to lose by closing
		f.retired = without(f.retired, s)
	}
}

// retireSockets gives up what retired sockets still wait for after a while.
func (f *flow) retireSockets(now time.Duration) {
	for _, s := range f.retired {
		if now-s.retiredAt >= retireTime {
			f.endAll(errTimeout, func(q *query) bool { return q.socket == s })
		}
	}
}

// suspect counts a datagram that answers nothing. When they are a flood the
// queries on the socket go over TCP, and further ones through another port.
func (f *flow) suspect(s *socket, now time.Duration) {
	if now-s.since > floodTime {
		s.since, s.good, s.strange = now, 0, 0
		s.owed /= 2 // what was owed long ago was lost
	}
	if s.strange++; s.strange != floodLimit+s.good/10 {
		return
	}
	f.meter.forged.Add(1)
	f.endAll(errForged, func(q *query) bool { return q.socket == s })
	for at, current := range f.sockets {
		if current == s {
			f.replace(at, now)
		}
	}
}
