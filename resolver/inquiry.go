package resolver

import (
	"context"
	"errors"
	"slices"

	"github.com/miekg/dns"
)

// outcome is what all tries for one question came to.
type outcome struct {
	reply
	reason string // empty for NOERROR
	server string
}

// proves reports whether the name exists by what it came to, though nothing
// settled the question: the name is delegated, or an alias.
func (o *outcome) proves() bool { return len(o.delegated) > 0 || o.alias }

// settled reports whether the question has its answer: NOERROR or NXDOMAIN.
func settled(rcode int) bool { return rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError }

// From so many attempts on, the last goes over TCP: it gets through where
// datagrams are lost or filtered. With fewer, none is spent on a server that
// may not offer it.
const attemptsForTCP = 3

// inquiry is one question on its way through its tries.
type inquiry struct {
	talk *talk
	r    *Resolver
	ctx  context.Context
	name string
	kind Type
	out  outcome
	done bool // out settles the question

	queue       []*upstream // still worth asking; may be shared, so it is never changed in place
	next        int         // in queue
	attempts    int
	unanswered  int
	excused     int       // unanswered tries that do not count
	refusedEDNS *upstream // has answered with a code that refuses EDNS
	plainCase   bool      // no random case: the server does not keep it, and has no TCP

	tries   *query // what is to be taken back, the latest first
	current *query // the latest try; nil when its outcome asks for the next
	stop    context.CancelFunc
}

// proceed makes tries until one is on its way, or none is to follow: then
// current is nil.
func (in *inquiry) proceed() error {
	for !in.done && in.current == nil && in.unanswered < in.attempts && len(in.queue) > 0 {
		if err := in.attempt(); err != nil {
			return err
		}
	}
	return nil
}

// attempt makes the next try.
func (in *inquiry) attempt() error {
	if in.next >= len(in.queue) {
		in.next = 0
	}
	u := in.queue[in.next]
	overTCP := in.unanswered == in.attempts-1 && in.attempts >= attemptsForTCP && u.offersTCP(in.r.clock())
	if in.unanswered+in.excused > 0 {
		u.meter.retransmissions.Add(1)
	}
	return in.send(u, overTCP, u.wantsEDNS())
}

// send puts a query for the question on its way.
func (in *inquiry) send(u *upstream, overTCP, edns bool) error {
	r := in.r
	l, err := u.open(in.ctx)
	if err != nil {
		if err := r.ended(in.ctx); err != nil {
			return err
		}
		in.failed(u, u.String(), errUnreachable)
		return nil
	}
	q := r.queries.Get().(*query)
	if err := q.set(in.name, in.kind, edns); err != nil {
		r.queries.Put(q)
		in.out.reason, in.queue, in.current = ReasonInvalidName, nil, nil // of any server
		return nil
	}
	q.ctx, q.try, q.server, q.text = in.ctx, in.unanswered, u, l.text
	q.edns, q.streamed, q.flow = edns, overTCP || l.flow == nil, l.flow
	q.asker, q.box = in, in.talk.box
	q.older, in.tries, in.current = in.tries, q, q
	if !q.streamed {
		q.mixed = u.wantsMixed() && !in.plainCase
		l.flow.start(q)
		return nil
	}
	ctx, stop := context.WithCancel(in.ctx)
	if in.stop != nil {
		in.stop() // an earlier one of the same question
	}
	in.stop = stop
	in.talk.streaming++
	go func() { q.box.put(event{q, l.overStream(ctx, q, r.cfg.Timeout)}) }()
	return nil
}

