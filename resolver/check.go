package resolver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// canaryTime is the patience of Check for one address, Config.Timeout if that
// is longer, up to maxCanaryTime. A second try follows the first after a quarter of it, and either's
// answer counts until the end. The other port is tried beside it after half of
// it, and used only if the first stays silent.
const (
	canaryTime    = 2 * time.Second
	maxCanaryTime = 10 * time.Second // a start must not wait longer
)

// CheckError says that no nameserver can be used.
type CheckError struct {
	Upstreams []UpstreamFault
}

// UpstreamFault is why one nameserver cannot be used.
type UpstreamFault struct {
	Upstream string // host:port as configured
	Reason   string
	Lies     bool // it answers, but not the truth
	Denies   bool // in particular, that Config.CanaryExists does not exist
	Distrust bool // its certificate was not accepted
}

func (f UpstreamFault) lies() bool     { return f.Lies }
func (f UpstreamFault) denies() bool   { return f.Denies }
func (f UpstreamFault) distrust() bool { return f.Distrust }

func (e *CheckError) Error() string {
	var b strings.Builder
	b.WriteString("no nameserver answers")
	if slices.ContainsFunc(e.Upstreams, UpstreamFault.lies) {
		b.Reset()
		b.WriteString("no nameserver can be used")
	}
	for i, f := range e.Upstreams {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		fmt.Fprintf(&b, "%s: %s", f.Upstream, f.Reason)
	}
	return b.String()
}

// Hint says what to do about it.
func (e *CheckError) Hint() string {
	switch {
	case slices.ContainsFunc(e.Upstreams, UpstreamFault.denies):
		return "if your nameservers know only some of the DNS, name a domain that they do know with --canary-exists or CANARY_EXISTS; else name another nameserver with --nameservers or NAMESERVERS"
	case slices.ContainsFunc(e.Upstreams, UpstreamFault.distrust):
		return "a certificate must be for the host as written and from an authority that the system trusts; for another name in it write tls://ADDRESS#NAME"
	case slices.ContainsFunc(e.Upstreams, UpstreamFault.lies):
		return "some providers answer for names that do not exist; name another nameserver with --nameservers or NAMESERVERS, such as one of your own"
	}
	return "name one that answers with --nameservers or NAMESERVERS, and see that UDP and TCP to its port are not blocked"
}

// finding is what the canaries to one upstream came to.
type finding struct {
	link  *link // to what answered; nil for none
	rcode int
	fault string
	lies  bool // the fault is that it does
	// Likewise; see UpstreamFault.
	denies, distrust bool
}

// Check asks every configured nameserver for the NS records of a name that
// exists (Config.CanaryExists) and for the address of one that does not (a
// random one below Config.CanaryAbsent), all at a time, and returns within one
// and a half times Config.Timeout (2 s at least, 10 s at most), and 2 s for the look-up of
// host names. A server that gives no answer, says that the first does not
// exist or that the second does, is left out until the next Check, with a
// warning; when none is left the error is a *CheckError, and nothing changes.
// An answer with an error code is no reason to leave a server out. A server
// with another port than 53 that answers on port 53 only is used there, with
// one warning. Check may be called again at any time: it warns of changes only.
func (r *Resolver) Check(ctx context.Context) error {
	r.checking.Lock()
	defer r.checking.Unlock()
	found := make([]finding, len(r.all))
	var wg sync.WaitGroup
	for i, u := range r.all {
		wg.Go(func() { found[i] = u.inspect(ctx) })
	}
	wg.Wait()
	if err := r.ended(ctx); err != nil {
		for i, u := range r.all {
			u.release(found[i].link)
		}
		return err
	}
	var alive []*upstream
	var faults []UpstreamFault
	helpful := false // some server does more than refuse
	for i, u := range r.all {
		f := found[i]
		if f.link == nil {
			faults = append(faults, UpstreamFault{u.String(), f.fault, f.lies, f.denies, f.distrust})
			continue
		}
		u.adopt(f.link)
		u.breaker.reset(r.clock())
		alive = append(alive, u)
		helpful = helpful || settled(f.rcode)
	}
	if len(alive) == 0 {
		return &CheckError{faults}
	}
	r.active.Store(&alive)
	for i, u := range r.all {
		r.tell(u, found[i], helpful)
	}
	return nil
}

// tell logs what is new about an upstream.
func (r *Resolver) tell(u *upstream, f finding, helpful bool) {
	var news string
	log := r.cfg.Log.Warn
	args := []any{"nameserver", u.String()}
	switch {
	case f.lies:
		news = "nameserver left out, its answers are not true"
		args = append(args, "reason", f.fault)
	case f.link == nil:
		news = "nameserver left out, it does not answer"
		args = append(args, "reason", f.fault)
	case f.link.addr.Port() != u.port:
		news = fmt.Sprintf("nameserver answers on port %d only, using that", f.link.addr.Port())
		args = append(args, "using", f.link.addr.String())
	case !settled(f.rcode):
		news = "nameserver does not answer the test query, kept"
		args = append(args, "rcode", rcodeName(f.rcode))
		if helpful {
			log = r.cfg.Log.Info
		}
	case u.told != "":
		news, log = "nameserver answers again", r.cfg.Log.Info
	}
	if news == u.told {
		return
	}
	log(news, args...)
	if u.told = news; f.link != nil && f.link.addr.Port() == u.port && settled(f.rcode) {
		u.told = ""
	}
}

// ended returns why work is to stop, if it is.
func (r *Resolver) ended(ctx context.Context) error {
	if r.life.Err() != nil {
		return ErrClosed
	}
	return ctx.Err()
}

