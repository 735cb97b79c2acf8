package resolver

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// outcome is what all tries for one question came to.
type outcome struct {
	reply
	reason string // empty for NOERROR
	server string
}

// settled reports whether the question has its answer: NOERROR or NXDOMAIN.
func settled(rcode int) bool { return rcode == dns.RcodeSuccess || rcode == dns.RcodeNameError }

// From so many attempts on, the last goes over TCP: it gets through where
// datagrams are lost or filtered. With fewer, none is spent on a server that
// may not offer it.
const attemptsForTCP = 3

// ask puts one question to the upstreams, the cheapest first, until one settles
// it or the attempts are used up. It returns an error only when the context or
// the resolver has ended.
//
// A try that is overdue is followed by the next, on another upstream where
// there is one, but goes on waiting: its answer counts whenever it comes before
// the end. So a short time-out costs a datagram, not the answer of a server
// that takes its time.
func (r *Resolver) ask(ctx context.Context, name string, t Type) (outcome, error) {
	return r.inquire(ctx, r.order(), r.cfg.Attempts, name, t)
}

// inquire does so with chosen upstreams, of which none may be left, and so many
// attempts.
func (r *Resolver) inquire(ctx context.Context, queue []*upstream, attempts int, name string, t Type) (outcome, error) {
	in := inquiry{r: r, ctx: ctx, name: name, kind: t, queue: queue, attempts: attempts, out: outcome{reply: reply{rcode: rcodeNone}}}
	defer in.finish()
	for !in.done && in.unanswered < in.attempts && len(in.queue) > 0 {
		if err := in.attempt(); err != nil {
			return in.out, err
		}
		for in.current != nil {
			if err := in.listen(); err != nil {
				return in.out, err
			}
		}
	}
	return in.out, nil
}

// inquiry is one question on its way through its tries.
type inquiry struct {
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

	events    chan event // of all tries
	shared    bool       // events is not the first try's own
	tries     *query     // what is to be taken back, the latest first
	current   *query     // the latest try; nil when its outcome asks for the next
	streaming int        // tries over connections under way
	stop      context.CancelFunc
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
		return err
	}
	q.ctx, q.try, q.server, q.text = in.ctx, in.unanswered, u, l.text
	q.edns, q.streamed, q.flow = edns, overTCP || l.flow == nil, l.flow
	q.events = in.mailbox(q)
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
	in.streaming++
	go func() { q.events <- event{q, l.overStream(ctx, q, r.cfg.Timeout)} }()
	return nil
}

// mailbox returns where the events of a new try go: to its own channel, but
// with more tries than one to one with room for all.
func (in *inquiry) mailbox(q *query) chan event {
	switch {
	case in.shared:
	case in.tries == nil && !q.streamed:
		in.events = q.own
	default:
		in.shared = true
		in.events = make(chan event, 4*(in.attempts+1))
		if first := in.tries; first != nil {
			first.flow.redirect(first, in.events)
		}
	}
	return in.events
}

// listen waits for what becomes of the tries.
func (in *inquiry) listen() error {
	e := <-in.events // the end of the context or the resolver makes one, too
	if e.q.streamed {
		in.streaming--
	}
	if err := in.r.ended(in.ctx); err != nil {
		return err
	}
	return in.heard(e)
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
		in.plainCase = true
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
	case !refusesEDNS(rep.rcode) && in.refusedEDNS == u && !q.edns:
		u.edns.Add(1)
	}
	u.meter.response(rep.rcode)
	in.out = outcome{reply: rep, server: q.text}
	if settled(rep.rcode) {
		u.useful(true)
		in.done, in.current = true, nil
		return nil
	}
	u.useful(false)
	in.out.reason = rcodeName(rep.rcode)
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

// finish takes back what is still on its way.
func (in *inquiry) finish() {
	if in.stop != nil {
		in.stop()
	}
	for in.streaming > 0 {
		if e := <-in.events; e.q.streamed {
			in.streaming--
		}
	}
	alone := in.done && in.tries.older == nil // its answer was its last event
	for q := in.tries; q != nil; {
		if !alone && !q.streamed {
			q.flow.cancel(q)
			q.drain()
		}
		older := q.older
		q.older = nil
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

// order returns the active upstreams that are in use, the cheapest first. Every
// so often it is another one, so that what is known of it stays true. One that
// was set aside comes first when it is time to try it again, for one question.
func (r *Resolver) order() []*upstream {
	active := *r.active.Load()
	if len(active) == 1 {
		return active
	}
	const exploreEvery = 16
	now := r.clock()
	turn := int(r.turn.Add(1))
	explore := rand.IntN(exploreEvery) == 0
	costs := make(map[*upstream]float64, len(active))
	queue := make([]*upstream, 0, len(active))
	for i := range active {
		u := active[(turn+i)%len(active)]
		yes, trial := u.breaker.admits(now)
		if !yes {
			continue
		}
		queue = append(queue, u)
		switch {
		case trial:
			costs[u] = -2
		case explore && i == 0:
			costs[u] = -1
		default:
			costs[u] = u.cost()
		}
	}
	if len(queue) == 0 {
		return active // all are set aside for the moment; better than nothing
	}
	slices.SortStableFunc(queue, func(a, b *upstream) int {
		switch {
		case costs[a] < costs[b]:
			return -1
		case costs[a] > costs[b]:
			return 1
		}
		return 0
	})
	return queue
}

// spare reports whether u is not the last upstream in use.
func (r *Resolver) spare(u *upstream) bool {
	return slices.ContainsFunc(*r.active.Load(), func(other *upstream) bool {
		return other != u && other.breaker.current() == breakerClosed
	})
}

func (r *Resolver) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.life.Done():
		return ErrClosed
	}
}
