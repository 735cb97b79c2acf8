package resolver

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	maxStreams   = 4   // connections to one server, more only when all are full
	maxPipelined = 100 // queries on one of them
	fewPipelined = 8   // from so many on each, another connection is worth opening
	streamIdle   = 10 * time.Second
)

// carrier takes queries to one server over connections. Its methods may be
// called from many goroutines at a time.
type carrier interface {
	// exchange sends q.packet, with an ID of the carrier's choice, and sets
	// q.answer to the message that answers it: a reply to exactly that question.
	// It returns errTimeout at the deadline of ctx, ctx.Err() when cancelled,
	// errUnreachable or errMalformed; after close, ErrClosed.
	exchange(ctx context.Context, q *query) error
	// close ends what is under way and waits for nothing.
	close()
}

// streams carries queries over a few connections that are kept open, many at a
// time on each, answered in any order (RFC 7766 sections 6.2.1, 7).
type streams struct {
	dial    func(context.Context) (net.Conn, error)
	patient time.Duration // longest time for dial
	meter   *meter
	watch   *sweeper
	life    context.Context // ends with close
	end     context.CancelFunc

	mu   sync.Mutex
	open []*stream
}

// newStreams returns a carrier over connections that dial makes; dial gets at
// most patient for it. Its goroutines end after close, and Resolver.Close waits
// for them.
func newStreams(u *upstream, patient time.Duration, dial func(context.Context) (net.Conn, error)) *streams {
	c := &streams{dial: dial, patient: patient, meter: u.meter, watch: u.resolver.watch}
	c.life, c.end = context.WithCancel(u.resolver.life)
	return c
}

func (c *streams) close() { c.end() }

// stream is one connection; conn and fault are set once ready is closed.
type stream struct {
	pool  *streams
	ready chan struct{}
	conn  net.Conn
	fault error
	lost  chan struct{} // closed when the connection is gone

	writing sync.Mutex
	// Under pool.mu:
	waiting map[uint16]*streamed
	retired bool // takes no further query
	heard   int  // answers so far
}

// streamed is a query on a stream. It has memory of its own: whoever asked may
// have gone when the answer comes.
type streamed struct {
	packet []byte
	end    int
	answer chan []byte // holds one
}

func (c *streams) exchange(ctx context.Context, q *query) error {
	for {
		s, used, err := c.pick(ctx)
		if err == nil {
			err = s.exchange(ctx, q)
		}
		// A server may close a connection at any time (RFC 7766 section 6.2.4).
		// Once more then, but not if it never answered anything there.
		if err == nil || !used || !errors.Is(err, errUnreachable) || ctx.Err() != nil {
			return c.verdict(ctx, err)
		}
	}
}

// verdict turns err into one of the errors that exchange may return.
func (c *streams) verdict(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case err == nil, errors.Is(err, errMalformed):
		return err
	case c.life.Err() != nil:
		return ErrClosed
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errUnreachable):
		return err
	}
	return fmt.Errorf("%w: %w", errUnreachable, err)
}

