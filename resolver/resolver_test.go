package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/typostream/typostream/resolver"
	"github.com/typostream/typostream/resolver/resolvertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server with the zone text.
func serve(t testing.TB, zone string) *resolvertest.Server {
	t.Helper()
	s, err := resolvertest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// quick returns a resolver that is as impatient as loopback allows.
func quick(t testing.TB, cfg resolver.Config) *resolver.Resolver {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 100 * time.Millisecond
	}
	r, err := resolver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func resolve(t *testing.T, r *resolver.Resolver, name string) resolver.Answer {
	t.Helper()
	a, err := r.Resolve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestMeaning(t *testing.T) {
	server, err := resolvertest.StartFile("testdata/meaning.zone")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	full := resolver.Answer{
		State: resolver.Registered, RCode: "NOERROR",
		NS: []string{"ns1.host.example", "ns2.host.example"},
		A:  []string{"192.0.2.20", "192.0.2.3"}, AAAA: []string{"2001:db8::2"},
		MX:  []string{"mx1.host.example", "mx2.host.example"},
		SOA: []string{`ns1.host.example dns\.admin.host.example`},
	}
	through := func(a resolver.Answer, chain ...string) resolver.Answer {
		a.CNAME = chain
		return a
	}
	with := func(set func(*resolver.Answer)) resolver.Answer {
		a := resolver.Answer{State: resolver.Registered, RCode: "NOERROR"}
		set(&a)
		return a
	}
	unknown := func(rcode, reason string) resolver.Answer {
		return resolver.Answer{RCode: rcode, Reason: reason}
	}
	nodata := with(func(a *resolver.Answer) { a.Reason = resolver.ReasonNoData })
	dangling := func(chain ...string) resolver.Answer {
		return resolver.Answer{State: resolver.Registered, RCode: "NXDOMAIN", Reason: resolver.ReasonDangling, CNAME: chain}
	}
	wildcard := func(parent string, a resolver.Answer) resolver.Answer {
		a.Wildcard = parent
		return a
	}
	nsOnly := with(func(a *resolver.Answer) { a.NS = []string{"ns1.host.example"} })
	wild := nsOnly
	wild.A = []string{"192.0.2.7"}
	v4 := func(addr string) resolver.Answer {
		return with(func(a *resolver.Answer) { a.A = []string{addr} })
	}
	big := nsOnly
	for i := range 99 {
		big.A = append(big.A, fmt.Sprint("192.0.2.", i+1))
	}
	slices.Sort(big.A)
	big.A = big.A[:64]
	tests := map[string]resolver.Answer{
		"full.in":      full,
		"FULL.In.":     full,
		"nsonly.in":    nsOnly,
		"nodata.in":    nodata,
		"ent.in":       nodata,
		"none.in":      {State: resolver.Absent, RCode: "NXDOMAIN", Reason: "NXDOMAIN"},
		"none.test":    {State: resolver.Absent, RCode: "NXDOMAIN", Reason: "NXDOMAIN"},
		"mapped.in":    with(func(a *resolver.Answer) { a.AAAA = []string{"::ffff:192.0.2.9"} }),
		"nullmx.in":    with(func(a *resolver.Answer) { a.A, a.NullMX = []string{"192.0.2.5"}, true }),
		"alias.in":     through(full, "full.in"),
		"chain.in":     through(full, "alias.in", "full.in"),
		"dangling.in":  dangling("gone.example"),
		"outsidecn.in": dangling("www.elsewhere.example"),
		"loop.in":      with(func(a *resolver.Answer) { a.CNAME = []string{"loop.in", "pool.in"} }),
		"leaf.tree.in": wildcard("tree.in", dangling("leaf.full.in")),
		"leaf.stem.in": v4("192.0.2.6"),
		"x.stem.in":    wildcard("stem.in", dangling("x.nowhere.in")),
		"a.wild.in":    wildcard("wild.in", wild),
		"escaped.in": with(func(a *resolver.Answer) {
			a.NS = []string{`evil\000\"\;\032.host.example`}
			a.MX = []string{`b\.ad\255.host.example`}
		}),
		"big.in":      big,
		"servfail.in": unknown("SERVFAIL", "SERVFAIL"),
		"refused.in":  unknown("REFUSED", "REFUSED"),
		"notimp.in":   unknown("NOTIMP", "NOTIMP"),
		"formerr.in":  unknown("FORMERR", "FORMERR"),
		"silent.in":   unknown("", resolver.ReasonTimeout),
		"half.in": with(func(a *resolver.Answer) {
			a.NS, a.MX = []string{"ns1.host.example"}, []string{"mx1.host.example"}
			a.Incomplete = []string{"A", "AAAA"}
		}),
		"truncated.in": with(func(a *resolver.Answer) { a.NS, a.A = []string{"ns1.host.example"}, []string{"192.0.2.8"} }),
		"oldserver.in": v4("192.0.2.10"),
		"spoofed.in":   v4("192.0.2.11"),
		"malformed.in": unknown("", resolver.ReasonMalformed),
		"lossy.in":     v4("192.0.2.13"),
		"slow.in":      v4("192.0.2.14"),
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}})
			got := resolve(t, r, name)
			want.Name, want.Server = strings.ToLower(strings.TrimSuffix(name, ".")), server.Addr()
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestInvalidNamesAreNotAsked(t *testing.T) {
	server := serve(t, "")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}})
	for _, name := range []string{
		"", ".", "..", ".in", "a..in", "a b.in", "bücher.in", "a\x00.in", `a\046.in`,
		strings.Repeat("a", 64) + ".in", strings.Repeat("a.", 126) + "in",
	} {
		got := resolve(t, r, name)
		if want := (resolver.Answer{Name: name, Reason: resolver.ReasonInvalidName}); !reflect.DeepEqual(got, want) {
			t.Errorf("Resolve(%q) = %+v", name, got)
		}
	}
	if n := server.Total(); n != 0 {
		t.Errorf("%d queries were sent", n)
	}
}

