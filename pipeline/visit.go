package pipeline

import (
	"context"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// visit is what is known of a seed when its scan begins.
type visit struct {
	seed     string
	certain  bool // false: the store could not say, or has no history
	baseline bool // no scan was complete before
	record   store.SeedRecord
	there    map[string]struct{} // names that were registered
	inheritance
}

// namesAtATime are read of a seed's history.
const namesAtATime = 1000

// begin reads what is known of the seed. Its names are those that were found
// registered: as many as a scan finds, not as it asks about.
func (d *Dedup) begin(ctx context.Context, seed Seed, inherited inheritance) *visit {
	v := &visit{seed: seed.FQDN, inheritance: inherited}
	if d == nil || d.history == nil || seed.Recheck {
		return v
	}
	record, err := d.history.Seed(ctx, seed.FQDN)
	if err == nil {
		v.there, err = d.there(ctx, seed.FQDN)
	}
	if err == nil && v.topic != nil {
		v.since, err = d.history.Begin(ctx, seed.FQDN, time.Now())
	}
	d.note(err)
	if err == nil {
		v.certain, v.record, v.baseline = true, record, record.Baseline.IsZero()
	}
	return v
}

func (d *Dedup) there(ctx context.Context, seed string) (map[string]struct{}, error) {
	names := map[string]struct{}{}
	for after, more := "", true; more; {
		var page []store.Entry
		var err error
		if page, more, err = d.history.Candidates(ctx, seed, after, namesAtATime); err != nil {
			return nil, err
		}
		for _, e := range page {
			if after = e.Name; e.Gone.IsZero() {
				names[e.Name] = struct{}{}
			}
		}
	}
	return names, nil
}

// missed reports whether the name was there before.
func (v *visit) missed(name string) bool {
	_, there := v.there[name]
	return there
}

// end remembers that a scan is over and, if it was of all names, complete. The
// first complete one is the baseline if Kafka has all of its events: else those
// would be news to the next.
func (d *Dedup) end(ctx context.Context, v *visit, seed Seed, s Summary, now time.Time) {
	if !v.certain {
		return
	}
	if v.topic != nil {
		d.note(d.history.End(ctx, v.seed))
	}
	if seed.Only != nil {
		return
	}
	record := v.record
	record.Brand, record.LastScan, record.Registered = seed.Brand, now, s.Registered
	if record.Baseline.IsZero() && s.Receipt.Spooled+s.Receipt.DeadLettered == 0 {
		record.Baseline = now
	}
	d.note(d.history.Scanned(ctx, v.seed, record))
}
