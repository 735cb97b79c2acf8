package resolver

import (
	"runtime"
	"testing"
	"time"
)

// still is a clock, or a use of CPU, that stands still.
func still() time.Duration { return 0 }

// A pool that answers so many names a second with so many workers.
func crewOf(limit int, rate func(workers int) float64, terms int) (c *crew, largest int) {
	var now time.Duration
	c = newCrew(limit, 0, func() time.Duration { return now }, still)
	for began := now; now-began < time.Duration(terms)*crewTerm; {
		for c.hire() {
		}
		largest = max(largest, c.workers)
		c.pressed = true
		now += time.Duration(float64(time.Second) / rate(c.workers))
		c.answered()
		c.dismiss()
	}
	return c, largest
}

func TestCrewGrowsWhileItPays(t *testing.T) {
	distant := func(workers int) float64 { return float64(workers) / 0.02 } // each answer takes 20 ms
	if c, _ := crewOf(3000, distant, 20); c.size != 3000 || c.workers != 3000 {
		t.Errorf("far away: %d workers, want 3000", c.size)
	}
	near := func(int) float64 { return 300_000 } // however many they are
	c, largest := crewOf(4096, near, 1000)
	if c.size > 2*firstCrew || largest > 2*firstCrew {
		t.Errorf("nearby: %d workers, %d at most", c.size, largest)
	}
	if c.workers > c.size+1 {
		t.Errorf("%d workers of %d stay", c.workers, c.size)
	}
	limited := func(workers int) float64 { return min(float64(workers)/0.02, 50_000) }
	if c, _ := crewOf(4096, limited, 1000); c.size < 512 || c.size > 4096/2 {
		t.Errorf("up to 50,000 answers a second, 20 ms away: %d workers", c.size)
	}
	if c, largest := crewOf(7, distant, 20); c.size != 7 || largest != 7 {
		t.Errorf("%d workers, at most %d, where 7 are allowed", c.size, largest)
	}
}

func TestCrewWithoutPressureStays(t *testing.T) {
	var now time.Duration
	c := newCrew(4096, 0, func() time.Duration { return now }, still)
	for range 100_000 {
		now += 10 * time.Microsecond
		c.answered()
	}
	if c.size != firstCrew {
		t.Errorf("%d workers though the input is slower", c.size)
	}
}

// However much more workers would bring, there is no time left for them.
func TestCrewOfABusyProcessStays(t *testing.T) {
	for share, want := range map[float64]int{0.95: firstCrew, 0.8: 4096} {
		var now time.Duration
		cpu := func() time.Duration { return time.Duration(share * float64(runtime.GOMAXPROCS(0)) * float64(now)) }
		c := newCrew(4096, 0, func() time.Duration { return now }, cpu)
		for range 100_000 {
			c.pressed = true
			now += 20 * time.Millisecond / time.Duration(c.size)
			c.answered()
		}
		if c.size != want {
			t.Errorf("%v of the CPU is used: %d workers, want %d", share, c.size, want)
		}
	}
}

func TestCrewBeginsByTheRoundTrip(t *testing.T) {
	for rtt, want := range map[time.Duration]int{0: firstCrew, 5 * time.Millisecond: firstCrew, 20 * time.Millisecond: 2000, time.Second: 4096} {
		if c := newCrew(4096, rtt, still, still); c.size != want {
			t.Errorf("%s away: %d workers, want %d", rtt, c.size, want)
		}
	}
}

// What a larger crew brings shows only after a round trip: a trial counts from there.
func TestCrewTrialWaitsForItsOwnAnswers(t *testing.T) {
	const rtt = 20 * time.Millisecond
	var now time.Duration
	c := newCrew(4096, 0, func() time.Duration { return now }, still)
	for _, want := range []int{512, 1024, 2048, 4096} { // half as many answers more pay, here there are twice as many
		for range 2 { // the first term is the trial of the term before, or the first of all
			before := c.workers
			for c.hire() {
			}
			c.pressed = true
			for trip := range 3 {
				n := c.workers
				if trip == 0 && before > 0 {
					n = before // to the others the answers are still on their way
				}
				for range n {
					now += rtt / time.Duration(n)
					c.answered()
				}
			}
		}
		if c.size < want {
			t.Fatalf("%d workers, want %d", c.size, want)
		}
	}
}

// An item that nobody will look at is not lost silently.
func TestPoolSaysWhatItDrops(t *testing.T) {
	p := newPool[int](newCrew(1, 0, still, still))
	done := make(chan struct{})
	close(done)
	for i, want := range []struct{ hire, dropped bool }{{true, false}, {false, false}, {false, true}} {
		if hire, dropped := p.give(i, done); hire != want.hire || dropped != want.dropped {
			t.Errorf("item %d: hire %v, dropped %v, want %+v", i, hire, dropped, want)
		}
	}
}