func TestTypesSelectWhatIsAsked(t *testing.T) {
	server := serve(t, "a.in. A 192.0.2.1\na.in. MX 1 mx.a.in.\na.in. NS ns.a.in.\n")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}, Types: []resolver.Type{resolver.TypeMX, resolver.TypeA}, Timeout: time.Minute})
	a := resolve(t, r, "a.in")
	if a.State != resolver.Registered || a.NS != nil || len(a.A) != 1 || len(a.MX) != 1 {
		t.Errorf("got %+v", a)
	}
	resolve(t, r, "none.in")
	for kind, want := range map[string]int{"A": 1, "MX": 1, "NS": 0, "AAAA": 0} {
		if got := server.Queries("a.in", kind); got != want {
			t.Errorf("asked for %s %d times, want %d", kind, got, want)
		}
	}
	if got := server.Queries("none.in", ""); got != 1 {
		t.Errorf("a name that does not exist was asked for %d times, want once", got)
	}
}

func TestErrorCodeIsTriedElsewhere(t *testing.T) {
	for _, code := range []string{"SERVFAIL", "REFUSED", "NOTIMP"} {
		bad1, bad2 := serve(t, ";! * "+code), serve(t, ";! * "+code)
		good := serve(t, "a.in. A 192.0.2.1")
		r := quick(t, resolver.Config{Upstreams: []string{bad1.Addr(), bad2.Addr(), good.Addr()}, Attempts: 1, Timeout: time.Minute})
		for range 3 { // whichever is asked first
			if a := resolve(t, r, "a.in"); a.State != resolver.Registered || a.Server != good.Addr() {
				t.Errorf("%s: got %+v", code, a)
			}
		}
	}
}

func TestEveryServerIsAskedOnceForAnErrorCode(t *testing.T) {
	bad1, bad2 := serve(t, ";! a.in. SERVFAIL"), serve(t, ";! a.in. SERVFAIL")
	r := quick(t, resolver.Config{Upstreams: []string{bad1.Addr(), bad2.Addr()}, Timeout: time.Minute})
	if a := resolve(t, r, "a.in"); a.State != resolver.Unknown || a.Reason != "SERVFAIL" || a.RCode != "SERVFAIL" {
		t.Errorf("got %+v", a)
	}
	if n1, n2 := bad1.Queries("a.in", "NS"), bad2.Queries("a.in", "NS"); n1 != 1 || n2 != 1 {
		t.Errorf("asked %d and %d times, want once each", n1, n2)
	}
}

func TestSilenceIsTriedElsewhereAndOverTCP(t *testing.T) {
	t.Parallel()
	silent, deaf := serve(t, ";! * SILENT"), serve(t, "a.in. A 192.0.2.1\n;! * DROP 100")
	r := quick(t, resolver.Config{Upstreams: []string{silent.Addr(), deaf.Addr()}, Attempts: 5})
	// Whichever is asked first, one of five tries over TCP goes to either.
	a, b := resolve(t, r, "a.in"), resolve(t, r, "a.in")
	states := []resolver.State{a.State, b.State}
	if !slices.Contains(states, resolver.Registered) {
		t.Errorf("got %+v and %+v", a, b)
	}
	if silent.TCP() == 0 && deaf.TCP() == 0 {
		t.Error("no try went over TCP")
	}
}

