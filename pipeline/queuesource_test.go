package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/typostream/typostream/internal/store"
)

func handedIn(t testing.TB, domain, brand string) Submission {
	t.Helper()
	s, err := ParseSubmission(domain, brand, false)
	if err != nil {
		t.Fatal(err)
	}
	s.Source = "submit"
	return s
}

// queueFile is a queue whose process can be killed.
type queueFile struct {
	path string
	file *store.File
	*QueueSource
}

func (f *queueFile) open(limit int) error {
	file, _, err := store.Open(f.path)
	if err != nil {
		return err
	}
	f.file = file
	kept, err := file.Queue()
	if err != nil {
		return err
	}
	f.QueueSource, err = NewQueueSource(QueueConfig{Store: kept, Limit: limit, Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler)})
	return err
}

func newQueue(t *testing.T, limit int) *queueFile {
	t.Helper()
	f := &queueFile{path: filepath.Join(t.TempDir(), "state.db")}
	if err := f.open(limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.file.Close() })
	return f
}

// restart lets go of the file without telling the queue, and begins another.
func (f *queueFile) restart(t *testing.T, limit int) {
	t.Helper()
	if err := errors.Join(f.file.Close(), f.open(limit)); err != nil {
		t.Fatal(err)
	}
}

func (f *queueFile) submit(t *testing.T, submissions ...Submission) []QueuedScan {
	t.Helper()
	scans, err := f.Submit(submissions)
	if err != nil {
		t.Fatal(err)
	}
	return scans
}

// next hands out the seed whose turn it is, as Run does.
func (f *queueFile) next() (Delivery, bool) {
	for _, line := range []*queueLine{f.persons, f.others} {
		if e, d := line.offer(); e != nil {
			line.deliveries.Add(1)
			f.take(e)
			return d, true
		}
	}
	return Delivery{}, false
}

func (f *queueFile) order(t *testing.T) (domains []string) {
	t.Helper()
	for {
		d, ok := f.next()
		if !ok {
			return domains
		}
		domains = append(domains, d.Seed.FQDN)
		d.Done(nil)
	}
}

func checkBooks(t *testing.T, s QueueStats) {
	t.Helper()
	if s.Accepted != s.Done+s.Stopped+s.Waiting()+s.InWork {
		t.Errorf("accepted is not done + stopped + waiting + in work: %+v", s)
	}
}

func TestQueueServesPersonsFirstAndBrandsInTurn(t *testing.T) {
	f := newQueue(t, 100)
	rescan := handedIn(t, "old.com", "OLD")
	rescan.Priority = ByClock
	listed := handedIn(t, "listed.com", "LISTED")
	listed.Priority, listed.Seed.Origin = ByFile, FromCSV
	f.submit(t, rescan, listed)
	for i := range 3 {
		f.submit(t, handedIn(t, fmt.Sprintf("big%d.com", i), "BIG"))
	}
	f.submit(t, handedIn(t, "small.com", "SMALL"))
	other := handedIn(t, "bulk.com", "BIG")
	other.Source = "submit-bulk"
	f.submit(t, other)
	want := []string{"big0.com", "small.com", "bulk.com", "big1.com", "big2.com", "listed.com", "old.com"}
	if got := f.order(t); !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	checkBooks(t, f.Stats())
}

// Whoever listens to one of the two sources only, as it began first, gets nothing
// from it while a person's seed waits.
func TestQueueOffersNothingElseWhileAPersonWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newQueue(t, 100)
		listed := handedIn(t, "listed.com", "LISTED")
		listed.Priority, listed.Seed.Origin = ByFile, FromCSV
		f.submit(t, listed, handedIn(t, "person.com", "PERSON"), handedIn(t, "person.org", "PERSON"))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		start := func(source Source) <-chan Delivery {
			out := make(chan Delivery)
			running.Go(func() {
				if err := source.Run(ctx, out); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
			return out
		}
		others := start(f.Others())
		persons := start(f.Persons())
		for _, want := range []string{"person.com", "person.org", "listed.com"} {
			var d Delivery
			select {
			case d = <-others:
			default:
				d = <-persons
			}
			if d.Seed.FQDN != want {
				t.Errorf("taken %s, want %s", d.Seed.FQDN, want)
			}
			d.Done(nil)
			synctest.Wait()
		}
		cancel()
		running.Wait()
		checkBooks(t, f.Stats())
	})
}

