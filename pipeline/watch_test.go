package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/typostream/typostream/internal/store"
)

const testDay = 24 * time.Hour

// watchedQueue is a queue with a schedule in the same file, and a worker whose
// scans take no time.
type watchedQueue struct {
	*queueFile
	t       testing.TB
	watch   *Watch
	summary func(Seed) Summary
	scans   []string // of all seeds, in order; "seed only=names"
	times   []time.Time
	stop    func()
}

func newWatched(t *testing.T) *watchedQueue {
	t.Helper()
	w := &watchedQueue{queueFile: newQueue(t, 1000), t: t, summary: func(Seed) Summary { return Summary{} }}
	w.begin()
	return w
}

func (w *watchedQueue) config() WatchConfig {
	return WatchConfig{
		Store: w.file.Watch(), Queue: w.QueueSource, Interval: testDay, Unknown: 15 * time.Minute, Window: 4, Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler),
	}
}

func (w *watchedQueue) begin() { w.beginWith(w.config()) }

func (w *watchedQueue) beginWith(cfg WatchConfig) {
	w.watch = NewWatch(cfg)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.watch.Run(ctx, nil) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
}

// pass lets time pass, and scans what is queued each second.
func (w *watchedQueue) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Second)
		synctest.Wait()
		w.work()
	}
}

func (w *watchedQueue) work() {
	for {
		d, ok := w.next()
		if !ok {
			return
		}
		s := w.summary(d.Seed)
		text := d.Seed.FQDN
		if d.Seed.Only != nil {
			text += fmt.Sprint(" only=", d.Seed.Only)
		}
		w.scans, w.times = append(w.scans, text), append(w.times, time.Now())
		w.watch.finished(w.t.Context(), d.Seed, s)
		d.Done(nil)
	}
}

// first scans n seeds for the first time.
func (w *watchedQueue) first(n int) {
	for i := range n {
		s := handedIn(w.t, fmt.Sprintf("seed%d.com", i), "B")
		s.Priority, s.Seed.Origin = ByFile, FromCSV
		w.submit(w.t.(*testing.T), s)
	}
	w.work()
	w.scans, w.times = nil, nil
}

// Seeds that came together come due one by one, each again after a day and a
// tenth at most, and a re-scan has the origin of the first.
func TestWatchSpreadsAndRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		defer w.stop()
		const seeds = 40
		w.summary = func(s Seed) Summary {
			if len(w.scans) >= seeds && (!s.Rescan || s.Origin != FromCSV) {
				t.Errorf("scanned again: %+v", s)
			}
			return Summary{}
		}
		w.first(seeds)
		began := time.Now()
		w.pass(testDay / 4)
		if len(w.scans) > 0 {
			t.Errorf("%d scans within the first quarter", len(w.scans))
		}
		w.pass(testDay * 3 / 4)
		if got := len(w.scans); got < seeds*9/10 || got > seeds {
			t.Errorf("%d scans on the first day, want about %d", got, seeds)
		}
		early := 0
		for _, at := range w.times {
			if at.Sub(began) < testDay*5/8 {
				early++
			}
		}
		if early < seeds/10 || early > seeds*9/10 {
			t.Errorf("%d of %d scans in the first half of the spread", early, seeds)
		}
		w.pass(2 * testDay)
		last := map[string]time.Time{}
		for i, name := range w.scans {
			if before, again := last[name]; again {
				if between := w.times[i].Sub(before); between < testDay*9/10 || between > testDay*11/10+2*watchGap {
					t.Errorf("%s again after %v", name, between)
				}
			}
			last[name] = w.times[i]
		}
		if len(last) != seeds {
			t.Errorf("%d seeds were scanned again, want %d", len(last), seeds)
		}
	})
}

// After a week without a worker everything is overdue; it comes at a pace, and the
// schedule is still there.
func TestWatchPacesWhatIsOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		const seeds = 120 // a minute between them
		w.first(seeds)
		w.stop()
		time.Sleep(7 * testDay)
		w.restart(t, 1000)
		w.begin()
		defer func() { w.stop() }()
		w.pass(10 * time.Minute)
		if got := len(w.scans); got < 8 || got > 12 {
			t.Errorf("%d scans in ten minutes, want about 10", got)
		}
		w.pass(testDay / 8)
		if got := len(w.scans); got != seeds {
			t.Errorf("%d scans in an eighth of a day, want %d", got, seeds)
		}
	})
}

