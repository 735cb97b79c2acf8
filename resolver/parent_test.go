package resolver

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// withParent returns a resolver that asks upstream, and finds the servers of
// parent zones at 192.0.2.n: the n-th of servers.
func withParent(t *testing.T, upstream *resolvertest.Server, servers ...*resolvertest.Server) *Resolver {
	t.Helper()
	r, err := New(Config{
		Upstreams: []string{upstream.Addr()}, AskParent: true, Timeout: 200 * time.Millisecond, Attempts: 2,
		parentAddr: func(a netip.Addr) (netip.AddrPort, bool) {
			n := int(a.As4()[3])
			if n >= len(servers) {
				return netip.AddrPort{}, false
			}
			return netip.MustParseAddrPort(servers[n].Addr()), true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// What a resolver sees of the zone in, whose names below are broken.
const lameUpstream = `
in.           SOA ns.in. h.in. 1 2 3 4 300
in.           NS  ns0.registry.example.
ns0.registry.example. A 192.0.2.0
co.in.        TXT "part of the zone in"
works.in.     A   192.0.2.80
;! lame.in.        SERVFAIL
;! slow.in.        SILENT
;! lame.co.in.     SERVFAIL
;! gone.in.        SERVFAIL
;! www.lame.in.    SERVFAIL
;! bogus.in.       SERVFAIL
;! refused.in.     SERVFAIL
`

// What the servers of the zone in say.
const lameParent = `
in.           SOA ns.in. h.in. 1 2 3 4 300
lame.in.      NS  NS2.gone.example.
lame.in.      NS  ns1.gone.example.
lame.co.in.   NS  ns1.gone.example.
slow.in.      NS  ns1.gone.example.
bogus.in.     TXT "in the registry's own zone"
;! lame.in. REFERRAL
;! slow.in. REFERRAL
;! lame.co.in. REFERRAL
;! refused.in. REFUSED
`

func TestParentSettlesWhatIsUnknown(t *testing.T) {
	upstream, parent := serve(t, lameUpstream), serve(t, lameParent)
	r := withParent(t, upstream, parent)
	delegated := func(hosts ...string) Answer {
		return Answer{
			State: Registered, RCode: "NOERROR", Reason: ReasonDelegated, Server: parent.Addr(), NS: hosts,
			Incomplete: []string{"A", "AAAA", "MX", "SOA"},
		}
	}
	unknown := Answer{RCode: "SERVFAIL", Reason: "SERVFAIL", Server: upstream.Addr()}
	for name, want := range map[string]Answer{
		"lame.in":     delegated("ns1.gone.example", "ns2.gone.example"),
		"slow.in":     delegated("ns1.gone.example"),
		"lame.co.in":  delegated("ns1.gone.example"), // co.in is no zone of its own
		"gone.in":     {State: Absent, RCode: "NXDOMAIN", Reason: "NXDOMAIN", Server: parent.Addr()},
		"bogus.in":    unknown, // exists there, but nobody says that it is registered
		"refused.in":  unknown,
		"www.lame.in": unknown, // its parent cannot be asked either
	} {
		a, err := r.Resolve(t.Context(), name)
		want.Name = name
		if err != nil || !reflect.DeepEqual(a, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, a, err, want)
		}
	}
	if parent.Iterative() != parent.Total() || parent.Total() == 0 || upstream.Iterative() > 0 {
		t.Errorf("%d of %d queries to the parent and %d to the upstream were iterative", parent.Iterative(), parent.Total(), upstream.Iterative())
	}
}

func TestParentIsAskedOnlyWhenNeeded(t *testing.T) {
	upstream, parent := serve(t, lameUpstream), serve(t, lameParent)
	r := withParent(t, upstream, parent)
	for _, name := range []string{"works.in", "none.in"} {
		if a, err := r.Resolve(t.Context(), name); err != nil || a.State == Unknown {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if n := parent.Total(); n != 0 {
		t.Errorf("the parent was asked %d times", n)
	}
	without, err := New(Config{Upstreams: []string{upstream.Addr()}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer without.Close()
	before := upstream.Total()
	if a, err := without.Resolve(t.Context(), "lame.in"); err != nil || a.State != Unknown || a.Reason != "SERVFAIL" || upstream.Total()-before != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestServersOfAParentAreFoundOnce(t *testing.T) {
	upstream, parent := serve(t, lameUpstream), serve(t, lameParent)
	r := withParent(t, upstream, parent)
	for range 3 {
		if _, err := r.Resolve(t.Context(), "lame.in"); err != nil {
			t.Fatal(err)
		}
	}
	if ns, a := upstream.Queries("in", "NS"), upstream.Queries("ns0.registry.example", "A"); ns != 1 || a != 1 {
		t.Errorf("asked %d times for the zone's servers, %d times for their addresses", ns, a)
	}
}

func TestBrokenServerOfAParentIsPassedOver(t *testing.T) {
	upstream := serve(t, lameUpstream+"in. NS ns1.registry.example.\nns1.registry.example. A 192.0.2.1\n")
	silent, parent := serve(t, ";! * SILENT"), serve(t, lameParent)
	r := withParent(t, upstream, silent, parent)
	if a, err := r.Resolve(t.Context(), "lame.in"); err != nil || a.Reason != ReasonDelegated || silent.Total() != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestServersOutsideThePublicInternetAreNotAsked(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1": false, "10.0.0.1": false, "169.254.169.254": false, "::1": false, "198.41.0.4": true} {
		server, ok := publicServer(netip.MustParseAddr(addr))
		if ok != want || ok && server.Port() != 53 {
			t.Errorf("%s: %v, %v", addr, server, ok)
		}
	}
	upstream, parent := serve(t, lameUpstream), serve(t, lameParent)
	r := withParent(t, upstream) // none of the addresses may be asked
	if a, err := r.Resolve(t.Context(), "lame.in"); err != nil || a.State != Unknown || parent.Total() != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// The books of politeness, on a clock that stands still.
func TestParentsAreAskedPolitely(t *testing.T) {
	p := parents{next: map[netip.AddrPort]time.Duration{}}
	server, other := netip.MustParseAddrPort("198.41.0.4:53"), netip.MustParseAddrPort("199.9.14.201:53")
	for i := range 41 {
		if wait, ok := p.reserve(server, time.Second); !ok || wait != time.Duration(i)*50*time.Millisecond {
			t.Errorf("question %d waits %v, %v", i, wait, ok)
		}
	}
	if _, ok := p.reserve(server, time.Second); ok {
		t.Error("a question waits for longer than two seconds")
	}
	if wait, ok := p.reserve(other, time.Second); !ok || wait != 0 {
		t.Error("another server's questions count")
	}
	if wait, ok := p.reserve(server, 3*time.Second+50*time.Millisecond); !ok || wait != 0 {
		t.Errorf("after a while a question still waits %v, %v", wait, ok)
	}
	for i := range maxZones * parentServers * 2 {
		p.reserve(netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)}), 53), time.Duration(i)*time.Millisecond)
	}
	if len(p.next) > maxZones*parentServers+1 {
		t.Errorf("%d servers are remembered", len(p.next))
	}
}

func TestQuestionsToParentsCountForTheLimit(t *testing.T) {
	upstream, parent := serve(t, lameUpstream), serve(t, lameParent)
	r := withParent(t, upstream, parent)
	r.pace = &pace{rate.NewLimiter(rate.Every(1000*time.Hour), 100)}
	if a, err := r.Resolve(t.Context(), "lame.in"); err != nil || a.Reason != ReasonDelegated {
		t.Fatalf("%+v, %v", a, err)
	}
	sent := upstream.Total() + parent.Total()
	if left := int(math.Round(r.pace.Tokens())); parent.Total() == 0 || left > 100-sent {
		t.Errorf("%d queries were sent, %d of them to the parent, and %d are left of 100", sent, parent.Total(), left)
	}
}

func TestZonesAreBounded(t *testing.T) {
	upstream := serve(t, "in. NS ns0.registry.example.\nns0.registry.example. A 192.0.2.0\n")
	r := withParent(t, upstream, serve(t, lameParent))
	for i := range maxZones + 10 {
		if _, err := r.parents.of(t.Context(), r, fmt.Sprintf("x.z%d.in", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.parents.zones) > maxZones {
		t.Errorf("%d zones are remembered", len(r.parents.zones))
	}
}

func TestClosedWhileAParentIsAsked(t *testing.T) {
	upstream, parent := serve(t, lameUpstream), serve(t, ";! * SILENT")
	r := withParent(t, upstream, parent)
	done := make(chan error, 1)
	go func() {
		_, err := r.Resolve(t.Context(), "lame.in")
		done <- err
	}()
	for ticker := time.NewTicker(time.Millisecond); parent.Total() == 0; <-ticker.C {
	}
	r.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}
