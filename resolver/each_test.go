package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/typostream/typostream/resolver"
)

// countTo yields 0 to n-1.
func countTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func itemName(i int) string { return fmt.Sprintf("name-%05d.test", i) }

// manyZone registers every twentieth item; a tenth of those has no address.
func manyZone(n int) string {
	var b strings.Builder
	for i := 0; i < n; i += 20 {
		fmt.Fprintf(&b, "%s. NS ns.test.\n", itemName(i))
		if i%200 != 0 {
			fmt.Fprintf(&b, "%s. A 192.0.2.%d\n", itemName(i), i%256)
		}
	}
	return b.String()
}

func TestEachGetsTwentyThousandNamesRight(t *testing.T) {
	const n = 20000
	server := serve(t, manyZone(n))
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}, Timeout: resolver.DefaultTimeout})
	seen := make([]bool, n)
	var inFn atomic.Int32
	err := resolver.Each(t.Context(), r, countTo(n), itemName, func(i int, a resolver.Answer) error {
		if inFn.Add(1) != 1 {
			t.Error("fn is called by two goroutines at a time")
		}
		defer inFn.Add(-1)
		if seen[i] {
			t.Errorf("item %d came twice", i)
		}
		seen[i] = true
		want := resolver.Absent
		if i%20 == 0 {
			want = resolver.Registered
		}
		if a.State != want || a.Name != itemName(i) || (len(a.A) == 1) != (i%20 == 0 && i%200 != 0) || len(a.Incomplete) > 0 {
			t.Errorf("item %d: %+v", i, a)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("item %d never came", i)
		}
	}
	if s := r.Stats(); s.InFlight != 0 || s.Queries < n+3*n/20 {
		t.Errorf("stats %+v", s)
	}
}

func TestEachStopsAtTheErrorOfFn(t *testing.T) {
	server := serve(t, "")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}, Concurrency: 16})
	stop := errors.New("enough")
	calls, taken := 0, 0
	items := func(yield func(int) bool) {
		for taken = 0; yield(taken); taken++ {
		}
	}
	err := resolver.Each(t.Context(), r, items, itemName, func(int, resolver.Answer) error {
		if calls++; calls == 100 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != 100 {
		t.Errorf("error %v after %d calls, want %v after 100", err, calls, stop)
	}
	if taken > 100+2*16 {
		t.Errorf("%d items were taken", taken)
	}
}

func TestEachIsCancelled(t *testing.T) {
	silent := serve(t, ";! * SILENT")
	r := quick(t, resolver.Config{Upstreams: []string{silent.Addr()}, Concurrency: 64, Timeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- resolver.Each(ctx, r, countTo(1_000_000), itemName, func(i int, _ resolver.Answer) error {
			return fmt.Errorf("item %d has no answer and was passed on", i)
		})
	}()
	waitFor(t, func() bool { return silent.Total() == 64 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n, s := silent.Total(), r.Stats(); n != 64 || s.Queries != 64 || s.InFlight != 0 {
		t.Errorf("the server got %d datagrams, want 64; stats %+v", n, s)
	}
}

func TestEachOfNothingAndOfClosed(t *testing.T) {
	server := serve(t, "")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}})
	never := func(int, resolver.Answer) error { t.Error("fn was called"); return nil }
	if err := resolver.Each(t.Context(), r, countTo(0), itemName, never); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := resolver.Each(ctx, r, countTo(5), itemName, never); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	r.Close()
	if err := resolver.Each(t.Context(), r, countTo(5), itemName, never); !errors.Is(err, resolver.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if n := server.Total(); n != 0 {
		t.Errorf("%d datagrams were sent", n)
	}
}

func TestEachSurvivesLoss(t *testing.T) {
	t.Parallel()
	const n = 300
	server := serve(t, manyZone(n)+";! * DROP 1\n")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}, Timeout: resolver.DefaultTimeout})
	// One answer first, so that the time-out is measured, not the initial second.
	resolve(t, r, "warm.test")
	unknown := 0
	err := resolver.Each(t.Context(), r, countTo(n), itemName, func(i int, a resolver.Answer) error {
		if a.State == resolver.Unknown || (a.State == resolver.Registered) != (i%20 == 0) || len(a.Incomplete) > 0 {
			unknown++
		}
		return nil
	})
	if err != nil || unknown > 0 {
		t.Errorf("%d of %d names are unknown or wrong, error %v", unknown, n, err)
	}
}
