package resolver

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// simulated is a nameserver without a network, for tests on fake time: names
// that begin with "r" exist, the others do not.
type simulated struct {
	trip  func() time.Duration // round trip
	loss  float64
	rate  float64 // answers a second; the rest is dropped. 0: no limit
	depth float64 // of the bucket for that

	mu     sync.Mutex
	random *rand.Rand
	tokens float64
	filled time.Time
	dead   bool
	got    int
}

// takes reports whether a query is answered, and after how long.
func (s *simulated) takes() (bool, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got++
	if s.dead || s.random.Float64() < s.loss {
		return false, 0
	}
	if s.rate > 0 {
		now := time.Now()
		s.tokens = min(s.tokens+now.Sub(s.filled).Seconds()*s.rate, s.depth)
		s.filled = now
		if s.tokens < 1 {
			return false, 0
		}
		s.tokens--
	}
	return true, s.trip()
}

// change alters the server while it is in use.
func (s *simulated) change(by func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	by()
}

// simulatedWire leads to a simulated server.
type simulatedWire struct {
	server  *simulated
	answers chan []byte
	gone    chan struct{}
	once    sync.Once
}

func (s *simulated) dial(netip.AddrPort) (wire, error) {
	return &simulatedWire{server: s, answers: make(chan []byte, maxWindow), gone: make(chan struct{})}, nil
}

func (w *simulatedWire) capacity() int    { return maxWindow }
func (w *simulatedWire) overflow() uint64 { return 0 }
func (w *simulatedWire) close() error     { w.once.Do(func() { close(w.gone) }); return nil }

func (w *simulatedWire) send(out *outbox) error {
	for _, length := range out.used {
		for packets := out.bins[length]; len(packets) > 0; packets = packets[length:] {
			ok, trip := w.server.takes()
			if !ok {
				continue
			}
			b := append([]byte(nil), packets[:length-optLen]...)
			b[2], b[11] = b[2]|bitQR, 0
			if b[12] > 7 || lower(b[13]) != 'r' { // r00020.in exists, a random name does not
				b[3] |= 3
			}
			time.AfterFunc(trip, func() {
				select {
				case w.answers <- b:
				case <-w.gone:
				}
			})
		}
	}
	return nil
}

func (w *simulatedWire) receive(deliver func([][]byte), _ func(error)) {
	for {
		select {
		case b := <-w.answers:
			deliver([][]byte{b})
		case <-w.gone:
			return
		}
	}
}

// simulate returns a resolver whose only upstream is s; there is no TCP.
func simulate(s *simulated, cfg Config) *Resolver {
	s.random = rand.New(rand.NewPCG(1, 2))
	s.filled, s.tokens = time.Now(), s.depth
	cfg.Upstreams = []string{"192.0.2.53"}
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg.dial = s.dial
	cfg.dialTCP = func() (net.Conn, error) { return nil, errors.New("refused") }
	cfg.cpu = still // on fake time any use is too much
	r, err := New(cfg)
	if err != nil {
		panic(err)
	}
	return r
}

// measure resolves n names, every twentieth of which exists, and returns how
// many are unknown or wrong, and how long it took.
func measure(t *testing.T, r *Resolver, n int, each func()) (unknown int, took time.Duration) {
	t.Helper()
	items := func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
	begun := time.Now()
	name := func(i int) string { return fmt.Sprintf("%c%05d.in", "rabcdefghijklmnopqst"[i%20], i) }
	err := Each(t.Context(), r, items, name, func(i int, a Answer) error {
		if each != nil {
			each()
		}
		if a.State == Unknown || (a.State == Registered) != (i%20 == 0) || len(a.Incomplete) > 0 {
			unknown++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return unknown, time.Since(begun)
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// fourTypes make 23,000 questions of 20,000 names, three more of each that exists.
var fourTypes = []Type{TypeNS, TypeA, TypeAAAA, TypeMX}

func TestLossyPathIsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{trip: always(20 * time.Millisecond), loss: 0.01}
		r := simulate(s, Config{Types: fourTypes})
		defer r.Close()
		unknown, took := measure(t, r, 20_000, nil)
		t.Logf("%v, %d unknown, %d sent", took, unknown, s.got)
		if unknown > 0 || took > time.Second/2 {
			t.Errorf("%d unknown after %v, want none within 0.5 s", unknown, took)
		}
		if s.got > 24_500 { // 23,000 questions, 1 % of loss
			t.Errorf("%d datagrams", s.got)
		}
	})
}

func TestServerThatDropsAboveItsRateLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{trip: always(100 * time.Microsecond), rate: 20_000, depth: 400}
		r := simulate(s, Config{Types: fourTypes})
		defer r.Close()
		// The parent is probed for a wildcard before: names that wait for that
		// and go on all at once cost up to a tenth more.
		if _, err := r.Resolve(t.Context(), "r00000.in"); err != nil {
			t.Fatal(err)
		}
		unknown, took := measure(t, r, 20_000, nil)
		ideal := 23_000.0 / 20_000
		t.Logf("%v, %.2f times the ideal, %d unknown, %d sent", took, took.Seconds()/ideal, unknown, s.got)
		if unknown > 0 || took.Seconds() > 1.5*ideal {
			t.Errorf("%d unknown after %v, want none within %.2f s", unknown, took, 1.5*ideal)
		}
	})
}

