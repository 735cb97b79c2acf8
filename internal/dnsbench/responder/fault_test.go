//go:build linux

package responder

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/dnsbench/zone"
)

// absent.com NS; a query that is as good as any.
var plainQuery = append(append([]byte{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, appendName(nil, "absent.com")...), 0, typeNS, 0, 1)

// ask sends n queries and returns what was counted once all have met their fate.
func ask(t *testing.T, f Faults, n int) Stats {
	t.Helper()
	s, err := Start(NewTable(zone.Names(40)), f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := net.Dial("udp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i := range n {
		if _, err := conn.Write(plainQuery); err != nil {
			t.Fatal(err)
		}
		// One by one, so that no buffer of whatever size overflows.
		for s.Stats().Received <= uint64(i) {
			runtime.Gosched()
		}
	}
	return s.Stats()
}

func TestLossIsByTheSeed(t *testing.T) {
	const n = 500
	f := Faults{Loss: 0.3, Seed: 7}
	want := uint64(0)
	fate := newFate(f)
	for range n {
		if fate.lost() {
			want++
		}
	}
	if want < n*2/10 || want > n*4/10 {
		t.Fatalf("%d of %d are to be lost, with a share of 0.3", want, n)
	}
	for range 2 {
		if got := ask(t, f, n); got.Lost != want || got.Answered != n-want {
			t.Errorf("got %+v, want %d lost and the others answered", got, want)
		}
	}
}

func TestServFailIsByTheSeed(t *testing.T) {
	const n = 500
	f := Faults{ServFail: 0.1, Seed: 3}
	want := uint64(0)
	fate := newFate(f)
	for range n {
		if fate.failed() {
			want++
		}
	}
	if want < n/20 || want > n*3/20 {
		t.Fatalf("%d of %d are to fail, with a share of 0.1", want, n)
	}
	if got := ask(t, f, n); got.ServFails != want || got.Answered != n {
		t.Errorf("got %+v, want %d failed and all answered", got, want)
	}
}

func TestServFailSaysSo(t *testing.T) {
	table := NewTable(nil)
	answer := table.appendAnswer(nil, plainQuery, true)
	if len(answer) != len(plainQuery) || answer[3]&15 != rcodeServFail {
		t.Errorf("got %x", answer)
	}
}

func TestCap(t *testing.T) {
	fate := newFate(Faults{Cap: 1000})
	answered := func(from, to, step time.Duration) (n int) {
		for at := from; at < to; at += step {
			if !fate.capped(at) {
				n++
			}
		}
		return n
	}
	const second = time.Second
	// Twice too many: half is answered, and the 20 that were saved up.
	if got := answered(0, second, second/2000); got < 1019 || got > 1020 {
		t.Errorf("%d of 2,000 in a second, want 1,000 and 20", got)
	}
	if got := answered(second, 2*second, second/2000); got < 999 || got > 1001 {
		t.Errorf("%d of 2,000 in the next second, want 1,000", got)
	}
	// As many as are allowed, and fewer.
	if got := answered(2*second, 3*second, second/500); got != 500 {
		t.Errorf("%d of 500 in a second", got)
	}
	// A long pause saves up no more than a short one.
	if got := answered(10*second, 10*second+1, 1); got != 1 {
		t.Error("the first after a pause was dropped")
	}
	burst := 0
	for range 1000 {
		if !fate.capped(10 * second) {
			burst++
		}
	}
	if burst != 19 {
		t.Errorf("%d more at the same moment, want 19", burst)
	}
	if newFate(Faults{}).capped(0) {
		t.Error("capped without a limit")
	}
}

func TestCapOfAServer(t *testing.T) {
	const n = 50
	got := ask(t, Faults{Cap: 1}, n)
	if got.Answered == 0 || got.Capped == 0 || got.Answered+got.Capped != n {
		t.Errorf("got %+v of %d queries at one a second", got, n)
	}
}

func TestDelayedAnswersWait(t *testing.T) {
	if got := ask(t, Faults{Delay: time.Hour}, 30); got.Answered != 0 || got.Lost != 0 {
		t.Errorf("got %+v, want no answer within the hour", got)
	}
	l := &loop{Server: &Server{}}
	for i := range batch + 10 {
		l.put(reply{data: []byte{byte(i)}, due: time.Duration(i / 2)})
	}
	for _, tt := range []struct {
		now         time.Duration
		first, last byte
	}{{0, 0, 1}, {2, 2, 5}, {1000, 6, batch + 5}, {1000, batch + 6, batch + 9}} {
		l.now = l.now[:0]
		l.takeDue(tt.now)
		if len(l.now) != int(tt.last-tt.first)+1 || l.now[0].data[0] != tt.first || l.now[len(l.now)-1].data[0] != tt.last {
			t.Errorf("at %d: %d answers, want %d to %d", tt.now, len(l.now), tt.first, tt.last)
		}
	}
	if l.count != 0 {
		t.Errorf("%d answers are left", l.count)
	}
}

func TestWhatCannotWaitIsLost(t *testing.T) {
	s := &Server{}
	l := &loop{Server: s}
	for range maxDelayed + 3 {
		l.put(reply{data: []byte{1}})
	}
	if got := s.lost.Load(); got != 3 {
		t.Errorf("%d lost, want 3", got)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(plainQuery, false)
	f.Add(append(plainQuery, optRecord[:]...), true)
	table := NewTable(zone.Names(40))
	f.Fuzz(func(t *testing.T, query []byte, fail bool) {
		answer := table.appendAnswer(nil, query, fail)
		if len(answer) > maxAnswer {
			t.Errorf("%d bytes", len(answer))
		}
		if len(answer) > 0 && (answer[2]&0x80 == 0 || answer[0] != query[0] || answer[1] != query[1]) {
			t.Errorf("%x is no answer to %x", answer, query)
		}
	})
}
