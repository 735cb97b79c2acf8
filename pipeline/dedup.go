package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store"
)

// Store remembers what was found of each seed. An error of it costs repeats:
// whatever it does not know is published.
type Store interface {
	Known(ctx context.Context, seed string, names []string) ([]store.Entry, error)
	Remember(ctx context.Context, seed string, entries []store.Entry, changed ...store.Change) error
}

// History is what a Store has that outlives the process: with it events say what
// has changed.
type History interface {
	Candidates(ctx context.Context, seed, after string, limit int) (found []store.Entry, more bool, err error)
	Seed(ctx context.Context, seed string) (store.SeedRecord, error)
	Scanned(ctx context.Context, seed string, record store.SeedRecord) error
	// Begin notes that a scan begins, and returns when one did that has not ended.
	Begin(ctx context.Context, seed string, at time.Time) (before time.Time, err error)
	End(ctx context.Context, seed string) error
}

// Dedup keeps candidates from being published again while they are known and
// have not changed. A candidate is known when Kafka has acknowledged it, or its
// line is on disk where there is no Kafka; one in the spool is not. Of one that
// another worker is about to publish it waits to hear, if the store has Leases.
// If it has a History, Dedup says of each candidate what has changed, and finds
// out which are gone. Safe for concurrent use; nil knows nothing.
type Dedup struct {
	store   Store
	ttl     time.Duration
	all     bool
	leases  Leases  // nil: no other worker shares the store
	history History // nil: it is not known what was before this process
	metrics *Metrics
	log     *slog.Logger

	mu      sync.Mutex
	problem error // of the last call, nil if it went well
}

// NewDedup asks and tells the store. What was published ttl ago is published
// again, and with all everything is.
func NewDedup(s Store, ttl time.Duration, all bool, metrics *Metrics, log *slog.Logger) *Dedup {
	leases, _ := s.(Leases)
	history, _ := s.(History)
	return &Dedup{store: s, ttl: ttl, all: all, leases: leases, history: history, metrics: metrics, log: log}
}

// Problem is why the store cannot be used, nil if it can.
func (d *Dedup) Problem() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.problem
}

// publication is what is published of one name, and what is remembered of it
// then; without a name in the entry nothing is, and it is published always.
type publication struct {
	messages  func(sighting) ([]emitter.Message, error)
	candidate bool // among them is a variant's record
	absent    bool // of interest only if the name was there before,
	tracked   bool // unless absent names are

	entry      store.Entry // as it was found, Published being when
	unanswered []string    // types of records
	brand      string

	seen sighting    // how that compares with what is known
	keep store.Entry // what to remember
}

// entry is what is remembered of a candidate.
func (r *Result) entry() store.Entry {
	s, name, a := r.Seed, r.Variant.FQDN, &r.Answer
	return store.Entry{Name: name, ID: emitter.EventID(s.FQDN, name, s.Scan), Published: r.at, Records: store.Records{NS: a.NS, A: a.A, AAAA: a.AAAA, MX: a.MX, CNAME: a.CNAME}}
}

// namesOf are the names of what is remembered, in their order.
func namesOf(all []publication) []string {
	var names []string
	for _, p := range all {
		if p.entry.Name != "" {
			names = append(names, p.entry.Name)
		}
	}
	return names
}

// fresh are the publications that are not known as they are, in their order;
// certain is false when the store could not say. Of the others it remembers that
// they were seen.
func (d *Dedup) fresh(ctx context.Context, v *visit, all []publication) (fresh []publication, certain bool) {
	if d == nil {
		return all, true
	}
	names := namesOf(all)
	if len(names) == 0 {
		return all, true
	}
	known, err := d.store.Known(ctx, v.seed, names)
	d.note(err)
	if err != nil {
		return unseen(all), false
	}
	fresh = make([]publication, 0, len(all))
	var touched []store.Entry
	for _, p := range all {
		if p.entry.Name == "" {
			fresh = append(fresh, p)
			continue
		}
		k := known[0]
		known = known[1:]
		if d.news(v, &p, k) {
			fresh = append(fresh, p)
		} else if p.tracked {
			fresh = append(fresh, p.plain())
		} else if !p.absent && worthwhile(k, p.keep) {
			touched = append(touched, p.keep)
		}
	}
	if len(touched) > 0 {
		d.note(d.store.Remember(ctx, v.seed, touched))
	}
	return fresh, true
}