// heard decides what follows from an event.
func (in *inquiry) heard(e event) error {
	q, u := e.q, e.q.server
	if e.err == nil {
		return in.answered(q, u)
	}
	if q != in.current {
		return nil // overdue already, and now it is certain that nothing comes
	}
	switch {
	case errors.Is(e.err, errCase):
		u.caseLost.Add(1)
		fallthrough
	case errors.Is(e.err, errForged):
		if u.offersTCP(in.r.clock()) {
			return in.send(u, true, u.wantsEDNS())
		}
		in.plainCase = in.plainCase || errors.Is(e.err, errCase)
		in.failed(u, q.text, errMalformed)
	case errors.Is(e.err, errTimeout):
		if q.streamed {
			u.meter.timeouts.Add(1)
		}
		in.failed(u, q.text, e.err)
		if !q.streamed && in.excused < in.attempts && q.flow.ownLoss(q.sent) {
			in.unanswered--
			in.excused++
		}
	default:
		wait := u.firstWait()
		in.failed(u, q.text, e.err)
		if q.streamed && q.flow != nil && errors.Is(e.err, errUnreachable) && in.excused < in.attempts {
			in.unanswered-- // there is no TCP: a datagram instead
			in.excused++
		} else if errors.Is(e.err, errUnreachable) && in.next >= len(in.queue) && in.unanswered < in.attempts {
			// It answers at once; let it come back before the attempts are gone.
			// Another server is tried without delay.
			return in.r.pause(in.ctx, wait<<min(in.unanswered-1, 4))
		}
	}
	return nil
}

// failed notes that the current try brought nothing.
func (in *inquiry) failed(u *upstream, server string, err error) {
	in.current = nil
	// An error code says more than a silence, and a silence more than a last
	// try over TCP that found the port closed.
	if in.out.reason == "" || in.out.reason == ReasonUnreachable {
		in.out.reason, in.out.server = unansweredReason(err), server
	}
	in.unanswered++
	in.next++
	u.useful(false)
	in.r.opening.Lock()
	defer in.r.opening.Unlock()
	if u.breaker.failed(in.r.clock(), u.firstWait(), func() bool { return in.r.spare(u) }) {
		u.meter.opened.Add(1)
	}
}

// answered takes the answer to q, which need not be the current try.
func (in *inquiry) answered(q *query, u *upstream) error {
	u.breaker.answered(q.received)
	rep, err := unpackAnswer(q.answer, q.end, in.name, in.kind)
	if err != nil {
		if q == in.current {
			in.failed(u, q.text, err)
		}
		return nil
	}
	if q.mixed {
		u.caseKept.Add(1)
	}
	switch {
	case rep.truncated && !q.streamed:
		return in.send(u, true, q.edns)
	case q.edns && refusesEDNS(rep.rcode):
		u.meter.response(rep.rcode)
		in.refusedEDNS = u
		return in.send(u, q.streamed, false)
	case settled(rep.rcode) && in.refusedEDNS == u && !q.edns:
		u.edns.Add(1)
	}
	u.meter.response(rep.rcode)
	if settled(rep.rcode) {
		in.out = outcome{reply: rep, server: q.text}
		u.useful(true)
		in.done, in.current = true, nil
		return nil
	}
	u.useful(false)
	if !in.out.proves() {
		in.out = outcome{reply: rep, server: q.text, reason: rcodeName(rep.rcode)}
	}
	if i := slices.Index(in.queue, u); i >= 0 {
		in.queue = without(in.queue, u)
		if in.next > i {
			in.next--
		}
	}
	if q == in.current || in.current.server == u {
		in.current = nil
	}
	return nil
}

// takeBack ends the tries; those over connections have ended. No event of them
// comes any more.
func (in *inquiry) takeBack() {
	alone := in.done && in.tries.older == nil // its answer was its last event
	for q := in.tries; q != nil; {
		if !alone && !q.streamed {
			q.flow.cancel(q)
		}
		older := q.older
		q.older, q.asker, q.box = nil, nil, nil
		in.r.queries.Put(q)
		q = older
	}
}

func unansweredReason(err error) string {
	switch {
	case errors.Is(err, errTimeout):
		return ReasonTimeout
	case errors.Is(err, errMalformed):
		return ReasonMalformed
	}
	return ReasonUnreachable
}