// Names that are unknown are asked about sooner, alone, ever less often, and not
// at all once they are known.
func TestWatchAsksUnknownNamesSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched(t)
		defer func() { w.stop() }()
		unknown := []string{"x.com", "y.com"}
		w.summary = func(Seed) Summary { return Summary{Unknown: len(unknown), UnknownNames: unknown} }
		w.first(1)
		began := time.Now()
		w.pass(80 * time.Minute) // 15 m, then 30 m
		if want := []string{"seed0.com only=[x.com y.com]", "seed0.com only=[x.com y.com]"}; !slices.Equal(w.scans, want) {
			t.Fatalf("scans %v, want %v", w.scans, want)
		}
		for i, want := range []time.Duration{15 * time.Minute, 45 * time.Minute} {
			if got := w.times[i].Sub(began); got < want*9/10 || got > want*11/10+2*watchGap {
				t.Errorf("asked after %v, want about %v", got, want)
			}
		}
		unknown = []string{"y.com"}
		w.stop()
		w.restart(t, 1000)
		w.begin()
		w.pass(70 * time.Minute) // an hour after the last
		if got := w.scans[len(w.scans)-1]; len(w.scans) != 3 || got != "seed0.com only=[x.com y.com]" {
			t.Fatalf("scans %v", w.scans)
		}
		unknown = nil
		w.pass(testDay)
		if got := w.scans[3:]; len(got) == 0 || got[0] != "seed0.com only=[y.com]" || slices.ContainsFunc(got[1:], func(s string) bool { return s != "seed0.com" }) {
			t.Errorf("scans %v", got)
		}
	})
}

// What is gone from the file, or was stopped, is watched no longer, not even when
// its scan ends after that; what a person handed in stays.
func TestWatchEnds(t *testing.T) {
	w := newWatched(t)
	defer w.stop()
	ctx := t.Context()
	csv, person := handedIn(t, "csv.com", "B").Seed, handedIn(t, "person.com", "B").Seed
	csv.Origin = FromCSV
	for _, seed := range []Seed{csv, person} {
		w.watch.finished(ctx, seed, Summary{})
	}
	listed := person
	listed.Origin = FromCSV
	w.watch.finished(ctx, listed, Summary{})
	name := handedIn(t, "name.com", "B").Seed
	name.Recheck = true
	w.watch.finished(ctx, name, Summary{})
	if err := w.watch.Unlisted(ctx, []store.SeedKey{store.KeyOf("csv.com", "B"), store.KeyOf("person.com", "B"), store.KeyOf("never.com", "B")}); err != nil {
		t.Fatal(err)
	}
	csv.Rescan = true
	w.watch.finished(ctx, csv, Summary{})
	page, _, err := w.watch.List(ctx, "", 10)
	if err != nil || len(page) != 1 || page[0].Domain != "person.com" || page[0].Origin != "http" {
		t.Errorf("%+v, %v", page, err)
	}
	if stopped, err := w.watch.Stop(ctx, "person.com", "B"); !stopped || err != nil {
		t.Errorf("%v, %v", stopped, err)
	}
	if stopped, err := w.watch.Stop(ctx, "person.com", "B"); stopped || err != nil {
		t.Errorf("a second time: %v, %v", stopped, err)
	}
	w.watch.cfg.Lists = func(store.SeedKey) (bool, error) { return false, nil }
	csv.Rescan = false
	w.watch.finished(ctx, csv, Summary{})
	if n, err := w.watch.cfg.Store.Count(ctx); n != 0 || err != nil {
		t.Errorf("%d are watched, %v", n, err)
	}
}

// failingWatch is a store that fails while broken.
type failingWatch struct {
	WatchStore
	broken bool
}

func (f *failingWatch) Put(ctx context.Context, seed store.Watched, known bool) error {
	if f.broken {
		return errors.New("no answer")
	}
	return f.WatchStore.Put(ctx, seed, known)
}