func TestAttemptsAreHonoured(t *testing.T) {
	t.Parallel()
	for attempts, tcp := range map[int]int{1: 0, 2: 0, 3: 1, 6: 1} {
		silent := serve(t, ";! * SILENT")
		r := quick(t, resolver.Config{Upstreams: []string{silent.Addr()}, Attempts: attempts, Timeout: 30 * time.Millisecond})
		if a := resolve(t, r, "a.in"); a.State != resolver.Unknown || a.Reason != resolver.ReasonTimeout {
			t.Errorf("got %+v", a)
		}
		if silent.Total() != attempts || silent.TCP() != tcp {
			t.Errorf("%d attempts: %d queries, %d over TCP; want %d over TCP", attempts, silent.Total(), silent.TCP(), tcp)
		}
	}
}

func TestRefusedConnectionsFailAtOnce(t *testing.T) {
	gone := serve(t, "")
	gone.Close()
	good := serve(t, "a.in. A 192.0.2.1")
	r := quick(t, resolver.Config{Upstreams: []string{gone.Addr(), good.Addr()}, Timeout: time.Minute})
	for range 20 { // without the ICMP message, each would wait a second
		if a := resolve(t, r, "a.in"); a.State != resolver.Registered {
			t.Fatalf("got %+v", a)
		}
	}
	alone := quick(t, resolver.Config{Upstreams: []string{gone.Addr()}, Timeout: 250 * time.Millisecond})
	if a := resolve(t, alone, "a.in"); a.State != resolver.Unknown || a.Reason != resolver.ReasonUnreachable || a.Server != gone.Addr() {
		t.Errorf("got %+v", a)
	}
}

func TestMismatchesAreCounted(t *testing.T) {
	server := serve(t, "a.in. A 192.0.2.1\n;! a.in. WRONG-ID\n;! a.in. WRONG-QUESTION\n;! a.in. GARBAGE")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}, Timeout: time.Minute})
	a := resolve(t, r, "a.in")
	if a.State != resolver.Registered || a.NS != nil || !slices.Equal(a.A, []string{"192.0.2.1"}) {
		t.Errorf("got %+v", a)
	}
	// Four false messages for each of five types, and three random names.
	if s := r.Stats(); s.Dropped != 20 || s.Queries != 8 || s.Responses != 8 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestTimeoutOutweighsAClosedTCPPort(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0") // nobody reads, and TCP is closed
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := quick(t, resolver.Config{Upstreams: []string{conn.LocalAddr().String()}, Attempts: 3, Timeout: 20 * time.Millisecond})
	if a := resolve(t, r, "a.in"); a.State != resolver.Unknown || a.Reason != resolver.ReasonTimeout {
		t.Errorf("got %+v", a)
	}
}

func TestFalseAnswersAloneAreATimeout(t *testing.T) {
	server := serve(t, "a.in. A 192.0.2.1\n;! a.in. WRONG-ID\n;! a.in. WRONG-QUESTION\n;! a.in. GARBAGE\n;! a.in. SILENT")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}, Timeout: 30 * time.Millisecond})
	if a := resolve(t, r, "a.in"); a.State != resolver.Unknown || a.Reason != resolver.ReasonTimeout {
		t.Errorf("got %+v", a)
	}
}

func TestRefusalOfEDNSIsRemembered(t *testing.T) {
	server := serve(t, "a. A 192.0.2.1\n;! * FORMERR-EDNS") // nothing is above it that could have a wildcard
	r := quick(t, resolver.Unhurried(resolver.Config{Upstreams: []string{server.Addr()}, Types: []resolver.Type{resolver.TypeA}, Timeout: time.Minute}))
	for range 10 {
		if a := resolve(t, r, "a"); a.State != resolver.Registered {
			t.Fatalf("got %+v", a)
		}
	}
	if n := server.Total(); n != 13 {
		t.Errorf("%d queries, want 13: three with EDNS, ten without", n)
	}
}

