package resolver

import (
	"context"
	"errors"
	"time"
)

var (
	errTimeout     = errors.New("no answer in time")
	errUnreachable = errors.New("unreachable")
	errForged      = errors.New("somebody else answers too")
	errCase        = errors.New("the letters of the question came back in another case")
)

// query is one try: a packet on its way and the place for its answer. Queries
// are reused; buffers stay with them. What is below the first group belongs to
// the flow as long as the query is in it.
type query struct {
	kind     Type
	packet   []byte          // what is sent; the flow writes the ID into it
	end      int             // of the question in packet
	answer   []byte          // the matching datagram, once an event says so
	ctx      context.Context // ended, nothing is sent any more
	try      int             // unanswered tries of the same question before
	patience time.Duration   // how long to wait at most
	fixed    bool            // wait that long, whatever the round trip is
	mixed    bool            // letters in random case, and so they must come back
	server   *upstream
	text     string // of the server's address
	flow     *flow  // nil for an upstream without datagrams
	edns     bool
	streamed bool // over a connection

	asker *inquiry // the question that it is a try of
	box   *mailbox // gets what becomes of it
	older *query   // the try of the same question before

	in         *queue // of the flow; nil when not in it
	prev, next *query
	socket     *socket
	sent       time.Duration // when it was sent; before that, when it was queued
	received   time.Duration
	strange    int  // answers with its ID to another question
	late       bool // overdue
}

func newQuery() *query {
	return &query{packet: make([]byte, 0, maxPacket), answer: make([]byte, 0, 512)}
}

// set makes q the query for name, canonical with a trailing dot.
func (q *query) set(name string, t Type, edns bool) (err error) {
	q.kind, q.try, q.patience, q.fixed, q.mixed = t, 0, 0, false, false
	q.packet, q.end, err = packQuery(q.packet, name, t, edns)
	return err
}

// queue is a list of queries, each in one at most.
type queue struct {
	first, last *query
	n           int
}

func (l *queue) push(q *query) {
	q.in, q.prev, q.next = l, l.last, nil
	if l.last == nil {
		l.first = q
	} else {
		l.last.next = q
	}
	l.last = q
	l.n++
}

func (q *query) leave() {
	l := q.in
	if q.prev == nil {
		l.first = q.next
	} else {
		q.prev.next = q.next
	}
	if q.next == nil {
		l.last = q.prev
	} else {
		q.next.prev = q.prev
	}
	q.in, q.prev, q.next = nil, nil, nil
	l.n--
}