func TestQueueMerges(t *testing.T) {
	f := newQueue(t, 2)
	clock := handedIn(t, "a.com", "A")
	clock.Priority = ByClock
	other := handedIn(t, "b.com", "A")
	other.Priority, other.Seed.Origin = ByClock, FromKafka
	clock.Seed.Origin = FromCSV
	first := f.submit(t, other, clock)
	again := f.submit(t, handedIn(t, "https://A.com/x", "A")) // at the limit, and raised
	if !again[0].Merged || again[0].ID != first[1].ID {
		t.Fatalf("%+v, want merged with %+v", again, first[1])
	}
	name, err := ParseSubmission("a.com", "A", true)
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]Submission{"another kind": name, "another brand": handedIn(t, "a.com", "B")} {
		if _, err := f.Submit([]Submission{s}); !errors.Is(err, ErrQueueFull) {
			t.Errorf("%s: %v, want that it is full", what, err)
		}
	}
	f.restart(t, 9) // the higher priority is on disk
	d, _ := f.next()
	if d.Seed.FQDN != "a.com" || d.Seed.Scan != first[1].ID || d.Seed.Origin != FromHTTP {
		t.Fatalf("%+v goes first, want a.com", d.Seed)
	}
	if scans := f.submit(t, handedIn(t, "a.com", "A"), handedIn(t, "a.com", "A")); scans[0].Merged || !scans[1].Merged || scans[0].ID == first[1].ID {
		t.Errorf("%+v, want a new scan: the one before has begun", scans)
	}
	if got := testutil.ToFloat64(f.cfg.Metrics.merged); got != 1 {
		t.Errorf("%v merged in this process, want 1", got)
	}
	row := handedIn(t, "a.com", "A")
	row.Priority, row.Seed.Origin = ByFile, FromCSV
	if scans := f.submit(t, row); !scans[0].Merged {
		t.Errorf("%+v, want merged with what waits", scans)
	}
	d.Done(errors.New("not now"))
	checkBooks(t, f.Stats())
	for _, want := range []struct {
		domain string
		origin Origin
	}{{"a.com", FromHTTP}, {"a.com", FromHTTP}, {"b.com", FromKafka}} {
		d, _ := f.next()
		if d.Seed.FQDN != want.domain || d.Seed.Origin != want.origin {
			t.Errorf("handed out %+v, want %v", d.Seed, want)
		}
		d.Done(nil)
	}
}

// A submission outlives the process until its seed is done, whatever the
// process was doing when it was killed.
func TestQueueSurvivesKill(t *testing.T) {
	f := newQueue(t, 10)
	scans := f.submit(t, handedIn(t, "a.com", "A"), handedIn(t, "b.com", "A"), handedIn(t, "c.com", "A"))
	done, _ := f.next()
	done.Finished(Summary{Generated: 7})
	done.Done(nil)
	if _, ok := f.next(); !ok { // in work
		t.Fatal("nothing in the queue")
	}
	if s := f.Stats(); s.Accepted != 3 || s.Done != 1 || s.InWork != 1 || s.Waiting() != 1 {
		t.Errorf("%+v", s)
	}
	if got, ok := f.Scan(scans[0].ID); !ok || got.State != ScanDone || got.Summary.Generated != 7 || got.Ended.IsZero() {
		t.Errorf("the finished scan: %+v", got)
	}
	f.restart(t, 10)
	if s := f.Stats(); s.Accepted != 2 || s.Waiting() != 2 || s.Done != 0 || s.InWork != 0 {
		t.Errorf("after a restart: %+v", s)
	}
	if got, ok := f.Scan(scans[1].ID); !ok || got.State != ScanWaiting || got.Domain != "b.com" || got.Accepted.IsZero() {
		t.Errorf("after a restart: %+v", got)
	}
	for _, id := range []string{scans[0].ID, "", "1", "queue-1-2", scans[1].ID + "0", f.prefix + "02"} {
		if got, ok := f.Scan(id); ok {
			t.Errorf("scan %q: %+v", id, got)
		}
	}
	if got := f.order(t); !slices.Equal(got, []string{"b.com", "c.com"}) {
		t.Errorf("order %v", got)
	}
	if fresh := f.submit(t, handedIn(t, "d.com", "A")); fresh[0].ID != f.prefix+"4" {
		t.Errorf("id %s, want number 4", fresh[0].ID)
	}
}

