package resolver

import (
	"context"
	"errors"
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

// ask puts one question to the upstreams, in the order of their health, until
// one settles it or the attempts are used up. It returns an error only when the
// context or the resolver has ended.
func (r *Resolver) ask(ctx context.Context, name string, t Type) (outcome, error) {
	out := outcome{reply: reply{rcode: rcodeNone}}
	queue := r.order()
	for unanswered, next := 0, 0; unanswered < r.cfg.Attempts && len(queue) > 0; {
		if next >= len(queue) {
			next = 0
		}
		u := queue[next]
		overTCP := unanswered == r.cfg.Attempts-1 && r.cfg.Attempts >= attemptsForTCP
		wait := u.rto.timeout(unanswered, r.cfg.Timeout)
		if unanswered > 0 {
			r.meter.retransmissions.Inc()
		}
		rep, server, err := u.exchange(ctx, name, t, overTCP, wait)
		if r.life.Err() != nil {
			return out, ErrClosed
		}
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		u.note(err == nil)
		if err == nil {
			r.meter.response(rep.rcode)
			out = outcome{reply: rep, server: server}
			if settled(rep.rcode) {
				return out, nil
			}
			out.reason = rcodeName(rep.rcode)
			queue = without(queue, next)
			continue
		}
		if errors.Is(err, errTimeout) {
			r.meter.timeouts.Inc()
		}
		// An error code says more than a silence, and a silence more than a
		// last try over TCP that found the port closed.
		if out.reason == "" || out.reason == ReasonUnreachable {
			out.reason, out.server = unansweredReason(err), server
		}
		unanswered++
		next++
		// An unreachable server answers at once; let it come back before the
		// attempts are gone. Another server is tried without delay.
		if errors.Is(err, errUnreachable) && next >= len(queue) && unanswered < r.cfg.Attempts {
			if err := r.pause(ctx, wait); err != nil {
				return out, err
			}
		}
	}
	return out, nil
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

// order returns the active upstreams, healthy ones first, each group beginning
// with another one every time.
func (r *Resolver) order() []*upstream {
	active := *r.active.Load()
	if len(active) == 1 {
		return active
	}
	now := r.clock()
	start := int(r.turn.Add(1) % uint32(len(active)))
	queue := make([]*upstream, 0, len(active))
	var late []*upstream
	for i := range active {
		u := active[(start+i)%len(active)]
		if u.healthy(now) {
			queue = append(queue, u)
		} else {
			late = append(late, u)
		}
	}
	return append(queue, late...)
}

// without returns queue less one element, in memory of its own: the queue may
// be the shared list.
func without(queue []*upstream, i int) []*upstream {
	rest := make([]*upstream, 0, len(queue)-1)
	return append(append(rest, queue[:i]...), queue[i+1:]...)
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
