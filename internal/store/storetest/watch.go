package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// Watch is what is tested.
type Watch interface {
	Get(ctx context.Context, k store.SeedKey) (store.Watched, bool, error)
	Put(ctx context.Context, seed store.Watched, known bool) error
	Claim(ctx context.Context, now, until time.Time, limit int) ([]store.Watched, error)
	Hold(ctx context.Context, until time.Time, keys ...store.SeedKey) error
	Remove(ctx context.Context, keys ...store.SeedKey) error
	List(ctx context.Context, cursor string, limit int) ([]store.Watched, string, error)
	Count(ctx context.Context) (int, error)
}

// RunWatch tests an empty schedule that two workers share.
func RunWatch(t *testing.T, one, two Watch) {
	t.Helper()
	ctx := t.Context()
	base := time.UnixMilli(1_790_000_000_000)
	seed := func(i int) store.Watched {
		return store.Watched{Domain: fmt.Sprintf("seed%d.com", i), Brand: "B", Origin: "csv", Last: base, Next: base.Add(time.Duration(i) * time.Minute)}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	claim := func(w Watch, now time.Time, limit int) (names []string) {
		t.Helper()
		due, err := w.Claim(ctx, now, now.Add(10*time.Minute), limit)
		check(err)
		for _, d := range due {
			names = append(names, d.Domain)
		}
		return names
	}
	want := func(got []string, names ...string) {
		t.Helper()
		if !slices.Equal(got, names) {
			t.Errorf("claimed %v, want %v", got, names)
		}
	}

	check(one.Put(ctx, seed(0), true)) // is not watched, so it stays so
	if _, ok, err := one.Get(ctx, seed(0).Key()); ok || err != nil {
		t.Errorf("a seed that was never watched: %v, %v", ok, err)
	}
	for i := range 5 {
		check(one.Put(ctx, seed(i), false))
	}
	unknown := seed(9)
	unknown.Next, unknown.Unknown, unknown.Ask, unknown.Delay = base.Add(time.Hour), []string{"x.com"}, base.Add(90*time.Second), time.Minute
	check(two.Put(ctx, unknown, false))
	got, ok, err := one.Get(ctx, unknown.Key())
	if err != nil || !ok || got.Domain != unknown.Domain || got.Brand != "B" || got.Origin != "csv" || !got.Last.Equal(base) || !got.Next.Equal(unknown.Next) ||
		!slices.Equal(got.Unknown, unknown.Unknown) || !got.Ask.Equal(unknown.Ask) || got.Delay != time.Minute {
		t.Errorf("%+v, %v, %v, want %+v", got, ok, err, unknown)
	}

	want(claim(one, base.Add(-time.Second), 9))
	want(claim(one, base.Add(3*time.Minute), 2), "seed0.com", "seed1.com")
	want(claim(two, base.Add(3*time.Minute), 9), "seed9.com", "seed2.com", "seed3.com")
	check(one.Hold(ctx, base.Add(time.Hour), seed(0).Key(), seed(7).Key()))
	done := seed(1)
	done.Next = base.Add(5 * time.Minute)
	check(one.Put(ctx, done, true))
	check(two.Hold(ctx, base.Add(time.Second), done.Key())) // due later anyway
	want(claim(two, base.Add(5*time.Minute), 9), "seed4.com", "seed1.com")
	// seed0 is held, the claims on the others have run out
	want(claim(one, base.Add(14*time.Minute), 9), "seed9.com", "seed2.com", "seed3.com")
	want(claim(one, base.Add(15*time.Minute-time.Second), 9))
	done.Next = base.Add(15*time.Minute - time.Second)
	check(two.Put(ctx, done, true)) // its claim ends with it
	want(claim(one, base.Add(15*time.Minute), 9), "seed1.com", "seed4.com")
	want(claim(two, base.Add(15*time.Minute), 9))
	all := claim(two, base.Add(59*time.Minute), 9)
	slices.Sort(all) // their claims ran out at the same time
	want(all, "seed1.com", "seed2.com", "seed3.com", "seed4.com", "seed9.com")

	check(one.Remove(ctx, seed(0).Key(), seed(7).Key()))
	check(one.Put(ctx, seed(0), true))
	want(claim(one, base.Add(61*time.Minute), 9))
	watchList(t, one, 5)
	watchRace(t, one, two, base.Add(100*time.Hour))
}

func watchList(t *testing.T, w Watch, want int) {
	t.Helper()
	found := map[string]bool{}
	cursor := ""
	for range 100 {
		page, next, err := w.List(t.Context(), cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, seed := range page {
			found[seed.Domain] = true
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	if n, err := w.Count(t.Context()); len(found) != want || n != want || err != nil || found["seed0.com"] {
		t.Errorf("%d listed, %d counted, %v, want %d: %v", len(found), n, err, want, found)
	}
	if page, next, err := w.List(t.Context(), "no cursor", 2); len(page) > 0 || next != "" || err != nil {
		t.Errorf("%v, %q, %v", page, next, err)
	}
}

// watchRace lets two workers claim at the same time: each seed goes to one.
func watchRace(t *testing.T, one, two Watch, now time.Time) {
	t.Helper()
	const seeds = 60
	for i := range seeds {
		seed := store.Watched{Domain: fmt.Sprintf("race%d.com", i), Next: now.Add(-time.Minute)}
		if err := one.Put(t.Context(), seed, false); err != nil {
			t.Fatal(err)
		}
	}
	var mu sync.Mutex
	claims := map[string]int{}
	var workers sync.WaitGroup
	for _, w := range []Watch{one, two, one, two} {
		workers.Go(func() {
			for range seeds {
				due, err := w.Claim(t.Context(), now, now.Add(time.Hour), 3)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, seed := range due {
					claims[seed.Domain]++
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	for i := range seeds {
		if n := claims[fmt.Sprintf("race%d.com", i)]; n != 1 {
			t.Errorf("race%d.com was claimed %d times", i, n)
		}
	}
}
