package pipeline

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

const (
	watchTick  = time.Second      // between looks at the schedule
	watchClaim = 10 * time.Minute // of a claim that its worker does not renew
	watchRenew = watchClaim / 3
	watchCount = time.Minute // between counts of what is watched
	// watchGap is the longest time between two re-scans that are due.
	watchGap = time.Minute
	// watchCatchUp is how much faster than the interval asks for seeds are
	// scanned that are overdue.
	watchCatchUp = 4
	// maxUnsaved bounds the seeds that wait for a store that fails.
	maxUnsaved = 10_000
)

// WatchStore is where the schedule is kept; *store.Watch says what its methods
// promise.
type WatchStore interface {
	Get(ctx context.Context, k store.SeedKey) (store.Watched, bool, error)
	Put(ctx context.Context, seed store.Watched, known bool) error
	Claim(ctx context.Context, now, until time.Time, limit int) ([]store.Watched, error)
	Hold(ctx context.Context, until time.Time, keys ...store.SeedKey) error
	Remove(ctx context.Context, keys ...store.SeedKey) error
	List(ctx context.Context, cursor string, limit int) ([]store.Watched, string, error)
	Count(ctx context.Context) (int, error)
}

// WatchConfig is what a Watch is made of.
type WatchConfig struct {
	Store    WatchStore
	Queue    *QueueSource  // nil: seeds are put on the schedule, and other workers scan them
	Interval time.Duration // between scans of a seed
	// Unknown is the time until names are asked about again of which nothing was
	// found out; it doubles each time, up to Interval.
	Unknown time.Duration
	Window  int // re-scans that wait or are in work at once; at least 1
	// Lists says whether the file of seeds has one; nil if there is no file.
	Lists   func(store.SeedKey) (bool, error)
	Metrics *Metrics
	Log     *slog.Logger
}

// Watch scans seeds again by the clock. Every seed that was scanned is watched,
// the first time spread over three quarters of the interval and then with a
// jitter of a tenth, so that those that came together do not stay together. Only
// as many are claimed as are soon scanned: other workers take their share, and
// what is overdue comes at a pace of its own. It is a Source, but what is due
// comes out of the queue's.
type Watch struct {
	cfg     WatchConfig
	seeds   int     // watched, when they were counted last
	allowed float64 // seeds that may be claimed

	unsaved chan unsaved
}

type unsaved struct {
	seed  store.Watched
	known bool
}

// NewWatch begins with what the store has.
func NewWatch(cfg WatchConfig) *Watch {
	return &Watch{cfg: cfg, unsaved: make(chan unsaved, maxUnsaved)}
}

