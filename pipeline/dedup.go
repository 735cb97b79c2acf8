package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/resolver"
)

// Store remembers what was published of each seed. An error of it costs
// repeats: whatever it does not know is published.
type Store interface {
	Known(ctx context.Context, seed string, names []string) ([]store.Entry, error)
	Remember(ctx context.Context, seed string, entries []store.Entry, changed ...store.Change) error
}

// Dedup keeps candidates from being published again while they are known and
// have not changed. A candidate is known when Kafka has acknowledged it, or its
// line is on disk where there is no Kafka; one in the spool is not. Of one that
// another worker is about to publish it waits to hear, if the store has Leases.
// Safe for concurrent use; nil knows nothing.
type Dedup struct {
	store   Store
	leases  Leases // nil: no other worker shares the store
	metrics *Metrics
	log     *slog.Logger

	mu      sync.Mutex
	problem error // of the last call, nil if it went well
}

// NewDedup asks and tells the store, which says how long it remembers.
func NewDedup(s Store, metrics *Metrics, log *slog.Logger) *Dedup {
	leases, _ := s.(Leases)
	return &Dedup{store: s, leases: leases, metrics: metrics, log: log}
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
	messages  []emitter.Message
	candidate bool // among them is a variant's record
	entry     store.Entry
}

// entryOf is what is remembered of a candidate.
func (s Seed) entryOf(name string, a resolver.Answer, now time.Time) store.Entry {
	return store.Entry{Name: name, ID: emitter.EventID(s.FQDN, name, s.Scan), Published: now, Records: store.Records{NS: a.NS, A: a.A, AAAA: a.AAAA, MX: a.MX, CNAME: a.CNAME}}
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
// certain is false when the store could not say.
func (d *Dedup) fresh(ctx context.Context, seed string, all []publication) (fresh []publication, certain bool) {
	if d == nil {
		return all, true
	}
	names := namesOf(all)
	if len(names) == 0 {
		return all, true
	}
	known, err := d.store.Known(ctx, seed, names)
	d.note(err)
	if err != nil {
		return all, false
	}
	fresh = make([]publication, 0, len(all))
	for _, p := range all {
		if p.entry.Name != "" {
			k := known[0]
			known = known[1:]
			if !k.Published.IsZero() && k.Records.Equal(p.entry.Records) {
				continue
			}
		}
		fresh = append(fresh, p)
	}
	return fresh, true
}

// published remembers the publications of which every message was acknowledged.
func (d *Dedup) published(ctx context.Context, seed string, all []publication, fates []emitter.Fate) {
	if d == nil {
		return
	}
	var entries []store.Entry
	for _, p := range all {
		acked := true
		for range p.messages {
			acked = acked && fates[0] == emitter.FateAcked
			fates = fates[1:]
		}
		if acked && p.entry.Name != "" {
			entries = append(entries, p.entry)
		}
	}
	if len(entries) > 0 {
		d.note(d.store.Remember(ctx, seed, entries))
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
