package resolver

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRetransmissionTimeout(t *testing.T) {
	e := estimator{floor: 200 * time.Millisecond}
	limit := DefaultTimeout
	for unanswered, want := range []time.Duration{time.Second, 2 * time.Second, limit, limit, limit} {
		if got := e.timeout(unanswered, limit); got != want {
			t.Errorf("before any sample, after %d tries: %v, want %v", unanswered, got, want)
		}
	}
	e.observe(400 * time.Millisecond) // RFC 6298 (2.2): SRTT = R, RTTVAR = R/2
	if got, want := e.timeout(0, limit), 1200*time.Millisecond; got != want {
		t.Errorf("after one sample: %v, want %v", got, want)
	}
	e.observe(800 * time.Millisecond) // (2.3): RTTVAR = 3/4·200+1/4·400, SRTT = 7/8·400+1/8·800
	if got, want := e.timeout(0, limit), 450*time.Millisecond+4*250*time.Millisecond; got != want {
		t.Errorf("after two samples: %v, want %v", got, want)
	}
	for range 1000 {
		e.observe(time.Millisecond)
	}
	for unanswered, want := range []time.Duration{200, 400, 800, 1600, 2500, 2500} {
		if got := e.timeout(unanswered, limit); got != want*time.Millisecond {
			t.Errorf("on a fast path, after %d tries: %v, want %v", unanswered, got, want*time.Millisecond)
		}
	}
	if got := e.timeout(3, 50*time.Millisecond); got != 50*time.Millisecond {
		t.Errorf("the limit does not hold: %v", got)
	}
}

// idle returns a flow to a server that never answers.
func idle(t *testing.T, cfg Config) (*Resolver, *flow) {
	t.Helper()
	cfg.Upstreams = []string{serve(t, ";! * SILENT").Addr()}
	r, _ := newLogged(t, cfg)
	l, err := r.all[0].open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, l.flow
}

// launchAll puts n queries into the table without sending them.
func launchAll(t *testing.T, f *flow, n int) []*query {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var queries []*query
	for range n {
		q := newQuery()
		if err := q.set("a.in.", TypeNS, true); err != nil {
			t.Fatal(err)
		}
		q.ctx, q.box, q.mixed = t.Context(), newMailbox(), true
		f.fresh.push(q)
		f.launch(q, f.sockets[0], f.now)
		queries = append(queries, q)
	}
	f.out.reset()
	return queries
}

func TestIDsInFlightAreDistinct(t *testing.T) {
	r, f := idle(t, Config{Timeout: time.Minute, floor: time.Minute})
	ids := map[uint16]bool{}
	cases := map[string]bool{}
	queries := launchAll(t, f, maxWindow)
	for _, q := range queries {
		ids[messageID(q.packet)] = true
		cases[string(q.packet[headerLen:q.end-4])] = true
	}
	if len(ids) != maxWindow || r.Stats().InFlight != maxWindow {
		t.Errorf("%d IDs and %d in flight for %d queries", len(ids), r.Stats().InFlight, maxWindow)
	}
	if len(cases) != 8 { // three letters
		t.Errorf("the name was written in %d ways, want 8", len(cases))
	}
	for i, q := range queries {
		if q.in == nil {
			t.Fatalf("query %d was lost", i)
		}
		f.cancel(q)
		f.cancel(q)
		if q.in != nil {
			t.Fatalf("query %d is still there", i)
		}
	}
	if f.inFlight != 0 || r.Stats().InFlight != 0 {
		t.Errorf("%d, %d in flight", f.inFlight, r.Stats().InFlight)
	}
}

