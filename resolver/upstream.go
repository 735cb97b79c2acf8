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
	// So many refusals of EDNS with success without it, and EDNS stays off.
	ednsFaultLimit = 3
	// So many answers whose question came back in another case, unless far more
	// came back as they were, and the case is random no longer.
	caseFaultLimit = 3
	caseFaultShare = 16
	// A refused TCP connection is not tried again so soon.
	noTCPTime = time.Minute
)

// upstream is one configured nameserver and what has been learnt about it.
type upstream struct {
	endpoint
	resolver *Resolver
	meter    *meter
	breaker  breaker

	link    atomic.Pointer[link] // nil until first used
	opening sync.Mutex
	told    string // what Check last logged about it; under Resolver.checking

	edns      atomic.Int32  // refusals of EDNS
	caseKept  atomic.Uint64 // answers that repeat the letters' case
	caseLost  atomic.Uint64 // answers that do not
	noTCP     atomic.Int64  // until then TCP is not tried; 0 for never refused
	faults    atomic.Uint64 // smoothed share of useless tries, in units of 2^-16
	streamRTT atomic.Int64  // smoothed time of an exchange over a connection
}

// link is what leads to one address: datagrams, and connections for what those
// cannot do. An upstream without datagrams has no flow.
type link struct {
	upstream *upstream
	addr     netip.AddrPort
	text     string // of addr
	flow     *flow
	stream   carrier
}

// connect opens a link to one address of u.
func (u *upstream) connect(addr netip.AddrPort) (*link, error) {
	r := u.resolver
	l := &link{upstream: u, addr: addr, text: addr.String()}
	switch u.scheme {
	case schemeTLS:
		l.text, l.stream = u.String(), newStreams(u, r.cfg.Timeout, u.dialTLS(addr))
		return l, nil
	case schemeHTTPS:
		l.text, l.stream = u.String(), u.newRequests(addr)
		return l, nil
	}
	flow, err := openFlow(addr, u)
	if err != nil {
		return nil, err
	}
	l.flow = flow
	l.stream = newStreams(u, r.cfg.Timeout, func(ctx context.Context) (net.Conn, error) {
		if r.cfg.dialTCP != nil {
			return r.cfg.dialTCP()
		}
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.text)
	})
	return l, nil
}

// exchange makes one try that waits for timeout, over a connection if overTCP or
// if the link has no datagrams. On nil q.answer is a reply to exactly that
// question. Otherwise it returns errTimeout, errUnreachable, errMalformed,
// ErrClosed, errForged or the context's error.
func (l *link) exchange(ctx context.Context, q *query, overTCP bool, timeout time.Duration) error {
	if l.flow == nil || overTCP {
		return l.overStream(ctx, q, timeout)
	}
	box := newMailbox()
	q.ctx, q.box, q.fixed, q.patience = ctx, box, true, timeout
	l.flow.start(q)
	var err error
	select {
	case <-box.wake:
		err = box.take().err
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.flow.cancel(q)
	return err
}

// overStream makes one try over a connection.
func (l *link) overStream(ctx context.Context, q *query, timeout time.Duration) error {
	u := l.upstream
	if err := u.resolver.pace.wait(ctx, u.resolver.life); err != nil {
		return err
	}
	if l.flow != nil {
		u.meter.tcp.Add(1)
	}
	u.meter.query(q.kind)
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	q.sent = u.resolver.clock()
	err := l.stream.exchange(timed, q)
	q.received = u.resolver.clock()
	switch {
	case err == nil:
		u.meter.roundTrip(q.received - q.sent)
		took, old := int64(q.received-q.sent), u.streamRTT.Load()
		if old != 0 {
			took = old + (took-old)/8
		}
		u.streamRTT.Store(max(took, 1)) // a race loses a sample
	case l.flow != nil && errors.Is(err, errUnreachable):
		u.noTCP.Store(int64(q.received + noTCPTime))
	}
	return err
}

func (l *link) close() {
	l.stream.close()
	if l.flow != nil {
		l.flow.close()
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

// wantsEDNS reports whether queries to u carry EDNS.
func (u *upstream) wantsEDNS() bool { return u.edns.Load() < ednsFaultLimit }

// wantsMixed reports whether queries to u have letters in random case.
func (u *upstream) wantsMixed() bool {
	lost := u.caseLost.Load()
	return lost < caseFaultLimit || lost*caseFaultShare < u.caseKept.Load()
}

// offersTCP reports whether u is not known to refuse TCP.
func (u *upstream) offersTCP(now time.Duration) bool { return int64(now) >= u.noTCP.Load() }

// useful smooths the share of tries that brought nothing: silence, or a code
// that says no more than that this server does not help.
func (u *upstream) useful(yes bool) {
	const one, weight = 1 << 16, 64
	old := u.faults.Load()
	if yes && old == 0 {
		return
	}
	target := uint64(one)
	if yes {
		target = 0
	}
	u.faults.Store((old*(weight-1) + target) / weight) // a race loses a sample
}

// cost is what a question to u takes: the smoothed round trip, more when a
// quarter of its window is in use, much more when it often brings nothing.
func (u *upstream) cost() float64 {
	const least = float64(time.Millisecond) // faster than that, all are alike
	rtt, load := u.state()
	if rtt == 0 {
		return 0 // find out
	}
	share := float64(u.faults.Load()) / (1 << 16)
	return max(float64(rtt), least) * (1 + 8*max(0, load-0.25)) * (1 + 50*share)
}

// state returns the smoothed round trip, 0 if it is not known, and how full the
// window is.
func (u *upstream) state() (srtt time.Duration, load float64) {
	if l := u.link.Load(); l != nil && l.flow != nil {
		return l.flow.state()
	}
	return time.Duration(u.streamRTT.Load()), 0
}

// firstWait is how long a first try waits for its answer.
func (u *upstream) firstWait() time.Duration {
	limit := u.resolver.cfg.Timeout
	if l := u.link.Load(); l != nil && l.flow != nil {
		return l.flow.wait(0)
	}
	return min(max(4*time.Duration(u.streamRTT.Load()), firstRTO), limit)
}

func refusesEDNS(rcode int) bool {
	return rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented || rcode == dns.RcodeBadVers
}
