package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

var (
	errTimeout     = errors.New("no answer in time")
	errUnreachable = errors.New("unreachable")
)

// query is one try: a packet on its way and the place for its answer. Queries
// are reused; buffers stay with them.
type query struct {
	kind   Type
	packet []byte     // what is sent; the socket writes the ID into it
	end    int        // of the question in packet
	answer []byte     // the matching datagram, once done says nil
	done   chan error // holds one; whoever takes the query out of the table sends

	pos      int // in socket.live
	sent     time.Duration
	deadline time.Duration
	received time.Duration
}

func newQuery() *query {
	return &query{packet: make([]byte, 0, maxPacket), answer: make([]byte, 0, 512), done: make(chan error, 1)}
}

// set makes q the query for name, canonical with a trailing dot.
func (q *query) set(name string, t Type, edns bool) (err error) {
	q.kind = t
	q.packet, q.end, err = packQuery(q.packet, name, t, edns)
	return err
}

// socket shares one connected UDP socket among all queries to a server. A
// query is in the table from just before it is sent until it is answered,
// swept or forgotten, and its ID is not used twice during that time.
type socket struct {
	wire  *wire
	clock func() time.Duration
	meter *meter
	watch *sweeper
	slots chan struct{} // bounds what is in flight to what the buffer holds

	mu     sync.Mutex
	table  [1 << 16]*query
	live   []*query // those in table, for the sweeper
	ids    [512]byte
	idsOff int
	closed bool
}

// openSocket connects to addr and starts the reader, which ends after close.
// After Resolver.Close it returns ErrClosed.
func openSocket(addr netip.AddrPort, r *Resolver) (*socket, error) {
	w, err := dialWire(addr)
	if err != nil {
		return nil, err
	}
	s := &socket{wire: w, clock: r.clock, meter: r.meter, watch: r.watch, slots: make(chan struct{}, w.window)}
	s.idsOff = len(s.ids)
	read := func() { w.receive(s.deliver, func(error) { s.failAll(errUnreachable) }) }
	if !r.watch.add(s, func() { r.running.Go(read) }) {
		s.close()
		return nil, ErrClosed
	}
	return s, nil
}

// exchange sends q and waits for its answer. It returns nil (q.answer is set),
// errTimeout, errUnreachable or the context's error.
func (s *socket) exchange(ctx context.Context, q *query, timeout time.Duration) error {
	select {
	case s.slots <- struct{}{}:
	default:
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-s.slots }()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.register(q, timeout); err != nil {
		return err
	}
	s.meter.query(q.kind)
	if err := s.wire.send(q.packet); err != nil {
		s.sendFailed(q, err)
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		if !s.forget(q) {
			<-q.done
		}
		return ctx.Err()
	}
}

// sendFailed ends q, and with it everything in flight if the error is really
// the ICMP answer to an earlier datagram, which a connected socket reports on
// whatever call comes next.
func (s *socket) sendFailed(q *query, err error) {
	if errors.Is(err, syscall.ECONNREFUSED) {
		s.failAll(errUnreachable)
	} else if s.forget(q) {
		q.done <- errUnreachable
	}
}

// register gives q a random ID that is free and puts it into the table.
func (s *socket) register(q *query, timeout time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errUnreachable
	}
	id := s.randomID()
	for s.table[id] != nil { // in flight are at most maxWindow of 65,536
		id = s.randomID()
	}
	binary.BigEndian.PutUint16(q.packet, id)
	q.sent = s.clock()
	q.deadline = q.sent + timeout
	q.pos = len(s.live)
	s.table[id] = q
	s.live = append(s.live, q)
	s.meter.inFlight.Add(1)
	if len(s.live) == 1 {
		s.watch.notify()
	}
	return nil
}

// randomID draws from a CSPRNG; an ID that can be guessed lets a stranger
// answer in the server's place (RFC 5452). The caller holds mu.
func (s *socket) randomID() uint16 {
	if s.idsOff == len(s.ids) {
		_, _ = rand.Read(s.ids[:]) // never fails, by its documentation
		s.idsOff = 0
	}
	id := binary.BigEndian.Uint16(s.ids[s.idsOff:])
	s.idsOff += 2
	return id
}

// remove takes q out of the table. The caller holds mu and, if it was there,
// has to send on q.done or own q.
func (s *socket) remove(q *query) bool {
	id := messageID(q.packet)
	if s.table[id] != q {
		return false
	}
	s.table[id] = nil
	last := s.live[len(s.live)-1]
	s.live[q.pos], last.pos = last, q.pos
	s.live[len(s.live)-1] = nil
	s.live = s.live[:len(s.live)-1]
	s.meter.inFlight.Add(-1)
	return true
}

// forget takes back a query nobody waits for any more. If it returns false,
// q.done is about to be sent to.
func (s *socket) forget(q *query) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(q)
}

// deliver hands a datagram to the query it answers. Whatever answers none is
// counted and dropped, and the query goes on waiting for the real one.
func (s *socket) deliver(b []byte) {
	if !isReply(b) {
		s.meter.drop(dropHeader)
		return
	}
	s.mu.Lock()
	q := s.table[messageID(b)]
	if q == nil {
		s.mu.Unlock()
		s.meter.drop(dropUnexpected)
		return
	}
	if !answersQuestion(b, q.packet, q.end) {
		s.mu.Unlock()
		s.meter.drop(dropQuestion)
		return
	}
	s.remove(q)
	s.mu.Unlock()
	q.answer = append(q.answer[:0], b...)
	q.received = s.clock()
	q.done <- nil
}

// sweep ends the queries whose time is up and reports whether any are left.
func (s *socket) sweep(now time.Duration) bool {
	return s.end(errTimeout, func(q *query) bool { return q.deadline <= now }) > 0
}

func (s *socket) failAll(err error) { s.end(err, func(*query) bool { return true }) }

func (s *socket) end(err error, which func(*query) bool) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.live) - 1; i >= 0; i-- {
		if q := s.live[i]; which(q) {
			s.remove(q)
			q.done <- err // never blocks: one place, one sender
		}
	}
	return len(s.live)
}

// close ends the reader and everything in flight. Safe to call again.
func (s *socket) close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if !closed {
		s.watch.drop(s)
		_ = s.wire.close() // a UDP socket has nothing to lose by closing
		s.failAll(errUnreachable)
	}
}
