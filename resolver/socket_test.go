package resolver

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRetransmissionTimeout(t *testing.T) {
	var e estimator
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

// idle returns a socket whose peer never answers.
func idle(t *testing.T) (*Resolver, *socket) {
	t.Helper()
	r, _ := newLogged(t, Config{Upstreams: []string{serve(t, ";! * SILENT").Addr()}})
	l, err := r.all[0].open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, l.sockets[0]
}

func TestIDsInFlightAreDistinct(t *testing.T) {
	r, s := idle(t)
	ids := map[uint16]bool{}
	var queries []*query
	for range maxWindow {
		q := newQuery()
		if err := q.set("a.in.", TypeNS, true); err != nil {
			t.Fatal(err)
		}
		if err := s.register(q, time.Hour); err != nil {
			t.Fatal(err)
		}
		ids[messageID(q.packet)] = true
		queries = append(queries, q)
	}
	if len(ids) != maxWindow || r.Stats().InFlight != maxWindow {
		t.Errorf("%d IDs and %d in flight for %d queries", len(ids), r.Stats().InFlight, maxWindow)
	}
	for i, q := range queries {
		if !s.forget(q) {
			t.Fatalf("query %d was lost", i)
		}
		if s.forget(q) {
			t.Fatalf("query %d was there twice", i)
		}
	}
	if len(s.live) != 0 || r.Stats().InFlight != 0 {
		t.Errorf("%d live, %d in flight", len(s.live), r.Stats().InFlight)
	}
}

func TestSweepEndsWhatIsDue(t *testing.T) {
	_, s := idle(t)
	var queries []*query
	for i := range 100 {
		q := newQuery()
		if err := q.set("a.in.", TypeNS, true); err != nil {
			t.Fatal(err)
		}
		if err := s.register(q, time.Hour); err != nil {
			t.Fatal(err)
		}
		q.deadline = time.Duration(i)
		queries = append(queries, q)
	}
	s.end(errTimeout, func(q *query) bool { return q.deadline <= 41 })
	for i, q := range queries {
		select {
		case err := <-q.done:
			if i > 41 || err != errTimeout {
				t.Errorf("query %d ended: %v", i, err)
			}
		default:
			if i <= 41 {
				t.Errorf("query %d is overdue", i)
			}
		}
	}
	if s.sweep(99) {
		t.Error("something is left")
	}
}

func TestReceiveBufferIsGranted(t *testing.T) {
	_, s := idle(t)
	// 212,992 bytes is what Linux gives without asking; any system has more
	// than a few replies' worth.
	if s.wire.window < 64 || s.wire.window > maxWindow || cap(s.slots) != s.wire.window {
		t.Errorf("window %d, slots %d", s.wire.window, cap(s.slots))
	}
	t.Logf("window %d replies", s.wire.window)
}

func TestFullWindowWaits(t *testing.T) {
	r, _ := newLogged(t, Config{Upstreams: []string{serve(t, "").Addr()}, Concurrency: 64})
	l, err := r.all[0].open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.sockets {
		s.slots = make(chan struct{}, 1)
	}
	n := 0
	items := func(yield func(string) bool) {
		for range 500 {
			if !yield("a.in") {
				return
			}
		}
	}
	err = Each(t.Context(), r, items, func(s string) string { return s }, func(_ string, a Answer) error {
		if a.State == Absent {
			n++
		}
		return nil
	})
	if err != nil || n != 500 {
		t.Errorf("%d of 500, %v", n, err)
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
				key += " " + l.GetValue()
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"typostream_dns_queries_total NS":                   7, // five, one again after the drop, NOTIMP again without EDNS
		"typostream_dns_queries_total MX":                   2, // again over TCP
		"typostream_dns_responses_total NOERROR":            4,
		"typostream_dns_responses_total NXDOMAIN":           1,
		"typostream_dns_responses_total SERVFAIL":           1,
		"typostream_dns_responses_total REFUSED":            1,
		"typostream_dns_responses_total NOTIMP":             1,
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
