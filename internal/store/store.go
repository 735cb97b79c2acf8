// Package store remembers what was found of each seed's look-alikes and when: so
// that what is known already is not published again, and so that what has
// changed is told apart. And it holds the queue of seeds that a worker has
// accepted, and the lists of domains that it was given.
//
// Of what was found it is a memory, not a promise: whoever asks it publishes
// when it has no answer. What is lost there costs a repeated event, never a
// missing one. The queue and the lists are a promise.
package store

import (
	"slices"
	"time"
)

// Entry is what is remembered of one name found for a seed. It is kept until the
// name was not seen for the store's ttl.
type Entry struct {
	Name    string  // FQDN, A-labels
	ID      string  // of the event that was published last
	Records Records // as they were published last
	// Addresses are those seen since then, Records' own among them.
	Addresses []string
	// Published is when that event was acknowledged; the zero time says that the
	// name is not known.
	Published time.Time
	// FirstSeen and LastSeen are when a scan found the name registered for the
	// first and for the last time.
	FirstSeen, LastSeen time.Time
	// Gone is when a scan found the name absent, zero if the last one did not.
	Gone time.Time
	// Change and ChangedAt are the kind and the time of the journal's last line of
	// the name, kept when the journal has forgotten it. Without them it has had none,
	// or was remembered last by a version that did not keep them.
	Change    string
	ChangedAt time.Time
}

// Records are what the DNS said of a name; each list is sorted.
type Records struct {
	NS    []string `json:"ns,omitempty"`
	A     []string `json:"a,omitempty"`
	AAAA  []string `json:"aaaa,omitempty"`
	MX    []string `json:"mx,omitempty"`
	CNAME []string `json:"cname,omitempty"`
}

// Equal reports whether both hold the same records.
func (r Records) Equal(other Records) bool {
	return slices.Equal(r.NS, other.NS) && slices.Equal(r.A, other.A) && slices.Equal(r.AAAA, other.AAAA) &&
		slices.Equal(r.MX, other.MX) && slices.Equal(r.CNAME, other.CNAME)
}

// SeedRecord is what is remembered of a seed as a whole. The zero value says
// that no scan of it was ever complete.
type SeedRecord struct {
	Brand      string    `json:"brand"`
	Baseline   time.Time `json:"baseline"` // when its first complete scan ended
	LastScan   time.Time `json:"last_scan"`
	Registered int       `json:"registered"` // names, of the last scan
}

// Change is a line of the journal: an event that told more than that all is as it
// was. The journal keeps the last 100,000.
type Change struct {
	ID      string    `json:"id,omitempty"` // of the line; later lines have greater ones
	At      time.Time `json:"at"`
	Seed    string    `json:"seed"`
	Brand   string    `json:"brand"`
	Name    string    `json:"name"`
	Event   string    `json:"event"` // id of the event
	Kind    string    `json:"change"`
	Changed []string  `json:"changed,omitempty"` // record types
	Records Records   `json:"records"`           // as they are since
}

// journalLength bounds the journal.
const journalLength = 100_000

// value is an entry as it is kept under its name. Version 1; a field may be
// added, none may change its meaning. The first builds knew no more than p, i
// and r.
type value struct {
	Published int64    `json:"p"` // this and the other times: Unix milliseconds
	ID        string   `json:"i,omitempty"`
	Records   Records  `json:"r"`
	Addresses []string `json:"a,omitempty"` // those that Records has not
	First     int64    `json:"f,omitempty"` // 0: as Published
	Last      int64    `json:"l,omitempty"` // 0: as Published
	Gone      int64    `json:"g,omitempty"`
	Change    string   `json:"c,omitempty"`
	ChangedAt int64    `json:"t,omitempty"`
}

func (e Entry) value() value {
	v := value{Published: e.Published.UnixMilli(), ID: e.ID, Records: e.Records, Change: e.Change}
	for _, a := range e.Addresses {
		if !slices.Contains(e.Records.A, a) && !slices.Contains(e.Records.AAAA, a) {
			v.Addresses = append(v.Addresses, a)
		}
	}
	for _, t := range []struct {
		from time.Time
		to   *int64
	}{{e.FirstSeen, &v.First}, {e.LastSeen, &v.Last}, {e.Gone, &v.Gone}, {e.ChangedAt, &v.ChangedAt}} {
		if !t.from.IsZero() {
			*t.to = t.from.UnixMilli()
		}
	}
	return v
}

func (v value) entry(name string) Entry {
	e := Entry{
		Name: name, ID: v.ID, Records: v.Records, Addresses: slices.Concat(v.Records.A, v.Records.AAAA, v.Addresses),
		Published: time.UnixMilli(v.Published), FirstSeen: time.UnixMilli(v.First), LastSeen: time.UnixMilli(v.Last), Change: v.Change,
	}
	if v.First == 0 {
		e.FirstSeen = e.Published
	}
	if v.Last == 0 {
		e.LastSeen = e.Published
	}
	if v.Gone != 0 {
		e.Gone = time.UnixMilli(v.Gone)
	}
	if v.ChangedAt != 0 {
		e.ChangedAt = time.UnixMilli(v.ChangedAt)
	}
	return e
}

// expires is when the entry is forgotten, of a store with that ttl: a name that
// is gone stays known for so long, too.
func (e Entry) expires(ttl time.Duration) time.Time {
	last := e.Published
	for _, t := range []time.Time{e.LastSeen, e.Gone} {
		if t.After(last) {
			last = t
		}
	}
	if end := last.Add(ttl); end.After(last) {
		return end
	}
	return last.AddDate(1000, 0, 0) // a ttl without end
}