func TestQueueOnUnusableDisk(t *testing.T) {
	f := newQueue(t, 10)
	f.submit(t, handedIn(t, "a.com", "A"))
	f.file.Close()
	if _, err := f.Submit([]Submission{handedIn(t, "b.com", "A")}); err == nil {
		t.Error("accepted without a disk")
	}
	d, _ := f.next()
	d.Done(nil) // cannot be taken out
	checkBooks(t, f.Stats())
	if s := f.Stats(); s.Accepted != 1 || s.Done != 1 {
		t.Errorf("%+v", s)
	}
}

func TestQueueLeavesOutWhatCannotBeRead(t *testing.T) {
	f := newQueue(t, 10)
	if _, err := f.cfg.Store.Put([][]byte{[]byte("{"), []byte(`{"v":2}`), []byte(`{"v":1,"domain":"192.0.2.1"}`), []byte(`{"v":1,"domain":"a.com","priority":"rescan"}`)}, nil); err != nil {
		t.Fatal(err)
	}
	f.restart(t, 10)
	if s := f.Stats(); s.Waiting() != 1 || s.ByPriority[ByClock] != 1 {
		t.Errorf("%+v", s)
	}
}

// The seeds of persons come out of a source of their own, so that a worker can
// take them first, even one that was raised while it was offered to others.
func TestQueueRun(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := newQueue(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	persons, others := make(chan Delivery), make(chan Delivery)
	ended := make(chan error, 2)
	go func() { ended <- f.Persons().Run(ctx, persons) }()
	go func() { ended <- f.Others().Run(ctx, others) }()
	clock := handedIn(t, "clock.com", "A")
	clock.Priority = ByClock
	f.submit(t, clock)
	eventually(t, "clock.com is offered", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.others.offered != nil
	})
	f.submit(t, handedIn(t, "clock.com", "A"))
	first := <-persons
	f.submit(t, handedIn(t, "person.com", "A"))
	second := <-persons
	if got := []string{first.Seed.FQDN, second.Seed.FQDN}; !slices.Equal(got, []string{"clock.com", "person.com"}) {
		t.Errorf("handed out %v", got)
	}
	first.Done(nil)
	cancel()
	second.Done(context.Canceled)
	if err := errors.Join(<-ended, <-ended); err != nil {
		t.Error(err)
	}
	if _, err := f.Submit([]Submission{clock}); !errors.Is(err, ErrQueueStopped) {
		t.Errorf("%v, want that it is stopped", err)
	}
	if s := f.Stats(); s.Done != 1 || s.Waiting() != 1 || s.InWork != 0 {
		t.Errorf("%+v", s)
	}
}

// A worker may give a seed back before the queue has noted that it was handed out.
func TestQueueGivenBackAtOnce(t *testing.T) {
	f := newQueue(t, 10)
	f.submit(t, handedIn(t, "bank.com", "A"))
	for range 2 {
		e, delivery := f.persons.offer()
		if e == nil {
			t.Fatal("it is not offered")
		}
		f.persons.deliveries.Add(1)
		delivery.Done(errors.New("no resolver answers"))
		f.take(e)
		if s := f.Stats(); s.Waiting() != 1 || s.InWork != 0 || s.Accepted != 1 {
			t.Errorf("given back: %+v", s)
		}
	}
	e, delivery := f.persons.offer()
	f.persons.deliveries.Add(1)
	delivery.Done(nil)
	f.take(e)
	if s := f.Stats(); s.Waiting() != 0 || s.InWork != 0 || s.Done != 1 {
		t.Errorf("done: %+v", s)
	}
	if e, _ := f.persons.offer(); e != nil {
		t.Error("it is offered again")
	}
}

