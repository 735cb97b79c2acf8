package emitter

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestRecent: what is older than the window is forgotten, slot by slot, also
// after a silence of many windows.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recent
		got := func() (n Numbers) { r.numbers(&n); return n }
		if n := got(); n != (Numbers{}) {
			t.Errorf("of nothing: %+v", n)
		}
		r.outcome(90, true)
		r.outcome(10, false)
		r.gaveBack(5)
		r.outcome(0, true)
		for range 98 {
			r.ack(10 * time.Millisecond)
		}
		r.ack(2 * time.Second)
		r.ack(time.Hour)
		n := got()
		if n.Settled != 105 || n.Failed != 15 || n.Returned != 5 || n.ErrorRate() != 15.0/105 {
			t.Errorf("%+v", n)
		}
		near := func(what string, got, want time.Duration) {
			t.Helper()
			if got < want || got > want+want/10 {
				t.Errorf("%s is %v, want %v or a little more", what, got, want)
			}
		}
		near("p50", n.AckP50, 10*time.Millisecond)
		near("p95", n.AckP95, 10*time.Millisecond)
		near("p99", n.AckP99, 2*time.Second)
		time.Sleep(RecentWindow - recentSlot)
		r.outcome(1, true)
		if n := got(); n.Settled != 106 {
			t.Errorf("before the window is over: %+v", n)
		}
		time.Sleep(recentSlot)
		if n := got(); n.Settled != 1 || n.Failed != 0 || n.AckP99 != 0 {
			t.Errorf("after it: %+v", n)
		}
		time.Sleep(1000 * RecentWindow)
		if n := got(); n != (Numbers{}) {
			t.Errorf("long after it: %+v", n)
		}
	})
}

func TestTally(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d tally
		for range 3 {
			d.add()
		}
		time.Sleep(59 * time.Minute)
		d.add()
		if n := d.sum(); n != 4 {
			t.Errorf("%d in the last hour, want 4", n)
		}
		time.Sleep(time.Minute)
		if n := d.sum(); n != 1 {
			t.Errorf("%d in the last hour, want 1", n)
		}
	})
}

// A time is in a bucket whose bound is not below it, and at most a tenth above.
func TestAckBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(ackLeast), int64(6*time.Minute)).Draw(t, "d"))
		bound := ackBound(ackBucket(d))
		if bound < d-1 || float64(bound) > 1.1*float64(d) {
			t.Fatalf("%v is told as %v", d, bound)
		}
	})
}
