package resolver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	socketsPerLink = 2
	// An upstream with so many failures in a row is tried after the others,
	// except for one question a second that finds out whether it is back.
	unhealthyAfter = 3
	probeEvery     = time.Second
	// So many refusals of EDNS with success without it, and EDNS stays off.
	ednsFaultLimit = 3
)

// upstream is one configured nameserver and what has been learnt about it.
type upstream struct {
	endpoint
	resolver *Resolver

	link     atomic.Pointer[link] // nil until first used
	opening  sync.Mutex
	rto      estimator
	failures atomic.Int32 // unanswered tries in a row
	probeAt  atomic.Int64 // r.clock when an unhealthy upstream may be asked first again
	edns     atomic.Int32 // refusals of EDNS
	told     string       // what Check last logged about it; under Resolver.checking
}

// link is what leads to one address: sockets, and connections for what they
// cannot do. An upstream without datagrams has no sockets.
type link struct {
	resolver *Resolver
	addr     netip.AddrPort
	text     string // of addr
	sockets  [socketsPerLink]*socket
	stream   carrier
	turn     atomic.Uint32
}

// connect opens a link to one address of u.
func (u *upstream) connect(addr netip.AddrPort) (*link, error) {
	r := u.resolver
	l := &link{resolver: r, addr: addr, text: addr.String()}
	switch u.scheme {
	case schemeTLS:
		l.text, l.stream = u.String(), newStreams(r, r.cfg.Timeout, u.dialTLS(addr))
		return l, nil
	case schemeHTTPS:
		l.text, l.stream = u.String(), u.newRequests(addr)
		return l, nil
	}
	l.stream = newStreams(r, r.cfg.Timeout, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.text)
	})
	for i := range l.sockets {
		s, err := openSocket(addr, r)
		if err != nil {
			l.close()
			return nil, err
		}
		l.sockets[i] = s
	}
	return l, nil
}

// exchange sends q and waits for its answer, over a connection if overTCP or if
// the link has no sockets. On nil q.answer is a reply to exactly that question.
// Otherwise it returns errTimeout, errUnreachable, errMalformed, ErrClosed or
// the context's error.
func (l *link) exchange(ctx context.Context, q *query, overTCP bool, timeout time.Duration) error {
	if s := l.sockets[l.turn.Add(1)%socketsPerLink]; s != nil && !overTCP {
		return s.exchange(ctx, q, timeout)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.sockets[0] != nil {
		l.resolver.meter.tcp.Inc()
	}
	l.resolver.meter.query(q.kind)
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q.sent = l.resolver.clock()
	err := l.stream.exchange(timed, q)
	q.received = l.resolver.clock()
	return err
}

func (l *link) close() {
	l.stream.close()
	for _, s := range l.sockets {
		if s != nil {
			s.close()
		}
	}
}

// open returns the link, making it on first use. A host name is then looked up
// with the system's resolver; Check does better, as it tries every address.
func (u *upstream) open(ctx context.Context) (*link, error) {
	if l := u.link.Load(); l != nil {
		return l, nil
	}
	u.opening.Lock()
	defer u.opening.Unlock()
	if l := u.link.Load(); l != nil {
		return l, nil
	}
	addrs, err := u.addresses(ctx)
	if err != nil {
		return nil, err
	}
	l, err := u.connect(netip.AddrPortFrom(addrs[0], u.port))
	if err != nil {
		return nil, err
	}
	u.link.Store(l)
	return l, nil
}

// adopt makes l the link in use. Questions under way on the one before make
// another try.
func (u *upstream) adopt(l *link) {
	u.opening.Lock()
	defer u.opening.Unlock()
	if old := u.link.Swap(l); old != nil && old != l {
		old.close()
	}
}

const (
	lookupTime   = 2 * time.Second
	maxAddresses = 4 // of a host name
)

var errNoAddress = errors.New("the host name has no address")

func (u *upstream) addresses(ctx context.Context) ([]netip.Addr, error) {
	if u.addr.IsValid() {
		return []netip.Addr{u.addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	addrs, err := u.resolver.cfg.lookup(ctx, u.host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errNoAddress
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

// healthy reports whether u is to be tried before the unhealthy ones.
func (u *upstream) healthy(now time.Duration) bool {
	if u.failures.Load() < unhealthyAfter {
		return true
	}
	at := u.probeAt.Load()
	return int64(now) >= at && u.probeAt.CompareAndSwap(at, int64(now+probeEvery))
}

// note remembers the outcome of a try.
func (u *upstream) note(answered bool) {
	if answered {
		if u.failures.Load() != 0 {
			u.failures.Store(0)
		}
	} else if u.failures.Add(1) == unhealthyAfter {
		u.probeAt.Store(int64(u.resolver.clock() + probeEvery))
	}
}

// exchange makes one try for a question. A truncated answer is fetched again
// over TCP, an answer that refuses EDNS is asked for again without it, both
// within the same try. The address is that of the server, known even with an
// error unless it could not be looked up.
func (u *upstream) exchange(ctx context.Context, name string, t Type, overTCP bool, timeout time.Duration) (reply, string, error) {
	l, err := u.open(ctx)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return reply{}, u.String(), err
		}
		return reply{}, u.String(), errUnreachable
	}
	server := l.text
	edns := u.edns.Load() < ednsFaultLimit
	rep, err := u.try(ctx, l, name, t, edns, overTCP, timeout)
	if err == nil && edns && refusesEDNS(rep.rcode) {
		if rep, err = u.try(ctx, l, name, t, false, overTCP, timeout); err == nil && !refusesEDNS(rep.rcode) {
			u.edns.Add(1)
		}
	}
	return rep, server, err
}

func refusesEDNS(rcode int) bool {
	return rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented || rcode == dns.RcodeBadVers
}

func (u *upstream) try(ctx context.Context, l *link, name string, t Type, edns, overTCP bool, timeout time.Duration) (reply, error) {
	r := u.resolver
	q := r.queries.Get().(*query)
	defer r.queries.Put(q)
	if err := q.set(name, t, edns); err != nil {
		return reply{}, err
	}
	if !overTCP {
		if err := l.exchange(ctx, q, false, timeout); err != nil {
			return reply{}, err
		}
		u.rto.observe(q.received - q.sent)
		rep, err := unpackAnswer(q.answer, q.end, name, t)
		if err != nil || !rep.truncated {
			return rep, err
		}
	}
	if err := l.exchange(ctx, q, true, r.cfg.Timeout); err != nil {
		return reply{}, err
	}
	return unpackAnswer(q.answer, q.end, name, t)
}
