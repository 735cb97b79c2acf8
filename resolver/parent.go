package resolver

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	maxParents     = 8 // zones above a name that are looked for
	parentPort     = 53
	parentServers  = 4                     // of one zone that are remembered
	parentTries    = 2                     // of them that are asked about one name
	parentInterval = 50 * time.Millisecond // between two questions to one server
	parentQueue    = 2 * time.Second       // a question that would have to wait longer is not asked
	parentTime     = time.Second           // for an answer
	parentKeep     = time.Hour             // for which a zone's servers are remembered
	parentRetry    = time.Minute           // likewise, when there are none to ask
	delegatedKeep  = 5 * time.Minute       // for which an answer of a parent is kept
	maxZones       = 1024                  // that are remembered
)

// parents finds and asks the servers of the zones that names are delegated
// from. Together all questions to one server are at most 20 a second, and so
// at most 20 in flight.
type parents struct {
	mu    sync.Mutex
	zones map[string]*parentZone
	next  map[netip.AddrPort]time.Duration // when a server may be asked again
}

// parentZone is what is known about the zone that names directly below some
// name belong to. Who holds turn looks for its servers.
type parentZone struct {
	turn    chan struct{}
	until   time.Duration
	servers []netip.AddrPort
	first   int // whom the next name is asked of
}

// settle asks the parent's servers about a name that is unknown, and fills in a
// if they know: a delegation (RFC 1034 section 4.3.2 step 3b) means that it is
// registered, even if every server it is delegated to is broken; an
// authoritative NXDOMAIN that it is absent. It returns for how long that may be
// kept. Servers at addresses that are none of the public Internet are not
// asked: anybody can name those for a zone. The only errors are those of
// Resolve.
func (r *Resolver) settle(ctx context.Context, fqdn string, a *Answer) (time.Duration, error) {
	servers, err := r.parents.of(ctx, r, a.Name)
	if err != nil {
		return 0, err
	}
	for _, server := range servers {
		wait, ok := r.parents.reserve(server, r.clock())
		if !ok {
			r.findings.asked(parentDeclined)
			continue
		}
		if err := r.pause(ctx, wait); err != nil {
			return 0, err
		}
		if err := r.pace.wait(ctx, r.life); err != nil {
			return 0, err
		}
		m := r.askServer(ctx, server, fqdn)
		if err := r.ended(ctx); err != nil {
			return 0, err
		}
		switch hosts := delegation(m, fqdn); {
		case len(hosts) > 0:
			r.findings.asked(parentDelegated)
			a.RCode, a.Server = rcodeName(m.Rcode), server.String()
			a.delegate(hosts, r.cfg.Types)
			return delegatedKeep, nil
		case m != nil && m.Authoritative && m.Rcode == dns.RcodeNameError && len(m.Answer) == 0:
			r.findings.asked(parentAbsent)
			*a = absent(a.Name, server.String())
			return delegatedKeep, nil
		}
		r.findings.asked(parentUnsettled)
	}
	return 0, nil
}

// delegation returns the hosts that m delegates exactly fqdn to.
func delegation(m *dns.Msg, fqdn string) []string {
	if m == nil || m.Rcode != dns.RcodeSuccess {
		return nil
	}
	var hosts []string
	for _, rr := range append(m.Answer, m.Ns...) { // the answer section if the server serves the child too
		if ns, ok := rr.(*dns.NS); ok && strings.EqualFold(ns.Hdr.Name, fqdn) {
			if host := hostText(ns.Ns); host != "" {
				hosts = append(hosts, host)
			}
		}
	}
	return tidy(hosts)
}

