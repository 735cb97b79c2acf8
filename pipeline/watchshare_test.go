package pipeline

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/typostream/typostream/internal/store"
)

// shareEvery is the interval of a schedule that is shared: longer than a claim,
// and short, for each second of it is a question to Redis.
const shareEvery = 40 * time.Minute

// sharing is a worker with a queue of its own and a schedule that others have too.
type sharing struct {
	watchedQueue
	shared *store.Redis
}

// joinSchedule starts a worker on the schedule in a Redis.
func joinSchedule(t *testing.T, addr string) *sharing {
	t.Helper()
	w := &sharing{shared: sharedStore(t, addr)}
	w.watchedQueue = watchedQueue{queueFile: newQueue(t, 1000), t: t, summary: func(Seed) Summary { return Summary{} }}
	cfg := w.config()
	cfg.Store, cfg.Interval = w.shared.Watch(), shareEvery
	w.beginWith(cfg)
	return w
}

// Two workers on one schedule: each seed that is due is scanned by one
// of them, once an interval, and both have a share. One is then killed with
// seeds in its hands: the other scans these as soon as the claims run out, and
// all seeds from then on.
func TestWatchIsSharedByWorkers(t *testing.T) {
	redis := miniredis.RunT(t).Addr() // outside the bubble: it waits for connections for ever
	synctest.Test(t, func(t *testing.T) {
		const seeds = 20
		a, b := joinSchedule(t, redis), joinSchedule(t, redis)
		defer b.stop()
		a.first(seeds / 2)
		for i := seeds / 2; i < seeds; i++ {
			s := handedIn(t, fmt.Sprintf("seed%d.com", i), "B")
			s.Priority, s.Seed.Origin = ByFile, FromCSV
			b.submit(t, s)
		}
		b.work()
		b.scans, b.times = nil, nil

		both := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				time.Sleep(time.Second)
				synctest.Wait()
				a.work()
				b.work()
			}
		}
		both(5 * shareEvery / 2)
		last := map[string]time.Time{}
		for _, w := range []*sharing{a, b} {
			if len(w.scans) < seeds/4 {
				t.Errorf("one of both did %d scans, the other %d", len(a.scans), len(b.scans))
			}
		}
		for _, s := range merged(a, b) {
			if before, again := last[s.seed]; again && s.at.Sub(before) < shareEvery*9/10 {
				t.Errorf("%s again after %v", s.seed, s.at.Sub(before))
			}
			last[s.seed] = s.at
		}
		if len(last) != seeds {
			t.Errorf("%d seeds were scanned again, want %d", len(last), seeds)
		}
		for seed, at := range last {
			if since := time.Since(at); since > shareEvery*11/10+2*watchGap {
				t.Errorf("%s was scanned %v ago", seed, since)
			}
		}
		testTakeOver(t, a, b, last)
	})
}

// testTakeOver kills a once it holds a seed, and gives b the time to do all.
func testTakeOver(t *testing.T, a, b *sharing, last map[string]time.Time) {
	t.Helper()
	for _, s := range merged(a, b) {
		last[s.seed] = s.at
	}
	for len(a.rescanned()) == 0 {
		time.Sleep(time.Second)
		synctest.Wait()
		b.work()
	}
	a.stop()
	held := a.rescanned()
	killed := time.Now()
	b.scans, b.times = nil, nil
	b.pass(watchClaim + 5*watchGap)
	for _, key := range held {
		found := false
		for i, seed := range b.scans {
			found = found || store.KeyOf(seed, "B") == key && b.times[i].Sub(killed) >= watchClaim-watchTick-watchRenew
		}
		if !found {
			t.Errorf("a seed of the killed worker was not taken over; the other scanned %v", b.scans)
		}
	}
	b.pass(shareEvery * 5 / 4)
	for _, seed := range b.scans {
		delete(last, seed)
	}
	if len(last) > 0 {
		t.Errorf("not scanned since a worker was killed: %v", last)
	}
}

type scanned struct {
	seed string
	at   time.Time
}

// merged are the scans of both in the order of time.
func merged(workers ...*sharing) (all []scanned) {
	for _, w := range workers {
		for i, seed := range w.scans {
			all = append(all, scanned{seed, w.times[i]})
		}
	}
	slices.SortStableFunc(all, func(x, y scanned) int { return x.at.Compare(y.at) })
	return all
}
