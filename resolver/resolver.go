package resolver

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// ErrClosed is returned by a Resolver after Close.
var ErrClosed = errors.New("resolver: closed")

// Resolver asks nameservers about names. Its methods may be called from many
// goroutines at a time.
type Resolver struct {
	cfg      settings
	all      []*upstream
	active   atomic.Pointer[[]*upstream] // all, less those that Check left out
	turn     atomic.Uint32
	queries  sync.Pool
	talks    sync.Pool
	pace     *pace
	wiring   wiring
	findings *findings
	start    time.Time
	checking sync.Mutex
	opening  sync.Mutex // of breakers, one at a time: each looks whether it is the last

	life    context.Context // ends with Close
	end     context.CancelFunc
	watch   *sweeper
	running sync.WaitGroup // the sweeper, the readers, the connections

	cache     *cache
	wildcards wildcards
	parents   parents
}

// New checks the configuration and prepares the upstreams; the error is a
// *ConfigError or several, joined. Nothing is sent before Check or Resolve.
// Close stops what runs.
func New(cfg Config) (*Resolver, error) {
	set, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	r := &Resolver{
		cfg:     set,
		queries: sync.Pool{New: func() any { return newQuery() }},
		start:   time.Now(),
		pace:    newPace(set.QPS),
	}
	r.talks.New = func() any { return newTalk(r) }
	r.watch = &sweeper{wake: make(chan struct{}, 1), running: &r.running}
	r.life, r.end = context.WithCancel(context.Background())
	for _, e := range set.endpoints {
		r.all = append(r.all, &upstream{endpoint: e, resolver: r, meter: new(meter)})
	}
	r.active.Store(&r.all)
	r.wiring.portable, r.wiring.instead = set.portable, set.dial
	r.findings = newFindings()
	r.cache = newCache(set.CacheEntries, r.clock, r.findings)
	r.wildcards.parents = map[string]*wildcard{}
	r.parents = parents{zones: map[string]*parentZone{}, next: map[netip.AddrPort]time.Duration{}}
	r.running.Go(func() { r.watch.run(r.life) })
	return r, nil
}

// Close ends all work: a Resolve under way returns ErrClosed, and no goroutine
// is left when Close returns. Calling it again does nothing.
func (r *Resolver) Close() error {
	r.end()
	r.watch.closeAll()
	r.running.Wait()
	return nil
}

func (r *Resolver) clock() time.Duration { return time.Since(r.start) }

// Resolve finds out about one name: A-labels in any case, with or without a
// trailing dot. A name that cannot be asked is Unknown with ReasonInvalidName.
// The only errors are the context's and ErrClosed; whatever goes wrong with the
// servers is in the answer.
//
// The first of Config.Types decides the state; the other types are asked, all
// at a time, only about a name that exists. Such a name is then compared with
// what its parents up to its public suffix answer for any name, and asked about on
// a second nameserver, if there is one; neither changes the state. With Config.CacheEntries the
// answer may be as old as its TTL, at most an hour.
func (r *Resolver) Resolve(ctx context.Context, name string) (a Answer, err error) {
	fqdn, ok := canonicalName(name)
	if !ok || fqdn == "." {
		return Answer{Name: name, Reason: ReasonInvalidName}, nil
	}
	if r.cfg.CacheEntries == 0 {
		_, err = r.find(ctx, fqdn, &a)
		return a, err
	}
	e, err := r.cache.claim(ctx, strings.TrimSuffix(fqdn, "."), &a)
	if e == nil {
		return a, err
	}
	keep, err := r.find(ctx, fqdn, &a)
	r.cache.settle(e, &a, keep, err)
	return a, err
}

// find finds out everything about a canonical name, and for how long that may
// be kept. After an error a is empty.
func (r *Resolver) find(ctx context.Context, fqdn string, a *Answer) (keep time.Duration, err error) {
	keep, err = r.look(ctx, fqdn, a)
	switch {
	case err != nil:
	case a.State == Unknown && r.cfg.AskParent:
		keep, err = r.settle(ctx, fqdn, a)
	case a.State == Registered:
		if err = r.confirm(ctx, fqdn, a); err == nil {
			a.Wildcard, err = r.standsIn(ctx, a)
		}
	}
	if err != nil {
		*a = Answer{}
		return 0, err
	}
	if a.Wildcard != "" {
		r.findings.wildcards.Inc()
	}
	return keep, nil
}

// look asks for every type and puts the answers into a as they are.
func (r *Resolver) look(ctx context.Context, fqdn string, a *Answer) (keep time.Duration, err error) {
	k := r.talks.Get().(*talk)
	defer r.talks.Put(k)
	if err := k.ask(ctx, fqdn, r.cfg.Types[:1]); err != nil {
		return 0, err
	}
	first := &k.asked[0].out
	a.Name, a.RCode, a.Reason, a.Server = strings.TrimSuffix(fqdn, "."), rcodeName(first.rcode), first.reason, first.server
	a.add(r.cfg.Types[0], first)
	ttl := first.ttl
	switch {
	case first.rcode == dns.RcodeNameError && first.alias:
		// The code is about the last name of the chain (RFC 6604 section 3).
		// The other types lead to the same missing name.
		a.State, a.Reason = Registered, ReasonDangling
	case first.rcode == rcodeReferral:
		a.RCode = rcodeName(dns.RcodeSuccess)
		if len(first.delegated) > 0 {
			a.delegate(first.delegated, r.cfg.Types)
		}
	case first.rcode == dns.RcodeNameError:
		a.State, a.Reason = Absent, ReasonNXDomain
	case first.alias && !settled(first.rcode):
		// As above, but where the chain leads is broken.
		a.State, a.Reason, ttl = Registered, ReasonAliasFails, 0
		for _, t := range r.cfg.Types {
			a.Incomplete = append(a.Incomplete, t.String())
		}
	case first.rcode == dns.RcodeSuccess:
		a.State = Registered
		others, err := k.complete(ctx, fqdn, a)
		if err != nil {
			return 0, err
		}
		if ttl = min(ttl, others); len(a.Incomplete) > 0 {
			ttl = 0 // better luck next time
		} else if a.empty() {
			a.Reason = ReasonNoData
		}
	}
	return time.Duration(ttl) * time.Second, nil
}

// complete asks the types after the first and adds what they bring. It returns
// the least TTL of them.
func (k *talk) complete(ctx context.Context, fqdn string, a *Answer) (uint32, error) {
	rest := k.r.cfg.Types[1:]
	if err := k.ask(ctx, fqdn, rest); err != nil {
		return 0, err
	}
	ttl := uint32(math.MaxUint32)
	for i, t := range rest {
		if out := &k.asked[i].out; settled(out.rcode) {
			a.add(t, out)
			ttl = min(ttl, out.ttl)
		} else {
			a.Incomplete = append(a.Incomplete, t.String())
		}
	}
	return ttl, nil
}