// Feed leaves persons a tenth of the room, and goes on when there is some.
func TestQueueFeedWaitsForRoom(t *testing.T) {
	f := newQueue(t, 10)
	var rows []Submission
	for i := range 30 {
		row := handedIn(t, fmt.Sprintf("row%d.com", i), "A")
		row.Priority, row.Seed.Origin = ByFile, FromCSV
		rows = append(rows, row)
	}
	fed := make(chan error, 1)
	go func() { fed <- f.Feed(t.Context(), rows) }()
	eventually(t, "nine rows wait", func() bool { return f.Stats().Waiting() == 9 })
	f.submit(t, handedIn(t, "person.com", "P"))
	if _, err := f.Submit([]Submission{handedIn(t, "late.com", "P")}); !errors.Is(err, ErrQueueFull) {
		t.Errorf("%v, want that it is full", err)
	}
	want := []string{"person.com"}
	for i := range 30 {
		want = append(want, fmt.Sprintf("row%d.com", i))
	}
	var got []string
	eventually(t, "all rows are through", func() bool {
		if s := f.Stats(); s.Waiting()+s.InWork > 10 {
			t.Fatalf("%+v", s)
		}
		got = append(got, f.order(t)...)
		return len(got) == len(want)
	})
	if err := <-fed; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, order %v", err, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { fed <- f.Feed(ctx, rows) }()
	eventually(t, "nine rows wait again", func() bool { return f.Stats().Waiting() == 9 })
	cancel()
	if err := <-fed; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	f.persons.stop()
	if err := f.Feed(t.Context(), rows); !errors.Is(err, ErrQueueStopped) {
		t.Errorf("%v, want that it is stopped", err)
	}
}