// A schedule that does not answer gets what it missed when it is back.
func TestWatchOutlastsItsStore(t *testing.T) {
	f := newQueue(t, 10)
	w := &watchedQueue{queueFile: f, t: t}
	failing := &failingWatch{f.file.Watch(), true}
	cfg := w.config()
	cfg.Store = failing
	watch := NewWatch(cfg)
	watch.finished(t.Context(), handedIn(t, "a.com", "B").Seed, Summary{})
	watch.save(t.Context())
	failing.broken = false
	watch.save(t.Context())
	if n, err := failing.Count(t.Context()); n != 1 || err != nil {
		t.Errorf("%d are watched, %v", n, err)
	}
}

// The schedule against a model of it, with restarts at any moment: no seed waits
// or runs twice, none is scanned before it is due, and none is forgotten.
func TestWatchModel(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		f := &queueFile{path: filepath.Join(dir, fmt.Sprintf("%d.db", runs))}
		if err := f.open(50); err != nil {
			r.Fatal(err)
		}
		defer func() { f.file.Close() }()
		now := time.UnixMilli(1_790_000_000_000)
		var w *Watch
		begin := func() {
			w = NewWatch(WatchConfig{
				Store: f.file.Watch(), Queue: f.QueueSource, Interval: testDay, Unknown: time.Hour, Window: 3, Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler),
			})
			w.count(context.Background())
		}
		begin()
		inWork := map[string]Delivery{}
		watched := map[string]store.Watched{}
		finish := func(seed Seed, s Summary) {
			before, known := watched[seed.FQDN]
			after := w.schedule(before, known, seed, s, now)
			if err := w.cfg.Store.Put(context.Background(), after, seed.Rescan); err != nil {
				r.Fatal(err)
			}
			watched[seed.FQDN] = after
		}
		r.Repeat(map[string]func(*rapid.T){
			"first": func(r *rapid.T) {
				s, err := ParseSubmission(rapid.SampledFrom([]string{"a.com", "b.com", "c.com", "d.com", "e.com"}).Draw(r, "domain"), "B", false)
				if err != nil {
					r.Fatal(err)
				}
				if f.holds(s.Seed.FQDN, "B") {
					return // what waits was due before
				}
				finish(s.Seed, Summary{})
			},
			"pass": func(r *rapid.T) {
				step := time.Duration(rapid.IntRange(1, 30*60).Draw(r, "minutes")) * time.Minute
				now = now.Add(step)
				if err := w.cfg.Store.Hold(context.Background(), now.Add(watchClaim), f.rescanned()...); err != nil {
					r.Fatal(err)
				}
				w.queueDue(context.Background(), now, step)
			},
			"next": func(r *rapid.T) {
				d, ok := f.next()
				if !ok {
					return
				}
				seed := watched[d.Seed.FQDN]
				if _, twice := inWork[d.Seed.FQDN]; twice || seed.Due().After(now) || d.Seed.Only == nil && seed.Next.After(now) {
					r.Fatalf("%+v at %v, twice %v, schedule %+v", d.Seed, now, twice, seed)
				}
				inWork[d.Seed.FQDN] = d
			},
			"finish": func(r *rapid.T) {
				for name, d := range inWork {
					delete(inWork, name)
					var s Summary
					if rapid.Bool().Draw(r, "unknown") {
						s.UnknownNames = []string{"x.com"}
					}
					finish(d.Seed, s)
					d.Done(nil)
					return
				}
			},
			"restart": func(r *rapid.T) {
				if err := errors.Join(f.file.Close(), f.open(50)); err != nil {
					r.Fatal(err)
				}
				clear(inWork)
				begin()
			},
			"": func(r *rapid.T) {
				if got := f.Stats(); got.Waiting()+got.InWork > 3 {
					r.Fatalf("more than the window: %+v", got)
				}
				for name, want := range watched {
					got, ok, err := w.cfg.Store.Get(context.Background(), store.KeyOf(name, "B"))
					if err != nil || !ok || !got.Due().Equal(want.Due()) {
						r.Fatalf("%s: %+v, %v, %v, want %+v", name, got, ok, err, want)
					}
				}
			},
		})
	})
}
