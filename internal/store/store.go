// Package store remembers what was published of each seed's look-alikes, so
// that what is known already is not published again; and it holds the queue of
// seeds that a worker has accepted.
//
// Of what was published it is a memory, not a promise: whoever asks it publishes
// when it has no answer. What is lost there costs a repeated event, never a
// missing one. The queue is a promise.
package store

import (
	"slices"
	"time"
)

// Entry is what is remembered of one name found for a seed.
type Entry struct {
	Name    string // FQDN, A-labels
	ID      string // of the event
	Records Records
	// Published is when the event of these records was acknowledged; the zero
	// time says that the name is not known.
	Published time.Time
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

// value is an entry as it is kept under its name. Version 1; a field may be
// added, none may change its meaning.
type value struct {
	Published int64   `json:"p"` // Unix milliseconds
	ID        string  `json:"i,omitempty"`
	Records   Records `json:"r"`
}

func (e Entry) value() value {
	return value{Published: e.Published.UnixMilli(), ID: e.ID, Records: e.Records}
}

func (v value) entry(name string) Entry {
	return Entry{Name: name, ID: v.ID, Records: v.Records, Published: time.UnixMilli(v.Published)}
}
