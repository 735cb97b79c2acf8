package pipeline

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What is not done counts, begun or not, and what is done behind it.
func TestLag(t *testing.T) {
	b := newBroker(t, 2)
	b.produce(0, submission("one.com"), submission("two.com"))
	b.produce(1, submission("three.com"))
	r := b.run(t)
	lag := func(want float64) func() bool {
		return func() bool { return testutil.ToFloat64(r.meter.lag) == want }
	}
	eventually(t, "a lag of 3", lag(3))
	if got := testutil.ToFloat64(r.meter.owned); got != 2 {
		t.Errorf("%v partitions, want 2", got)
	}
	byName := map[string]Delivery{}
	for range 3 {
		d := r.next()
		byName[d.Seed.FQDN] = d
	}
	byName["three.com"].Done(nil)
	eventually(t, "a lag of 2", lag(2))
	byName["two.com"].Done(nil) // behind one.com
	byName["one.com"].Done(nil)
	eventually(t, "no lag", lag(0))
	r.stop()
	if got := testutil.ToFloat64(r.meter.owned); got != 0 {
		t.Errorf("%v partitions after the end, want none", got)
	}
}