// unseen are the publications when nothing is known of the past: what may have
// gone is left to the next scan, the rest is published as it is.
func unseen(all []publication) []publication {
	fresh := make([]publication, 0, len(all))
	for _, p := range all {
		switch {
		case !p.absent:
			p.seen, p.keep = sighting{}, p.entry
			fresh = append(fresh, p)
		case p.tracked:
			fresh = append(fresh, p.plain())
		}
	}
	return fresh
}

// plain is p of a name of which nothing is remembered.
func (p publication) plain() publication {
	p.entry, p.seen = store.Entry{}, sighting{}
	return p
}

// news compares p with what is known of its name, and reports whether it is to be
// published.
func (d *Dedup) news(v *visit, p *publication, known store.Entry) bool {
	if p.absent {
		if known.Published.IsZero() || !known.Gone.IsZero() {
			return false
		}
		p.seen, p.keep = compareGone(known, p.entry.Published, p.entry.ID)
	} else {
		p.seen, p.keep = compare(known, p.entry, p.unanswered)
	}
	p.seen.baseline = v.baseline
	publish := d.all || p.seen.change != changeUnchanged || p.entry.Published.Sub(known.Published) >= d.ttl
	if !publish { // what was published stays what it was
		p.keep.ID, p.keep.Published, p.keep.Records = known.ID, known.Published, known.Records
	}
	if d.history == nil || !v.certain {
		p.seen = sighting{}
	}
	p.keep = p.seen.noted(p.keep, known, p.entry.Published)
	return publish
}

// touchEvery is how old a LastSeen may be: each is a write.
const touchEvery = time.Hour

// worthwhile says that a name which is as it was is to be remembered anew.
func worthwhile(known, keep store.Entry) bool {
	return keep.LastSeen.Sub(known.LastSeen) >= touchEvery || len(keep.Addresses) != len(known.Addresses)
}

// published remembers the publications of which every message was acknowledged.
func (d *Dedup) published(ctx context.Context, v *visit, all []publication, counts []int, fates []emitter.Fate) {
	if d == nil {
		return
	}
	var entries []store.Entry
	var changed []store.Change
	for i, p := range all {
		acked := true
		for range counts[i] {
			acked = acked && fates[0] == emitter.FateAcked
			fates = fates[1:]
		}
		if !acked || p.entry.Name == "" {
			continue
		}
		entries = append(entries, p.keep)
		d.metrics.change(p.seen)
		if p.seen.alert() {
			changed = append(changed, store.Change{
				At: p.entry.Published, Seed: v.seed, Brand: p.brand, Name: p.entry.Name, Event: p.entry.ID,
				Kind: p.seen.change, Changed: p.seen.changed, Records: p.entry.Records,
			})
		}
	}
	if len(entries) > 0 {
		d.note(d.store.Remember(ctx, v.seed, entries, changed...))
	}
}

// note tells the operator when the store begins to fail and when it is back.
func (d *Dedup) note(err error) {
	d.mu.Lock()
	before := d.problem
	d.problem = nil
	if err != nil {
		d.problem = fmt.Errorf("what is known already may be published again: %w", err)
		d.metrics.storeFailed()
	}
	d.mu.Unlock()
	switch {
	case err != nil && before == nil:
		d.log.Warn("the store does not answer; what is known already is published again until it does", "cause", err)
	case err == nil && before != nil:
		d.log.Info("the store answers again")
	}
}