// The queue against a model of it: a set of what waits, a set of what is in
// work. Restarts at any moment put what was in work back, and nothing else
// changes.
func TestQueueModel(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		runs++
		limit := rapid.IntRange(1, 6).Draw(r, "limit")
		f := &queueFile{path: filepath.Join(dir, fmt.Sprintf("%d.db", runs))}
		if err := f.open(limit); err != nil {
			r.Fatal(err)
		}
		defer func() { f.file.Close() }()
		waiting, ids := map[string]Priority{}, map[string]queueKey{}
		inWork := map[string]Delivery{}
		cancelled := map[string]bool{} // of what is in work
		runs := func(key queueKey) bool {
			for id := range inWork {
				if ids[id] == key && !cancelled[id] {
					return true
				}
			}
			return false
		}
		accepted, done, stopped := 0, 0, 0
		find := func(key queueKey) (twins []string) {
			for id := range waiting {
				if ids[id] == key {
					twins = append(twins, id)
				}
			}
			return twins
		}
		// After a restart what was in work waits beside what was submitted since:
		// of such twins a later submission may be merged with any, one that is in
		// work again included, or with none.
		loose := map[queueKey]bool{}
		r.Repeat(map[string]func(*rapid.T){
			"submit": func(r *rapid.T) {
				s, err := ParseSubmission(rapid.SampledFrom([]string{"a.com", "b.com", "c.com"}).Draw(r, "domain"),
					rapid.SampledFrom([]string{"A", "B"}).Draw(r, "brand"), rapid.Bool().Draw(r, "name only"))
				if err != nil {
					r.Fatal(err)
				}
				s.Priority = Priority(rapid.IntRange(0, int(priorities)-1).Draw(r, "priority"))
				twins, room := find(s.key()), len(waiting)+len(inWork) < limit
				scans, err := f.Submit([]Submission{s})
				switch {
				case err == nil && scans[0].Merged && !slices.Contains(twins, scans[0].ID):
					_, running := inWork[scans[0].ID]
					if !running || cancelled[scans[0].ID] || s.Priority == ByPerson || ids[scans[0].ID] != s.key() {
						r.Fatalf("merged with %s, which is not in work", scans[0].ID)
					}
					if len(twins) > 0 && !loose[s.key()] {
						r.Fatalf("merged with %s, want one of %v", scans[0].ID, twins)
					}
				case s.Priority != ByPerson && len(twins) == 0 && runs(s.key()):
					r.Fatalf("%v, %+v: not merged with the one in work", err, scans)
				case errors.Is(err, ErrQueueFull):
					if room || len(twins) > 0 && !loose[s.key()] {
						r.Fatal("full, with room or a twin")
					}
				case err != nil:
					r.Fatal(err)
				case scans[0].Merged:
					waiting[scans[0].ID] = min(waiting[scans[0].ID], s.Priority)
				default:
					if _, known := ids[scans[0].ID]; known || !room || len(twins) > 0 && !loose[s.key()] {
						r.Fatalf("accepted as %s, with twins %v and room %v", scans[0].ID, twins, room)
					}
					waiting[scans[0].ID], ids[scans[0].ID] = s.Priority, s.key()
					accepted++
				}
			},
			"next": func(r *rapid.T) {
				d, ok := f.next()
				if ok != (len(waiting) > 0) {
					r.Fatalf("handed out: %v, with %d waiting", ok, len(waiting))
				}
				if !ok {
					return
				}
				priority, known := waiting[d.Seed.Scan]
				if !known || priority != slices.Min(slices.Collect(maps.Values(waiting))) {
					r.Fatalf("%s of %v", d.Seed.Scan, waiting)
				}
				delete(waiting, d.Seed.Scan)
				inWork[d.Seed.Scan] = d
			},
			"finish": func(r *rapid.T) {
				for id, d := range inWork {
					delete(inWork, id)
					if cancelled[id] && d.Context.Err() == nil {
						r.Fatalf("%s was stopped and goes on", id)
					}
					if cancelled[id] && rapid.Bool().Draw(r, "in time") {
						d.Done(context.Canceled)
						stopped++
						return
					}
					d.Done(nil)
					done++
					return
				}
			},
			"stop": func(r *rapid.T) {
				known := slices.Sorted(maps.Keys(ids))
				if len(known) == 0 {
					return
				}
				id := rapid.SampledFrom(known).Draw(r, "id")
				if _, err := f.Stop(id); err != nil {
					r.Fatal(err)
				}
				if _, waits := waiting[id]; waits {
					delete(waiting, id)
					stopped++
				} else if _, works := inWork[id]; works {
					cancelled[id] = true
				}
			},
			"restart": func(r *rapid.T) {
				for id := range inWork {
					if status, _ := f.Scan(id); !cancelled[id] {
						waiting[id] = status.Priority
					}
				}
				clear(inWork)
				clear(cancelled)
				accepted, done, stopped = len(waiting), 0, 0
				if err := errors.Join(f.file.Close(), f.open(limit)); err != nil {
					r.Fatal(err)
				}
				for id := range waiting {
					if len(find(ids[id])) > 1 {
						loose[ids[id]] = true
					}
				}
			},
			"": func(r *rapid.T) {
				s := f.Stats()
				if s.Accepted != accepted || s.Done != done || s.Stopped != stopped || s.Waiting() != len(waiting) || s.InWork != len(inWork) || s.Oldest.IsZero() != (len(waiting) == 0) {
					r.Fatalf("%+v, want accepted %d, done %d, stopped %d, %d waiting, %d in work", s, accepted, done, stopped, len(waiting), len(inWork))
				}
				for id, priority := range waiting {
					if got, ok := f.Scan(id); !ok || got.State != ScanWaiting || got.Priority != priority {
						r.Fatalf("scan %s: %+v, want it queued for a %v", id, got, priority)
					}
				}
			},
		})
	})
}
