package resolver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func testCache(entries int) *cache {
	start := time.Now()
	return newCache(entries, func() time.Duration { return time.Since(start) }, newFindings())
}

// through is what Resolve does with a cache.
func through(ctx context.Context, c *cache, name string, find func(context.Context) (Answer, time.Duration, error)) (a Answer, err error) {
	e, err := c.claim(ctx, name, &a)
	if e == nil {
		return a, err
	}
	a, keep, err := find(ctx)
	c.settle(e, &a, keep, err)
	return a, err
}

// found returns a find that counts its calls.
func found(a Answer, keep time.Duration, calls *int) func(context.Context) (Answer, time.Duration, error) {
	return func(context.Context) (Answer, time.Duration, error) {
		*calls++
		return a, keep, nil
	}
}

func TestCacheKeepsForTheTimeToLive(t *testing.T) {
	for name, tt := range map[string]struct {
		answer Answer
		keep   time.Duration
		want   time.Duration
	}{
		"registered":            {Answer{Name: "a.in", State: Registered, A: []string{"192.0.2.1"}}, 5 * time.Minute, 5 * time.Minute},
		"registered, for long":  {Answer{Name: "a.in", State: Registered}, 48 * time.Hour, time.Hour},
		"absent":                {absent("a.in", "192.0.2.53:53"), 3 * time.Minute, 3 * time.Minute},
		"absent, for long":      {absent("a.in", "192.0.2.53:53"), 48 * time.Hour, 15 * time.Minute},
		"absent, without a SOA": {absent("a.in", "192.0.2.53:53"), 0, 0},
		"unknown":               {Answer{Name: "a.in", Reason: "SERVFAIL"}, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, calls := testCache(10), 0
				ask := func(want int) {
					t.Helper()
					a, err := through(t.Context(), c, "a.in", found(tt.answer, tt.keep, &calls))
					if err != nil || fmt.Sprint(a) != fmt.Sprint(tt.answer) {
						t.Errorf("got %+v, %v", a, err)
					}
					if calls != want {
						t.Errorf("found out %d times, want %d", calls, want)
					}
				}
				ask(1)
				if tt.want > 0 {
					time.Sleep(tt.want - time.Nanosecond)
					ask(1)
					time.Sleep(time.Nanosecond)
				}
				ask(2)
			})
		})
	}
}

func TestNothingExistsBelowAnAbsentName(t *testing.T) {
	c, calls := testCache(10), 0
	ask := func(name string, a Answer) Answer {
		t.Helper()
		got, err := through(t.Context(), c, name, found(a, time.Hour, &calls))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	ask("gone.co.in", absent("gone.co.in", "192.0.2.53:53"))
	if a := ask("www.gone.co.in", Answer{}); calls != 1 || a.State != Absent || a.Name != "www.gone.co.in" || a.Server != "192.0.2.53:53" {
		t.Errorf("%d calls, %+v", calls, a)
	}
	if ask("there.co.in", Answer{Name: "there.co.in", State: Registered}); calls != 2 {
		t.Errorf("a sibling was taken for absent")
	}
	// Only a registry is believed: what hosters say of names without records
	// of their own is often wrong.
	ask("mail.there.co.in", absent("mail.there.co.in", "192.0.2.53:53"))
	if a := ask("x.mail.there.co.in", Answer{Name: "x.mail.there.co.in", State: Registered}); calls != 4 || a.State != Registered {
		t.Errorf("%d calls, %+v", calls, a)
	}
	// An alias of nothing exists itself.
	ask("alias.co.in", Answer{Name: "alias.co.in", State: Registered, RCode: "NXDOMAIN", Reason: ReasonDangling})
	if ask("x.alias.co.in", absent("x.alias.co.in", "")); calls != 6 {
		t.Error("an alias of a missing name was taken for absent")
	}
}

func TestCachedAnswersShareNoMemory(t *testing.T) {
	c, calls := testCache(10), 0
	find := found(Answer{Name: "a.in", State: Registered, NS: []string{"ns1.in"}, Incomplete: []string{"A"}}, time.Hour, &calls)
	for range 3 {
		a, err := through(t.Context(), c, "a.in", find)
		if err != nil || a.NS[0] != "ns1.in" || a.Incomplete[0] != "A" {
			t.Fatalf("%+v, %v", a, err)
		}
		a.NS[0], a.Incomplete[0] = "changed", "changed"
	}
}

func TestCacheIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.IntRange(1, 20).Draw(t, "entries")
		c := testCache(entries)
		for range rapid.IntRange(1, 200).Draw(t, "puts") {
			name := fmt.Sprintf("n%d.in", rapid.IntRange(0, 40).Draw(t, "name"))
			a := absent(name, "192.0.2.53:53")
			if rapid.Bool().Draw(t, "registered") {
				a = Answer{Name: name, State: Registered, MX: []string{strings.Repeat("x", rapid.IntRange(0, 3000).Draw(t, "size"))}}
			}
			if _, err := through(context.Background(), c, name, func(context.Context) (Answer, time.Duration, error) { return a, time.Hour, nil }); err != nil {
				t.Fatal(err)
			}
			total, length := 0, 0
			for e := c.recent.next; e != &c.recent; e = e.next {
				total += e.bytes
				length++
				if c.entries[e.name] != e {
					t.Fatalf("%s is in the ring only", e.name)
				}
			}
			if length != len(c.entries) || length != c.kept || length > entries || total != c.bytes || total > entries*bytesPerEntry {
				t.Fatalf("%d entries, %d in the ring, %d bytes of %d counted", len(c.entries), length, total, c.bytes)
			}
		}
	})
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	c, calls := testCache(3), 0
	ask := func(name string) {
		if _, err := through(t.Context(), c, name, found(absent(name, ""), time.Hour, &calls)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "c", "a", "d"} {
		ask(name)
	}
	for name, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, kept := c.entries[name]; kept != want {
			t.Errorf("%s is kept: %v", name, kept)
		}
	}
}

func TestOneLookUpForAllWhoAskAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testCache(10)
		calls := 0
		find := func(ctx context.Context) (Answer, time.Duration, error) {
			calls++
			time.Sleep(time.Second)
			return Answer{Name: "a.in", Reason: "SERVFAIL"}, 0, nil
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if a, err := through(t.Context(), c, "a.in", find); err != nil || a.Reason != "SERVFAIL" {
					t.Errorf("%+v, %v", a, err)
				}
			})
		}
		wg.Wait()
		if calls != 1 {
			t.Errorf("%d look-ups", calls)
		}
	})
}

// Whoever goes away takes only its own answer along.
func TestCancellingOneWaiterCancelsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testCache(10)
		calls := 0
		find := func(ctx context.Context) (Answer, time.Duration, error) {
			calls++
			select {
			case <-ctx.Done():
				return Answer{}, 0, ctx.Err()
			case <-time.After(time.Second):
				return Answer{Name: "a.in", State: Registered}, time.Hour, nil
			}
		}
		leader, cancelLeader := context.WithCancel(t.Context())
		waiter, cancelWaiter := context.WithCancel(t.Context())
		errs := make([]error, 4)
		var wg sync.WaitGroup
		for i, ctx := range []context.Context{leader, waiter, t.Context(), t.Context()} {
			wg.Go(func() { _, errs[i] = through(ctx, c, "a.in", find) })
			synctest.Wait()
		}
		cancelWaiter()
		synctest.Wait()
		cancelLeader()
		wg.Wait()
		if !errors.Is(errs[0], context.Canceled) || !errors.Is(errs[1], context.Canceled) || errs[2] != nil || errs[3] != nil {
			t.Errorf("got %v", errs)
		}
		if calls != 2 || len(c.entries) != c.kept {
			t.Errorf("%d look-ups, want the cancelled one and another; %d entries, %d kept", calls, len(c.entries), c.kept)
		}
	})
}

func TestClosedReachesWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testCache(10)
		find := func(context.Context) (Answer, time.Duration, error) {
			time.Sleep(time.Second)
			return Answer{}, 0, ErrClosed
		}
		errs := make([]error, 3)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = through(t.Context(), c, "a.in", find) })
		}
		wg.Wait()
		if slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, ErrClosed) }) {
			t.Errorf("got %v", errs)
		}
	})
}

// The whole way, over several names and twice.
func TestResolveFromTheCache(t *testing.T) {
	server := serve(t, "in. SOA ns. h. 1 2 3 4 300\na.in. A 192.0.2.1\nshort.in. 0 A 192.0.2.2\n;! bad.in. SERVFAIL\n")
	r, err := New(Config{Upstreams: []string{server.Addr()}, CacheEntries: 100, floor: 10 * time.Second, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, tt := range []struct {
		name string
		want int // queries
	}{
		{"a.in", 5 + 3},
		{"A.IN.", 0},
		{"none.in", 1},
		{"none.in", 0},
		{"www.none.in", 0},
		{"short.in", 5},
		{"short.in", 5},
		{"bad.in", 1},
		{"bad.in", 1},
	} {
		before := server.Total()
		a, err := r.Resolve(t.Context(), tt.name)
		if err != nil || a.Name != strings.TrimSuffix(strings.ToLower(tt.name), ".") {
			t.Errorf("%s: %+v, %v", tt.name, a, err)
		}
		if n := server.Total() - before; n != tt.want {
			t.Errorf("%s: %d queries, want %d", tt.name, n, tt.want)
		}
	}
}

// Many who ask for a name while it is looked up cost one look-up.
func TestManyAskOnce(t *testing.T) {
	server := serve(t, "in. SOA ns. h. 1 2 3 4 300\na.in. A 192.0.2.1\n;! a.in. DELAY 50ms\n")
	r, err := New(Config{Upstreams: []string{server.Addr()}, CacheEntries: 100, floor: 10 * time.Second, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a, err := r.Resolve(t.Context(), "a.in"); err != nil || a.State != Registered {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	all.Wait()
	if n := server.Total(); n != 5+3 {
		t.Errorf("%d queries, want %d", n, 5+3)
	}
}
