package resolver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// Every way of moving datagrams gives the same answers.
func TestAllWiresAgree(t *testing.T) {
	const n = 2000
	var zone strings.Builder
	for i := 0; i < n; i += 20 {
		fmt.Fprintf(&zone, "r%05d.in. A 192.0.2.1\n", i)
	}
	server := serve(t, zone.String())
	for name, set := range map[string]func(*Resolver){
		"the system's":        func(*Resolver) {},
		"portable":            func(r *Resolver) { r.wiring.portable = true },
		"without UDP_SEGMENT": func(r *Resolver) { r.wiring.segmentOff.Store(true) },
		"a batch at a time":   func(r *Resolver) { r.cfg.Concurrency = 1024 },
		"one query at a time": func(r *Resolver) { r.cfg.Concurrency = 1 },
	} {
		r, _ := newLogged(t, Config{Upstreams: []string{server.Addr()}, floor: 10 * time.Second, Timeout: time.Minute})
		set(r)
		if unknown, _ := measure(t, r, n, nil); unknown > 0 {
			t.Errorf("%s: %d of %d are unknown or wrong", name, unknown, n)
		}
		if s := r.Stats(); s.InFlight != 0 || s.Dropped != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		r.Close()
	}
}

func TestSocketsAreRenewedWithoutLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{trip: always(3 * time.Millisecond)}
		r := simulate(s, Config{Types: []Type{TypeA}})
		defer r.Close()
		// More than the sockets carry before they are worn: which of them carries
		// how much is left to chance, a batch at a time.
		unknown, _ := measure(t, r, socketsPerFlow*(renewAfter+maxBatch), nil)
		f := r.all[0].link.Load().flow
		if n := r.all[0].meter.renewed.Load(); unknown > 0 || n < 1 {
			t.Errorf("%d unknown, %d sockets renewed", unknown, n)
		}
		if len(f.sockets) != socketsPerFlow || len(f.retired) > 0 {
			t.Errorf("%d sockets, %d retired", len(f.sockets), len(f.retired))
		}
	})
}

func TestBreaker(t *testing.T) {
	var b breaker
	yes := func() bool { return true }
	no := func() bool { return false }
	second := time.Second
	b.answered(0)
	for range 5 {
		if b.failed(10*time.Millisecond, 60*time.Millisecond, yes) {
			t.Error("it opens although an answer has just come")
		}
	}
	if b.failed(second, 60*time.Millisecond, no) {
		t.Error("it opens although nobody else is left")
	}
	if !b.failed(second, 60*time.Millisecond, yes) || b.current() != breakerOpen {
		t.Error("it does not open")
	}
	if ok, _ := b.admits(second + firstBreak - 1); ok {
		t.Error("it admits too soon")
	}
	if ok, trial := b.admits(2 * second); !ok || !trial || b.current() != breakerHalfOpen {
		t.Error("it admits no trial")
	}
	if ok, _ := b.admits(2*second + 1); ok {
		t.Error("it admits two trials")
	}
	if !b.failed(3*second, 60*time.Millisecond, no) {
		t.Error("a failed trial does not open it again")
	}
	if ok, _ := b.admits(4 * second); ok {
		t.Error("the second pause is no longer than the first")
	}
	if ok, trial := b.admits(5 * second); !ok || !trial {
		t.Error("it admits no second trial")
	}
	b.answered(6 * second)
	if ok, trial := b.admits(6 * second); !ok || trial || b.current() != breakerClosed {
		t.Error("an answer does not close it")
	}
}

// FuzzDatagram delivers a datagram that has the right ID to a flow with one
// query: it ends the query well only if it repeats the question as it was sent,
// and otherwise only by a doubt that sends the question over TCP.
func FuzzDatagram(f *testing.F) {
	seed := func(edit func(*dns.Msg)) { f.Add(message(f, TypeMX, edit)) }
	seed(func(*dns.Msg) {})
	seed(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError; m.Ns = []dns.RR{record(f, "in. SOA ns. h. 1 2 3 4 5")} })
	seed(func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeFormatError })
	seed(func(m *dns.Msg) { m.Question[0].Name = "aSkEd.In." })
	seed(func(m *dns.Msg) { m.Answer = []dns.RR{record(f, "asked.in. MX 1 mx.in.")} })
	s := &simulated{trip: always(0), dead: true}
	r := simulate(s, Config{floor: time.Hour, Timeout: time.Minute})
	f.Cleanup(func() { r.Close() })
	l, err := r.all[0].open(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fl := l.flow
		q := newQuery()
		if err := q.set(askedName, TypeMX, true); err != nil {
			t.Fatal(err)
		}
		q.ctx, q.box, q.mixed = t.Context(), newMailbox(), true
		fl.mu.Lock()
		fl.fresh.push(q)
		fl.launch(q, fl.sockets[0], fl.tick())
		fl.out.reset()
		fl.mu.Unlock()
		defer fl.cancel(q)
		b = slices.Clone(b)
		if len(b) >= 2 {
			copy(b, q.packet[:2])
		}
		fl.deliver(fl.sockets[1], [][]byte{b})
		if len(q.box.events) > 0 {
			t.Fatal("accepted on another socket")
		}
		fl.deliver(fl.sockets[0], [][]byte{b})
		repeats := len(b) >= q.end && string(b[headerLen:q.end]) == string(q.packet[headerLen:q.end])
		select {
		case <-q.box.wake:
			e := q.box.take()
			bare := len(b) == headerLen
			switch {
			case e.err == nil && !repeats && !bare:
				t.Errorf("accepted %x for %x", b, q.packet)
			case e.err != nil && !errors.Is(e.err, errCase) && !errors.Is(e.err, errForged): // many in a second are a flood
				t.Errorf("one datagram ends the query: %v", e.err)
			}
		default:
			if isReply(b) && repeats && b[4] == 0 && b[5] == 1 {
				t.Errorf("did not accept %x for %x", b, q.packet)
			}
		}
	})
}

func TestNameThatCannotBePackedEndsNothing(t *testing.T) {
	r, err := New(Config{Upstreams: []string{"127.0.0.1:9"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o, err := r.ask(t.Context(), strings.Repeat("y.", 128), TypeNS)
	if err != nil || o.reason != ReasonInvalidName || settled(o.rcode) {
		t.Errorf("%+v, %v", o, err)
	}
}
