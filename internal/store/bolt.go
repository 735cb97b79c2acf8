package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// sweepChunk is how many entries a sweep looks at before it lets others write.
const sweepChunk = 2000

// The buckets.
var (
	published = []byte("published") // seed, a zero byte and name give a value
	seeds     = []byte("seeds")     // seed gives a SeedRecord
	changes   = []byte("changes")   // a number, big-endian, gives a Change
	unended   = []byte("unended")   // seed gives Unix milliseconds, in decimal
)

// Bolt remembers in a file, through restarts and SIGKILL. Safe for concurrent
// use.
type Bolt struct {
	db  *bbolt.DB
	ttl time.Duration
}

// Published is the memory in the file. A name that was not seen for ttl is not
// known; Sweep removes it.
func (f *File) Published(ttl time.Duration) *Bolt { return &Bolt{db: f.db, ttl: ttl} }

func key(seed, name string) []byte { return []byte(seed + "\x00" + name) }

// Known returns an entry for each of the names, in their order; one that is not
// known has only its name.
func (b *Bolt) Known(_ context.Context, seed string, names []string) ([]Entry, error) {
	entries := make([]Entry, len(names))
	err := b.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(published)
		for i, name := range names {
			entries[i] = Entry{Name: name}
			if e, ok := b.valid(name, bucket.Get(key(seed, name))); ok {
				entries[i] = e
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// valid decodes what is kept of a name; what is missing, too old or unreadable is
// not.
func (b *Bolt) valid(name string, raw []byte) (e Entry, ok bool) {
	var v value
	if raw == nil || json.Unmarshal(raw, &v) != nil {
		return Entry{}, false
	}
	e = v.entry(name)
	return e, time.Now().Before(e.expires(b.ttl))
}

// Remember keeps the entries, in place of what was known of their names, and
// writes to the journal what has changed, whose IDs are not heeded. All is on
// disk when it returns nil.
func (b *Bolt) Remember(_ context.Context, seed string, entries []Entry, changed ...Change) error {
	return b.update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(published)
		for _, e := range entries {
			if err := putJSON(bucket, key(seed, e.Name), e.value()); err != nil {
				return err
			}
		}
		return appendChanges(tx.Bucket(changes), changed)
	})
}

// Sweep removes what is older than the ttl and returns how many entries that
// were. It works in small steps, so that others can write in between.
func (b *Bolt) Sweep(ctx context.Context) (removed int, err error) {
	from := []byte{}
	for from != nil && ctx.Err() == nil {
		var old [][]byte
		err := guard(func() error {
			if err := b.db.View(func(tx *bbolt.Tx) error {
				old, from = b.expired(tx, from)
				return nil
			}); err != nil || len(old) == 0 {
				return err
			}
			return b.db.Update(func(tx *bbolt.Tx) error { return b.forget(tx, old) })
		})
		if err != nil {
			return removed, fmt.Errorf("store: %w", err)
		}
		removed += len(old)
	}
	return removed, ctx.Err()
}

// expired looks at some entries and returns the keys of those that are too
// old, and where to go on; nil at the end.
func (b *Bolt) expired(tx *bbolt.Tx, from []byte) (old [][]byte, next []byte) {
	c := tx.Bucket(published).Cursor()
	left := sweepChunk
	for k, raw := c.Seek(from); k != nil; k, raw = c.Next() {
		if left == 0 {
			return old, append([]byte{}, k...)
		}
		left--
		if _, ok := b.valid("", raw); !ok {
			old = append(old, append([]byte{}, k...))
		}
	}
	return old, nil
}

// forget deletes the keys whose entries are still too old.
func (b *Bolt) forget(tx *bbolt.Tx, keys [][]byte) error {
	bucket := tx.Bucket(published)
	for _, k := range keys {
		if _, ok := b.valid("", bucket.Get(k)); ok {
			continue // published again in the meantime
		}
		if err := bucket.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