// of returns the servers to ask about name, parentTries at most.
func (p *parents) of(ctx context.Context, r *Resolver, name string) ([]netip.AddrPort, error) {
	_, above, _ := strings.Cut(name, ".")
	p.mu.Lock()
	z := p.zones[above]
	if z == nil {
		if len(p.zones) >= maxZones {
			for other := range p.zones { // any one: it can be found out again
				delete(p.zones, other)
				break
			}
		}
		z = &parentZone{turn: make(chan struct{}, 1)}
		p.zones[above] = z
	}
	p.mu.Unlock()
	select {
	case z.turn <- struct{}{}:
		defer func() { <-z.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if z.until <= r.clock() {
		servers, err := r.findParent(ctx, above)
		if err != nil {
			return nil, err
		}
		z.servers, z.until = servers, r.clock()+parentKeep
		if len(servers) == 0 {
			z.until = r.clock() + parentRetry
		}
	}
	var chosen []netip.AddrPort
	for i := range min(parentTries, len(z.servers)) {
		chosen = append(chosen, z.servers[(z.first+i)%len(z.servers)])
	}
	z.first++
	return chosen, nil
}

// reserve returns how long to wait before server may be asked; false if that
// would be too long.
func (p *parents) reserve(server netip.AddrPort, now time.Duration) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.next) >= maxZones*parentServers {
		for other, at := range p.next {
			if at <= now {
				delete(p.next, other)
			}
		}
	}
	at := max(now, p.next[server])
	if at-now > parentQueue {
		return 0, false
	}
	p.next[server] = at + parentInterval
	return at - now, true
}

// findParent looks for the zone that name is in or the top of, upwards, and
// returns addresses of its servers.
func (r *Resolver) findParent(ctx context.Context, name string) ([]netip.AddrPort, error) {
	for range maxParents {
		o, err := r.ask(ctx, name+".", TypeNS)
		if err != nil {
			return nil, err
		}
		if o.rcode != dns.RcodeSuccess {
			return nil, nil
		}
		if len(o.values) > 0 && !o.alias {
			return r.addressesOf(ctx, o.values)
		}
		if name == "" {
			return nil, nil
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return nil, nil
}

func (r *Resolver) addressesOf(ctx context.Context, hosts []string) ([]netip.AddrPort, error) {
	var servers []netip.AddrPort
	for _, t := range []Type{TypeA, TypeAAAA} {
		for _, host := range hosts[:min(len(hosts), parentServers)] {
			if _, ok := canonicalName(host); !ok {
				continue
			}
			o, err := r.ask(ctx, host+".", t)
			if err != nil {
				return nil, err
			}
			for _, text := range o.values {
				if addr, err := netip.ParseAddr(text); err == nil {
					if server, ok := r.cfg.parentAddr(addr); ok && len(servers) < parentServers {
						servers = append(servers, server)
					}
				}
			}
		}
		if len(servers) > 0 {
			break // no IPv6 where IPv4 does
		}
	}
	return servers, nil
}

// publicServer is where a zone's server at addr is asked, if it may be.
func publicServer(addr netip.Addr) (netip.AddrPort, bool) {
	return netip.AddrPortFrom(addr, parentPort), !specialAddress(addr)
}

// askServer asks for the NS records of fqdn without recursion, over a socket of
// its own: the port is as random as the ID. It returns nil for no answer.
func (r *Resolver) askServer(ctx context.Context, server netip.AddrPort, fqdn string) *dns.Msg {
	packet, end, err := packQuery(nil, fqdn, TypeNS, true)
	if err != nil {
		return nil
	}
	packet[2] &^= bitRD
	_, _ = rand.Read(packet[:2]) // never fails, by its documentation
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", server.String())
	if err != nil {
		return nil
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer context.AfterFunc(r.life, func() { conn.Close() })()
	if conn.SetDeadline(time.Now().Add(min(parentTime, r.cfg.Timeout))) != nil {
		return nil
	}
	if _, err := conn.Write(packet); err != nil {
		return nil
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil
		}
		b := buf[:n]
		if !isReply(b) || messageID(b) != messageID(packet) || !answersQuestion(b, packet, end) {
			continue // late, or forged
		}
		m := new(dns.Msg)
		if m.Unpack(b) != nil {
			return nil // cut, or not a message
		}
		return m
	}
}
