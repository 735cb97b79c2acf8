package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/resolver"
)

// Rereader is an Emitter that can say what a topic holds since some time. What
// it yields is durable if it returns nil.
type Rereader interface {
	Reread(ctx context.Context, topic string, since time.Time, yield func(key, value []byte)) error
}

const (
	rereadLimit = 10 * time.Second // then what cannot be known is published again
	clockMargin = time.Minute      // between clocks, of topics that are stamped by the broker
	maxRelics   = 100_000          // names of one seed
)

// inheritance is what a scan of the seed that did not come to its end may have
// published without remembering it: its worker was killed in between. The topic
// knows; it is read once, and only after such a scan.
type inheritance struct {
	topic    Rereader // nil: nothing can be read
	name     string   // of the topic
	inactive bool     // a name without an address has a second record, in another topic

	since  time.Time        // when the scan began that has not ended; zero: all have
	read   bool             // or tried
	relics map[string]relic // by name; nil: the topic could not be read
}

// relic is what the last event of a name says.
type relic struct {
	entry      store.Entry
	brand      string
	gone       bool
	partly     bool // a second record belongs to it, of which nothing is known
	unanswered []string
	seen       sighting
}

// inheritance is what the Scanner's emitter and topics allow to know.
func (s *Scanner) inheritance() inheritance {
	topic, _ := s.Emitter.(Rereader)
	return inheritance{topic: topic, name: s.Topics.Candidates, inactive: s.Topics.Inactive != "" && s.Track != TrackNone}
}

// settle remembers which of the names are in the topic, as the worker would have
// that was killed before it could; whoever asks the store after that is told.
// The caller has the names' leases, so no other worker is publishing them.
func (d *Dedup) settle(ctx context.Context, v *visit, names []string) {
	if v.since.IsZero() || len(names) == 0 || d.all { // then what is known is published, too
		return
	}
	if !v.read {
		v.read = true
		var err error
		if v.relics, err = v.reread(ctx, v.seed); err != nil {
			d.log.Warn("it cannot be known which candidates a scan that did not end has published; they may be published again", "seed", v.seed, "cause", err)
		}
	}
	if v.relics == nil {
		d.metrics.inherited(false, len(names))
		return
	}
	known, err := d.store.Known(ctx, v.seed, names)
	if err != nil {
		d.note(err)
		return
	}
	var entries []store.Entry
	var changed []store.Change
	unsure := 0
	for _, k := range known {
		r, there := v.relics[k.Name]
		if !there || r.entry.Published.UnixMilli() <= k.Published.UnixMilli() {
			continue // what is known is this event, or one after it
		}
		if r.partly {
			unsure++
			continue
		}
		entries = append(entries, r.after(k))
		if r.seen.alert() {
			changed = append(changed, store.Change{
				At: r.entry.Published, Seed: v.seed, Brand: r.brand, Name: k.Name, Event: r.entry.ID,
				Kind: r.seen.change, Changed: r.seen.changed, Records: r.entry.Records,
			})
		}
	}
	if len(entries) > 0 {
		d.note(d.store.Remember(ctx, v.seed, entries, changed...))
	}
	d.metrics.inherited(true, len(entries))
	d.metrics.inherited(false, unsure)
}

// after is what to remember of the name, of which that is known.
func (r relic) after(known store.Entry) store.Entry {
	_, keep := compare(known, r.entry, r.unanswered)
	if r.gone {
		_, keep = compareGone(known, r.entry.Published, r.entry.ID)
	}
	return r.seen.noted(keep, known, r.entry.Published)
}

// reread collects the last event of each of the seed's names.
func (i *inheritance) reread(ctx context.Context, seed string) (map[string]relic, error) {
	ctx, cancel := context.WithTimeout(ctx, rereadLimit)
	defer cancel()
	relics, quoted := map[string]relic{}, []byte(`"`+seed+`"`)
	err := i.topic.Reread(ctx, i.name, i.since.Add(-clockMargin), func(key, value []byte) {
		if !bytes.Contains(value, quoted) { // most are of other seeds
			return
		}
		var e emitter.Event
		if json.Unmarshal(value, &e) != nil || !ofSeed(&e, seed, string(key)) {
			return
		}
		r := relicOf(&e)
		r.partly = i.inactive && len(e.Detail.A)+len(e.Detail.AAAA) == 0
		relics[e.CanonicalFQDN] = r
		if len(relics) > maxRelics {
			cancel()
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return relics, nil
}

// ofSeed reports whether the event is one of a look-alike of the seed, and ours.
func ofSeed(e *emitter.Event, seed, key string) bool {
	d := &e.Detail
	return d.Seed == seed && e.Src == emitter.SrcVariant && e.CanonicalFQDN == key && d.ID == emitter.EventID(seed, key, d.Scan) &&
		(d.State == resolver.Registered.String() || d.Change == changeGone)
}

func relicOf(e *emitter.Event) relic {
	d := &e.Detail
	return relic{
		entry: store.Entry{
			Name: e.CanonicalFQDN, ID: d.ID, Published: time.UnixMicro(int64(e.ObservedAt*1e6 + 0.5)),
			Records: store.Records{NS: d.NS, A: d.A, AAAA: d.AAAA, MX: d.MX, CNAME: d.CNAME},
		},
		brand: e.Brand, gone: d.Change == changeGone, unanswered: d.Incomplete,
		seen: sighting{change: d.Change, changed: d.Changed, baseline: d.Baseline},
	}
}