func TestReceiveBufferIsGranted(t *testing.T) {
	for _, portable := range []bool{false, true} {
		_, f := idle(t, Config{portable: portable})
		// 212,992 bytes is what Linux gives without asking; any system has more
		// than a few replies' worth.
		if n := f.sockets[0].wire.capacity(); n < 64 || n > maxWindow {
			t.Errorf("room for %d", n)
		}
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	server := serve(t, "a.in. A 192.0.2.1\na.in. MX 1 mx.in.\n;! a.in. TRUNCATE MX\n;! b.in. SERVFAIL\n;! c.in. DROP 1\n;! a.in. WRONG-ID A\n;! d.in. REFUSED\n;! e.in. NOTIMP")
	r, _ := newLogged(t, Config{Upstreams: []string{server.Addr()}})
	for _, name := range []string{"a.in", "b.in", "c.in", "d.in", "e.in"} {
		if _, err := r.Resolve(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewPedanticRegistry()
	for _, c := range r.Metrics() {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	values := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() != "upstream" {
					key += " " + l.GetValue()
				}
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"typostream_dns_queries_total NS":                   10, // five, one again after the drop, NOTIMP again without EDNS, three random names
		"typostream_dns_queries_total MX":                   2,  // again over TCP
		"typostream_dns_responses_total NOERROR":            5,
		"typostream_dns_responses_total NXDOMAIN":           4,
		"typostream_dns_responses_total SERVFAIL":           1,
		"typostream_dns_responses_total REFUSED":            1,
		"typostream_dns_responses_total NOTIMP":             2,
		"typostream_dns_responses_total other":              0,
		"typostream_dns_dropped_responses_total unexpected": 1,
		"typostream_dns_retransmissions_total":              1,
		"typostream_dns_timeouts_total":                     1,
		"typostream_dns_tcp_fallbacks_total":                1,
		"typostream_dns_inflight_queries":                   0,
	} {
		if got, ok := values[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
}

// An answer that comes after its query has ended, because another try was
// answered before, is no sign of a forger; more of them than that are.
func TestAnswersToEndedQueriesAreLate(t *testing.T) {
	for name, give := range map[string]func(*flow, []*query){
		"taken back": func(f *flow, queries []*query) {
			for _, q := range queries {
				f.cancel(q)
			}
		},
		"context ended": func(f *flow, queries []*query) {
			f.mu.Lock()
			defer f.mu.Unlock()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			for _, q := range queries {
				q.ctx = ctx
			}
			f.endCancelled()
		},
		"unreachable": func(f *flow, queries []*query) { f.unreachable(queries[0].socket) },
	} {
		t.Run(name, func(t *testing.T) {
			r, f := idle(t, Config{Timeout: time.Minute, floor: time.Minute})
			s := f.sockets[0]
			answerAll := func(queries []*query) {
				for _, q := range queries {
					b := append([]byte(nil), q.packet...)
					b[2] |= bitQR
					f.deliver(s, [][]byte{b})
				}
			}
			queries := launchAll(t, f, 3*floodLimit)
			give(f, queries)
			answerAll(queries)
			m := r.all[0].meter
			if late, forged := m.drops[place(meteredDrops, dropLate)].Load(), m.forged.Load(); late != 3*floodLimit || forged != 0 {
				t.Errorf("%d late, %d suspected", late, forged)
			}
			answerAll(queries)
			if m.forged.Load() != 1 {
				t.Error("twice as many are not suspected")
			}
		})
	}
}

// What a flood of answers to nothing is followed by: no query is left on the
// socket, and it is no longer among those that are chosen.
func TestFloodEndsTheSocket(t *testing.T) {
	_, f := idle(t, Config{Timeout: time.Minute, floor: time.Minute})
	s := f.sockets[0]
	queries := launchAll(t, f, 5)
	var free uint16 // an ID that none of them has
	for ; f.table[free] != nil; free++ {
	}
	stray := []byte{byte(free >> 8), byte(free), bitQR, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for range floodLimit {
		f.deliver(s, [][]byte{stray})
	}
	for _, q := range queries {
		if e := q.box.take(); e.q != q || e.err != errForged {
			t.Errorf("got %+v", e)
		}
	}
	if slices.Contains(f.sockets, s) {
		t.Error("the socket is still in use")
	}
}

// Somebody who guesses does not make it easier to guess.
func TestForgeriesLeaveTheCaseRandom(t *testing.T) {
	r, f := idle(t, Config{Timeout: time.Minute, floor: time.Minute})
	u := r.all[0]
	u.noTCP.Store(math.MaxInt64)
	for err, plain := range map[error]bool{errForged: false, errCase: true} {
		k := newTalk(r)
		k.prepare(0, t.Context(), []*upstream{u}, 5, "a.in.", TypeNS)
		in := &k.asked[0]
		if err := in.attempt(); err != nil {
			t.Fatal(err)
		}
		q := in.current
		f.cancel(q)
		if err := in.heard(event{q, err}); err != nil {
			t.Fatal(err)
		}
		if in.plainCase != plain {
			t.Errorf("after %v: plain case %v", err, in.plainCase)
		}
	}
}

// The last upstream in use is never given up, not even when all fail at the same
// moment.
func TestBreakersDoNotOpenTogether(t *testing.T) {
	r, _ := newLogged(t, Config{Upstreams: []string{serve(t, ";! * SILENT").Addr(), serve(t, ";! * SILENT").Addr()}, Timeout: time.Minute, floor: time.Minute})
	for range 100_000 {
		var together sync.WaitGroup
		ready := make(chan struct{})
		for _, u := range r.all {
			u.breaker.reset(-time.Hour)
			u.breaker.failures.Store(breakAfter - 1)
			together.Go(func() {
				in := &inquiry{r: r}
				<-ready
				in.failed(u, "", errTimeout)
			})
		}
		close(ready)
		together.Wait()
		if open := r.all[0].breaker.current() == breakerOpen; open == (r.all[1].breaker.current() == breakerOpen) {
			t.Fatalf("both open: %v, want one", open)
		}
	}
}