func TestOnlyUpstreamThatDiesIsToldSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{trip: always(5 * time.Millisecond)}
		r := simulate(s, Config{Concurrency: 256})
		defer r.Close()
		if unknown, _ := measure(t, r, 2000, nil); unknown > 0 {
			t.Fatalf("%d unknown of a healthy server", unknown)
		}
		s.change(func() { s.dead = true })
		unknown, took := measure(t, r, 256, nil)
		t.Logf("%v, %d unknown", took, unknown)
		if unknown != 256 || took > 5*time.Second {
			t.Errorf("%d of 256 unknown after %v, want all within 5 s", unknown, took)
		}
		// When it is back, so is the speed: the window regrows.
		s.change(func() { s.dead = false })
		measure(t, r, 2000, nil)
		if unknown, took := measure(t, r, 20_000, nil); unknown > 0 || took > time.Second {
			t.Errorf("back again: %d unknown after %v", unknown, took)
		}
	})
}

func TestWindowRegrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{trip: always(10 * time.Millisecond), loss: 0.3}
		r := simulate(s, Config{Concurrency: 1024})
		defer r.Close()
		measure(t, r, 5000, nil)
		f := r.all[0].link.Load().flow
		cut := f.window.size
		s.change(func() { s.loss = 0 })
		if unknown, _ := measure(t, r, 50_000, nil); unknown > 0 {
			t.Errorf("%d unknown", unknown)
		}
		t.Logf("%.0f under loss, %.0f after", cut, f.window.size)
		if cut > 128 || f.window.size < 4*cut {
			t.Errorf("the window was %.0f under loss and is %.0f after", cut, f.window.size)
		}
	})
}

// A server that suddenly takes far longer loses no name: late answers count,
// and teach the time-out.
func TestSlowAnswersCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trip := time.Millisecond
		s := &simulated{trip: func() time.Duration { return trip }}
		r := simulate(s, Config{Concurrency: 64})
		defer r.Close()
		measure(t, r, 500, nil)
		s.change(func() { trip, s.got = 900*time.Millisecond, 0 })
		if unknown, _ := measure(t, r, 2000, nil); unknown > 0 {
			t.Errorf("%d unknown", unknown)
		}
		if s.got > 3*2300 {
			t.Errorf("%d datagrams for 2,300 questions", s.got)
		}
	})
}

func TestQueriesKeepThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{trip: always(time.Millisecond)}
		r := simulate(s, Config{QPS: 1000, Types: []Type{TypeA}})
		defer r.Close()
		begun, most := time.Now(), 0.0
		_, took := measure(t, r, 3000, func() {
			s.change(func() { most = max(most, float64(s.got)-1000*time.Since(begun).Seconds()) })
		})
		t.Logf("%v, at most %.0f ahead", took, most)
		if most > 11 { // 10 ms worth, and the one that begins
			t.Errorf("%.0f queries ahead of the pace", most)
		}
		if took > 3100*time.Millisecond {
			t.Errorf("%v for 3,000 names at 1,000 a second", took)
		}
	})
}
