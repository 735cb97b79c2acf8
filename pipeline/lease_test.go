package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store"
)

// tallies counts what was published of each name, by all that use it.
type tallies struct {
	mu    sync.Mutex
	of    map[string]int
	fate  emitter.Fate
	after func(total int) // nil: nothing
	total int
}

func (s *tallies) EmitEach(_ context.Context, messages ...emitter.Message) ([]emitter.Fate, error) {
	s.mu.Lock()
	fates := make([]emitter.Fate, len(messages))
	for i, m := range messages {
		s.of[m.Key]++
		fates[i] = s.fate
	}
	s.total += len(messages)
	total := s.total
	s.mu.Unlock()
	if s.after != nil {
		s.after(total)
	}
	return fates, nil
}

// want fails unless each name was published between least and most times.
func (s *tallies) want(t *testing.T, names []string, least, most int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	bad := 0
	for _, n := range names {
		if s.of[n] < least || s.of[n] > most {
			bad++
		}
	}
	if bad > 0 || len(s.of) != len(names) {
		t.Errorf("%d of %d names were not published %d to %d times; %d names in all", bad, len(names), least, most, len(s.of))
	}
}

func someNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("name%d.com", i)
	}
	return names
}

func sharedStore(t *testing.T, addr string) *store.Redis {
	t.Helper()
	r := store.NewRedis(store.RedisConfig{Addr: addr, TTL: time.Hour})
	t.Cleanup(func() { r.Close() })
	return r
}

func oneMessage(key string) func(sighting) ([]emitter.Message, error) {
	return func(sighting) ([]emitter.Message, error) { return []emitter.Message{{Key: key}}, nil }
}

// publishAll publishes the names as a worker of its own.
func publishAll(t *testing.T, s Store, e Emitter, names []string) outcome {
	t.Helper()
	p := newPublisher(t.Context(), &visit{seed: "bank.com"}, e, NewDedup(s, time.Hour, false, NewMetrics(), slog.New(slog.DiscardHandler)), nil)
	for _, n := range names {
		p.publish(publication{messages: oneMessage(n), candidate: true, entry: store.Entry{Name: n, Published: time.Now()}})
	}
	out, err := p.close()
	if err != nil {
		t.Error(err)
	}
	return out
}

// oneAtATime fails the test when its worker asks for leases while it has some.
type oneAtATime struct {
	*store.Redis
	t     *testing.T
	held  atomic.Int64
	asked func(got int) // after each question; nil: nothing
}

func (o *oneAtATime) Lease(ctx context.Context, seed string, names []string, token string, life time.Duration) ([]bool, error) {
	if n := o.held.Load(); n != 0 {
		o.t.Errorf("asks for leases with %d in hand", n)
	}
	got, err := o.Redis.Lease(ctx, seed, names, token, life)
	n := 0
	for _, g := range got {
		if g {
			n++
		}
	}
	o.held.Add(int64(n))
	if o.asked != nil {
		o.asked(n)
	}
	return got, err
}

func (o *oneAtATime) Release(ctx context.Context, seed string, names []string, token string) error {
	o.held.Add(-int64(len(names)))
	return o.Redis.Release(ctx, seed, names, token)
}

// bothOrders lets two workers publish the same names, one from each end.
func bothOrders(t *testing.T, addr string, sink *tallies, names []string) (first, second outcome) {
	t.Helper()
	backward := slices.Clone(names)
	slices.Reverse(backward)
	var workers sync.WaitGroup
	workers.Go(func() { first = publishAll(t, &oneAtATime{Redis: sharedStore(t, addr), t: t}, sink, names) })
	workers.Go(func() { second = publishAll(t, &oneAtATime{Redis: sharedStore(t, addr), t: t}, sink, backward) })
	workers.Wait()
	return first, second
}

// Nobody waits with leases in hand, so two workers cannot wait for each other,
// and what one is publishing the other leaves to it.
func TestLeasesInOppositeOrders(t *testing.T) {
	names, sink := someNames(2000), &tallies{of: map[string]int{}, fate: emitter.FateAcked}
	a, b := bothOrders(t, miniredis.RunT(t).Addr(), sink, names)
	sink.want(t, names, 1, 1)
	if a.candidates+b.candidates != len(names) || a.suppressed+b.suppressed != len(names) {
		t.Errorf("%+v and %+v", a, b)
	}
}

// A worker that died with leases in hand costs their life, and no name. Its
// names come last, so however the publisher cuts its batches, whoever waits for
// the dead has published the others.
func TestLeasesOfTheDead(t *testing.T) {
	server := miniredis.RunT(t)
	names, sink := someNames(100), &tallies{of: map[string]int{}, fate: emitter.FateAcked}
	r := sharedStore(t, server.Addr())
	if _, err := r.Lease(t.Context(), "bank.com", names[40:], "the dead", leaseLife); err != nil {
		t.Fatal(err)
	}
	var dead sync.Once
	s := &oneAtATime{Redis: r, t: t, asked: func(got int) {
		if got == 0 {
			dead.Do(func() {
				sink.want(t, names[:40], 1, 1)
				server.FastForward(leaseLife)
			})
		}
	}}
	publishAll(t, s, sink, names)
	sink.want(t, names, 1, 1)
	for _, k := range server.Keys() {
		if server.TTL(k) <= leaseLife {
			t.Errorf("%s is left", k)
		}
	}
}

// What went to the spool is no mark: the other does not take it for published.
func TestLeasesAfterTheSpool(t *testing.T) {
	names, sink := someNames(10), &tallies{of: map[string]int{}, fate: emitter.FateSpooled}
	r := sharedStore(t, miniredis.RunT(t).Addr())
	for range 2 {
		publishAll(t, r, sink, names)
	}
	sink.want(t, names, 2, 2)
}

// A scan that is told to stop publishes what it found at once.
func TestLeasesDoNotDelayTheEnd(t *testing.T) {
	names, sink := someNames(10), &tallies{of: map[string]int{}, fate: emitter.FateAcked}
	r := sharedStore(t, miniredis.RunT(t).Addr())
	if _, err := r.Lease(t.Context(), "bank.com", names, "another", time.Hour); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &oneAtATime{Redis: r, t: t, asked: func(int) { cancel() }}
	p := newPublisher(ctx, &visit{seed: "bank.com"}, sink, NewDedup(s, time.Hour, false, NewMetrics(), slog.New(slog.DiscardHandler)), nil)
	for _, n := range names {
		p.publish(publication{messages: oneMessage(n), candidate: true, entry: store.Entry{Name: n, Published: time.Now()}})
	}
	if _, err := p.close(); err != nil {
		t.Error(err)
	}
	sink.want(t, names, 1, 1)
}