// inspect looks for an address of u that answers: first on the port that was
// asked for, else on port 53.
func (u *upstream) inspect(ctx context.Context) finding {
	addrs, err := u.addresses(ctx)
	if err != nil {
		return finding{fault: "its address cannot be looked up: " + cause(err)}
	}
	wanted := u.canaries(ctx, addrs, u.port)
	other := u.resolver.cfg.fallbackPort
	if u.port == other || u.scheme != schemeDNS {
		return <-wanted
	}
	patience := time.NewTimer(u.resolver.cfg.patience / 2)
	defer patience.Stop()
	var first finding
	answered := false
	select {
	case first = <-wanted:
		if first.link != nil || first.lies {
			return first
		}
		answered = true
	case <-patience.C:
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fallback := u.canaries(ctx, addrs, other)
	if !answered {
		first = <-wanted
	}
	if first.link != nil || first.lies {
		cancel()
		u.release((<-fallback).link)
		return first
	}
	second := <-fallback
	if second.link == nil {
		second.fault = fmt.Sprintf("%s; on port %d: %s", first.fault, other, second.fault)
	}
	return second
}

// release closes a link that will not be used.
func (u *upstream) release(l *link) {
	if l != nil && l != u.link.Load() {
		l.close()
	}
}

// canaries asks all addresses at a time and sends the first that answers, or
// what is wrong with the first of them.
func (u *upstream) canaries(ctx context.Context, addrs []netip.Addr, port uint16) <-chan finding {
	result := make(chan finding, 1)
	each := make(chan finding, len(addrs))
	ctx, cancel := context.WithCancel(ctx)
	for _, a := range addrs {
		go func() { each <- u.canary(ctx, netip.AddrPortFrom(a, port)) }()
	}
	go func() {
		defer cancel()
		var best finding
		for i := range addrs {
			f := <-each
			switch {
			case best.link != nil:
				u.release(f.link)
			case f.link != nil:
				best = f
				cancel() // the others are not needed
			case i == 0:
				best = f
			}
		}
		result <- best
	}()
	return result
}

// canary asks one address for both names, at a time.
func (u *upstream) canary(ctx context.Context, addr netip.AddrPort) finding {
	l := u.link.Load()
	if l == nil || l.addr != addr {
		var err error
		if l, err = u.connect(addr); err != nil {
			return finding{fault: cause(err)}
		}
	}
	cfg := &u.resolver.cfg
	missing := strings.ToLower(rand.Text()) + "." + cfg.CanaryAbsent // 26 letters and digits that nobody has registered
	lie := make(chan string, 1)
	go func() {
		rep, err := u.ask(ctx, l, missing, TypeA)
		switch {
		case err != nil || rep.rcode != dns.RcodeSuccess:
			lie <- ""
		case len(rep.values) > 0:
			lie <- fmt.Sprintf("it says that %s, which does not exist, has the address %s", shown(missing), rep.values[0])
		default:
			lie <- fmt.Sprintf("it says that %s exists, which does not", shown(missing))
		}
	}()
	rep, err := u.ask(ctx, l, cfg.CanaryExists, TypeNS)
	fault := <-lie
	switch {
	case err == nil && rep.rcode == dns.RcodeNameError:
		u.release(l)
		return finding{fault: fmt.Sprintf("it says that %s does not exist", shown(cfg.CanaryExists)), lies: true, denies: true}
	case fault != "":
		u.release(l)
		return finding{fault: fault, lies: true}
	case err == nil:
		return finding{link: l, rcode: rep.rcode}
	}
	u.release(l)
	if errors.Is(err, errTimeout) {
		return finding{fault: fmt.Sprintf("no answer within %v", cfg.patience)}
	}
	if errors.Is(err, errMalformed) {
		return finding{fault: "its answer is malformed"}
	}
	if detail := strings.TrimPrefix(err.Error(), errUnreachable.Error()+": "); detail != err.Error() {
		var untrusted *tls.CertificateVerificationError
		return finding{fault: detail, distrust: errors.As(err, &untrusted)}
	}
	return finding{fault: "unreachable, or nothing listens on that port"}
}

// ask puts one question, over UDP where there is a choice, and once more beside
// it if the first datagram or its answer may be lost.
func (u *upstream) ask(ctx context.Context, l *link, name string, t Type) (rep reply, err error) {
	patience := u.resolver.cfg.patience
	ctx, cancel := context.WithCancel(ctx)
	var tries sync.WaitGroup
	defer tries.Wait()
	defer cancel()
	type result struct {
		reply
		err error
	}
	results := make(chan result, 2)
	try := func(wait time.Duration) {
		tries.Go(func() {
			rep, err := u.ping(ctx, l, name, t, wait)
			results <- result{rep, err}
		})
	}
	try(patience)
	second := time.NewTimer(patience / 4)
	defer second.Stop()
	for waiting := 1; waiting > 0; {
		select {
		case <-second.C:
			waiting++
			try(patience - patience/4)
		case got := <-results:
			waiting--
			if rep, err = got.reply, got.err; !errors.Is(err, errTimeout) {
				return rep, err
			}
		}
	}
	return rep, err
}

// ping sends one canary, without EDNS so that the oldest server can answer.
func (u *upstream) ping(ctx context.Context, l *link, name string, t Type, wait time.Duration) (reply, error) {
	r := u.resolver
	q := r.queries.Get().(*query)
	defer r.queries.Put(q)
	if err := q.set(name, t, false); err != nil {
		return reply{}, err
	}
	if err := l.exchange(ctx, q, false, wait); err != nil {
		return reply{}, err
	}
	rep, err := unpackAnswer(q.answer, q.end, name, t)
	if err != nil {
		return reply{}, err
	}
	u.meter.response(rep.rcode)
	return rep, nil
}

// shown is a canonical name as people write it.
func shown(name string) string { return cmp.Or(strings.TrimSuffix(name, "."), ".") }