// pick returns a connection that is ready, and whether it has answered before.
func (c *streams) pick(ctx context.Context) (s *stream, used bool, err error) {
	if s, used = c.choose(); s == nil {
		return nil, false, ErrClosed
	}
	select {
	case <-s.ready:
		return s, used, s.fault
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// choose returns the connection with the least to do, a new one when all are
// busy, nil after Resolver.Close.
func (c *streams) choose() (*stream, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *stream
	for _, s := range c.open {
		if !s.retired && (best == nil || len(s.waiting) < len(best.waiting)) {
			best = s
		}
	}
	if best == nil || len(best.waiting) >= fewPipelined && len(c.open) < maxStreams || len(best.waiting) >= maxPipelined {
		best = &stream{pool: c, ready: make(chan struct{}), lost: make(chan struct{}), waiting: map[uint16]*streamed{}}
		if !c.watch.spawn(best.run) {
			return nil, false
		}
		c.open = append(c.open, best)
	}
	return best, best.heard > 0
}

// run dials, then reads until the connection ends or has been idle for long.
func (s *stream) run() {
	defer close(s.lost)
	defer s.retire()
	ctx, cancel := context.WithTimeout(s.pool.life, s.pool.patient)
	defer cancel()
	s.conn, s.fault = s.pool.dial(ctx)
	close(s.ready)
	if s.fault != nil {
		return
	}
	defer s.conn.Close()
	defer context.AfterFunc(s.pool.life, func() { s.conn.Close() })()
	in := bufio.NewReader(s.conn)
	for {
		if s.conn.SetReadDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		message, err := readFrame(in)
		var quiet net.Error
		if errors.As(err, &quiet) && quiet.Timeout() && s.busy() {
			continue // nothing of a frame can have been read: they come in one piece, or the rest fails below
		}
		if err != nil {
			return
		}
		s.deliver(message)
	}
}

// busy reports whether anything waits; if not, nothing can any more.
func (s *stream) busy() bool {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.retired = s.retired || len(s.waiting) == 0
	return len(s.waiting) > 0
}

func (s *stream) retire() {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	s.retired = true
	if i := slices.Index(s.pool.open, s); i >= 0 {
		s.pool.open = slices.Delete(s.pool.open, i, i+1)
	}
}

func (s *stream) deliver(message []byte) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if !isReply(message) {
		s.pool.meter.drop(dropHeader)
		return
	}
	id := messageID(message)
	w := s.waiting[id]
	switch {
	case w == nil:
		s.pool.meter.drop(dropUnexpected)
	case !answersQuestion(message, w.packet, w.end):
		s.pool.meter.drop(dropQuestion)
	default:
		delete(s.waiting, id)
		s.heard++
		w.answer <- message
		s.rest()
	}
}

// rest closes a connection that has nothing more to do. The caller holds pool.mu.
func (s *stream) rest() {
	if s.retired && len(s.waiting) == 0 {
		s.conn.Close()
	}
}

// exchange returns errUnreachable when the connection is lost.
func (s *stream) exchange(ctx context.Context, q *query) error {
	w, id, ok := s.enter(q)
	if !ok {
		return errUnreachable
	}
	defer s.leave(id, w)
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, maxPacket+2), uint16(len(w.packet)))
	if err := s.write(ctx, append(framed, w.packet...)); err != nil {
		return err
	}
	select {
	case message := <-w.answer:
		q.answer = append(q.answer[:0], message...)
		return nil
	case <-s.lost:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case message := <-w.answer: // the last thing that came
		q.answer = append(q.answer[:0], message...)
		return nil
	default:
		return errUnreachable
	}
}

func (s *stream) write(ctx context.Context, frame []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err // nothing is sent for who has gone
	}
	deadline, _ := ctx.Deadline()
	if s.conn.SetWriteDeadline(deadline) == nil {
		if _, err := s.conn.Write(frame); err == nil {
			return nil
		}
	}
	s.conn.Close() // what was written of a frame cannot be taken back
	return errUnreachable
}

// enter puts a copy of q among the waiting, under a free ID.
func (s *stream) enter(q *query) (*streamed, uint16, bool) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.retired {
		return nil, 0, false
	}
	w := &streamed{packet: slices.Clone(q.packet), end: q.end, answer: make(chan []byte, 1)}
	for {
		_, _ = rand.Read(w.packet[:2]) // never fails, by its documentation
		if id := messageID(w.packet); s.waiting[id] == nil {
			s.waiting[id] = w
			return w, id, true
		}
	}
}

// leave takes w back. A connection that is silent from then on is not given
// another query.
func (s *stream) leave(id uint16, w *streamed) {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if s.waiting[id] == w {
		delete(s.waiting, id)
		s.retired = true
		s.rest()
	}
}

func readFrame(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(head))
	_, _ = in.Discard(2) // just peeked
	if _, err := io.ReadFull(in, message); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return message, nil
}