// Run implements Source.
func (w *Watch) Run(ctx context.Context, _ chan<- Delivery) error {
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	var renewed, counted time.Time
	for last := time.Now(); ; {
		now := time.Now()
		if now.Sub(counted) >= watchCount {
			counted = now
			w.count(ctx)
		}
		w.save(ctx)
		if w.cfg.Queue != nil {
			if now.Sub(renewed) >= watchRenew { // at once at the start: the queue may hold re-scans of the last run
				renewed = now
				w.note(ctx, w.cfg.Store.Hold(ctx, now.Add(watchClaim), w.cfg.Queue.rescanned()...))
			}
			w.queueDue(ctx, now, now.Sub(last))
		}
		last = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// note tells of a store that fails, and reports whether it does.
func (w *Watch) note(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return err != nil
	}
	w.cfg.Metrics.watchFailed()
	w.cfg.Log.Warn("the schedule of watched seeds does not answer; trying again", "cause", err)
	return true
}

func (w *Watch) count(ctx context.Context) {
	n, err := w.cfg.Store.Count(ctx)
	if !w.note(ctx, err) {
		w.seeds = n
		w.cfg.Metrics.watched(n)
	}
}

// gap is the least time between two re-scans: all seeds that are overdue take a
// quarter of the interval.
func (w *Watch) gap() time.Duration {
	return max(time.Microsecond, min(watchGap, w.cfg.Interval/time.Duration(watchCatchUp*max(1, w.seeds))))
}

// queueDue puts into the queue what is due, as far as the pace allows.
func (w *Watch) queueDue(ctx context.Context, now time.Time, passed time.Duration) {
	perTick := float64(watchTick) / float64(w.gap())
	w.allowed = min(w.allowed+float64(passed)/float64(w.gap()), max(1, 2*perTick))
	room := min(w.cfg.Window-len(w.cfg.Queue.rescanned()), int(w.allowed))
	if room <= 0 {
		return
	}
	due, err := w.cfg.Store.Claim(ctx, now, now.Add(watchClaim), room)
	if w.note(ctx, err) {
		return
	}
	for _, seed := range due {
		if w.cfg.Queue.holds(seed.Domain, seed.Brand) {
			continue // its end puts it back on the schedule
		}
		w.allowed--
		what, err := rescan(seed, now)
		if err != nil {
			w.cfg.Log.Error("a watched seed cannot be used; it is watched no longer", "seed", seed.Domain, "cause", err)
			w.note(ctx, w.cfg.Store.Remove(ctx, seed.Key()))
			continue
		}
		switch accepted, _, err := w.cfg.Queue.feed([]Submission{what}); {
		case err != nil && ctx.Err() == nil:
			w.cfg.Log.Warn("a watched seed cannot be queued; its turn comes again", "seed", seed.Domain, "in", watchClaim, "cause", err)
		case accepted > 0:
			w.cfg.Metrics.rescanned(what.Seed.Only != nil)
		}
	}
}

// rescan is the submission of a seed that is due: of all of its names, or of
// those that are unknown.
func rescan(seed store.Watched, now time.Time) (Submission, error) {
	parsed, err := fuzzer.ParseSeed(seed.Domain)
	if err != nil {
		return Submission{}, err
	}
	s := Seed{Seed: parsed, Brand: seed.Brand, Origin: originOf(seed.Origin), Rescan: true}
	if now.Before(seed.Next) {
		s.Only = seed.Unknown
	}
	return Submission{Seed: s, Priority: ByClock, Source: "watch"}, nil
}

// finished puts a seed on the schedule whose scan came to its end. w may be nil.
func (w *Watch) finished(ctx context.Context, seed Seed, s Summary) {
	if w == nil || seed.Recheck {
		return
	}
	key := store.KeyOf(seed.FQDN, seed.Brand)
	before, known, err := w.cfg.Store.Get(ctx, key)
	switch {
	case w.note(ctx, err): // as if it were new
	case known:
	case seed.Rescan || seed.Only != nil:
		return // it was taken from the schedule meanwhile
	case seed.Origin == FromCSV && w.cfg.Lists != nil:
		if listed, err := w.cfg.Lists(key); err == nil && !listed {
			return // its row is gone
		}
	}
	after := w.schedule(before, known, seed, s, time.Now())
	if err := w.cfg.Store.Put(ctx, after, seed.Rescan); w.note(ctx, err) {
		select {
		case w.unsaved <- unsaved{after, seed.Rescan}:
		default: // a claim runs out; a new seed is watched after its next scan
		}
	}
}

// save tries again what the store has not taken.
func (w *Watch) save(ctx context.Context) {
	for range len(w.unsaved) {
		u := <-w.unsaved
		if w.note(ctx, w.cfg.Store.Put(ctx, u.seed, u.known)) {
			select {
			case w.unsaved <- u:
			default:
			}
			return
		}
	}
}

// schedule says when a seed is due that was scanned just now.
func (w *Watch) schedule(before store.Watched, known bool, seed Seed, s Summary, now time.Time) store.Watched {
	after := before
	after.Domain, after.Brand = seed.FQDN, seed.Brand
	if !known || !originOf(before.Origin).live() {
		after.Origin = seed.Origin.String()
	}
	if seed.Only == nil {
		after.Last = now
		after.Next = now.Add(jitter(w.cfg.Interval))
		if !seed.Rescan { // it came by itself, and others perhaps with it
			after.Next = now.Add(w.cfg.Interval/4 + rand.N(w.cfg.Interval-w.cfg.Interval/4))
		}
	}
	after.Unknown, after.Ask = s.UnknownNames, time.Time{}
	switch {
	case len(after.Unknown) == 0:
		after.Delay = 0
	case before.Delay == 0 || slices.ContainsFunc(after.Unknown, func(name string) bool { return !slices.Contains(before.Unknown, name) }):
		after.Delay = w.cfg.Unknown
	default:
		after.Delay = min(2*before.Delay, w.cfg.Interval)
	}
	if ask := now.Add(jitter(after.Delay)); after.Delay > 0 && after.Delay < w.cfg.Interval && ask.Before(after.Next) {
		after.Ask = ask
	}
	return after
}

// jitter is a time of a tenth more or less.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// Unlisted ends the watching of seeds that only the file had.
func (w *Watch) Unlisted(ctx context.Context, keys []store.SeedKey) error {
	var gone []store.SeedKey
	for _, key := range keys {
		seed, known, err := w.cfg.Store.Get(ctx, key)
		if err != nil {
			return err
		}
		if known && !originOf(seed.Origin).live() {
			gone = append(gone, key)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return w.cfg.Store.Remove(ctx, gone...)
}

// List returns about limit watched seeds, in no order that says anything, and
// where to go on; "" is the beginning, and the end.
func (w *Watch) List(ctx context.Context, cursor string, limit int) (page []store.Watched, next string, err error) {
	return w.cfg.Store.List(ctx, cursor, limit)
}

// Stop ends the watching of a seed until it is scanned anew, and reports whether
// it was watched. A re-scan that waits is done, but is the last.
func (w *Watch) Stop(ctx context.Context, domain, brand string) (watched bool, err error) {
	key := store.KeyOf(domain, brand)
	if _, watched, err = w.cfg.Store.Get(ctx, key); err != nil || !watched {
		return false, err
	}
	return true, w.cfg.Store.Remove(ctx, key)
}