func TestUnhealthyUpstreamIsTriedLast(t *testing.T) {
	silent, good := serve(t, ";! * SILENT"), serve(t, "")
	r := quick(t, resolver.Config{Upstreams: []string{silent.Addr(), good.Addr()}, Timeout: 20 * time.Millisecond})
	for range 100 {
		if a := resolve(t, r, "a.in"); a.State != resolver.Absent {
			t.Fatalf("got %+v", a)
		}
	}
	if n := silent.Total(); n > 10 {
		t.Errorf("the silent server was asked %d times in 100", n)
	}
}

func TestCancelledAndClosed(t *testing.T) {
	silent := serve(t, ";! * SILENT")
	r := quick(t, resolver.Config{Upstreams: []string{silent.Addr()}, Timeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := r.Resolve(ctx, "a.in")
		asked <- err
	}()
	waitFor(t, func() bool { return silent.Total() == 1 })
	cancel()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if s := r.Stats(); s.InFlight != 0 {
		t.Errorf("%d queries are left in flight", s.InFlight)
	}
	go func() {
		_, err := r.Resolve(t.Context(), "b.in")
		asked <- err
	}()
	waitFor(t, func() bool { return silent.Total() == 2 })
	r.Close()
	if err := <-asked; !errors.Is(err, resolver.ErrClosed) {
		t.Errorf("closed under way: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := r.Resolve(t.Context(), "a.in"); !errors.Is(err, resolver.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := r.Check(t.Context()); !errors.Is(err, resolver.ErrClosed) {
		t.Errorf("Check after Close: %v", err)
	}
	if n := silent.Total(); n != 2 {
		t.Errorf("%d datagrams were sent, want 2", n)
	}
}

// waitFor polls, without asserting how long anything takes.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal("the test ended first")
		}
	}
}

func TestReferralIsTriedElsewhere(t *testing.T) {
	t.Parallel()
	const refers = ". NS a.root.example.\nin. NS ns.in.\n;! * REFERRAL\n"
	up, down := serve(t, refers), serve(t, refers)
	good := serve(t, "a.in. A 192.0.2.1\n")
	r := quick(t, resolver.Config{Upstreams: []string{up.Addr(), down.Addr(), good.Addr()}, Attempts: 1, Timeout: time.Minute})
	for range 3 { // whichever is asked first
		if a := resolve(t, r, "a.in"); a.State != resolver.Registered || a.Server != good.Addr() || a.A == nil {
			t.Errorf("got %+v", a)
		}
		if a := resolve(t, r, "none.in"); a.State != resolver.Absent || a.Server != good.Addr() {
			t.Errorf("got %+v", a)
		}
	}
	alone := slow(t, up)
	for _, name := range []string{"none.in", "none.example"} {
		want := resolver.Answer{Name: name, RCode: "NOERROR", Reason: resolver.ReasonReferral, Server: up.Addr()}
		if a := resolve(t, alone, name); !reflect.DeepEqual(a, want) {
			t.Errorf("got  %+v\nwant %+v", a, want)
		}
	}
}

func TestReferralProvesTheNameThatItDelegates(t *testing.T) {
	t.Parallel()
	server := serve(t, "lame.in. NS NS2.gone.example.\nlame.in. NS ns1.gone.example.\n;! lame.in. REFERRAL\n")
	broken := serve(t, ";! * SERVFAIL\n")
	for range 4 { // whichever is asked first
		a := resolve(t, slow(t, server, broken), "lame.in")
		want := resolver.Answer{
			Name: "lame.in", State: resolver.Registered, RCode: "NOERROR", Reason: resolver.ReasonDelegated, Server: server.Addr(),
			NS: []string{"ns1.gone.example", "ns2.gone.example"}, Incomplete: []string{"A", "AAAA", "MX", "SOA"},
		}
		if !reflect.DeepEqual(a, want) {
			t.Errorf("got  %+v\nwant %+v", a, want)
		}
	}
}

func TestAliasOfABrokenNameIsRegistered(t *testing.T) {
	t.Parallel()
	server := serve(t, "a.in. CNAME www.broken.example.\n;! a.in. ALIAS-FAILS\n")
	broken := serve(t, ";! * REFUSED\n")
	for range 4 { // whichever is asked first
		a := resolve(t, slow(t, server, broken), "a.in")
		want := resolver.Answer{
			Name: "a.in", State: resolver.Registered, RCode: "SERVFAIL", Reason: resolver.ReasonAliasFails, Server: server.Addr(),
			CNAME: []string{"www.broken.example"}, Incomplete: []string{"NS", "A", "AAAA", "MX", "SOA"},
		}
		if !reflect.DeepEqual(a, want) {
			t.Errorf("got  %+v\nwant %+v", a, want)
		}
	}
}
