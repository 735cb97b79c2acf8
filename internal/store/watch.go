package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"
)

var (
	watched  = []byte("watched")   // the bucket: a SeedKey gives a Watched
	watchDue = []byte("watch_due") // the bucket: Unix milliseconds in 8 bytes and a SeedKey give nothing
)

// Watched is a seed that is scanned again and again. Version 1; a field may be
// added, none may change its meaning.
type Watched struct {
	Domain  string
	Brand   string
	Origin  string        // what gave the seed: csv, kafka, http
	Last    time.Time     // when all its names were asked about last
	Next    time.Time     // when they are to be asked about again
	Unknown []string      `json:",omitempty"` // names of which nothing was found out
	Ask     time.Time     // when those are to be asked about again; zero: not before Next
	Delay   time.Duration // between the last time and Ask
}

// Key is the seed's.
func (w Watched) Key() SeedKey { return KeyOf(w.Domain, w.Brand) }

// Due is when something is to be asked.
func (w Watched) Due() time.Time {
	if !w.Ask.IsZero() && w.Ask.Before(w.Next) {
		return w.Ask
	}
	return w.Next
}

// Watch keeps what is watched, and when it is due, in a file. A seed that was
// claimed is not given to another before the claim has run out, and a claim ends
// when the seed is put back. Safe for concurrent use.
type Watch struct{ db *bbolt.DB }

// Watch is what is watched in the file.
func (f *File) Watch() *Watch { return &Watch{db: f.db} }

// watchValue is a Watched, and when it is looked at next: when it is due, or when
// its claim runs out.
type watchValue struct {
	Watched
	At int64 // Unix milliseconds
}

func dueKey(at int64, k SeedKey) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at)), k[:]...)
}

// Get returns what is known of a seed; false if it is not watched.
func (w *Watch) Get(_ context.Context, k SeedKey) (found Watched, ok bool, err error) {
	err = w.view(func(tx *bbolt.Tx) error {
		v, known := watchOf(tx, k)
		found, ok = v.Watched, known
		return nil
	})
	return found, ok, err
}

// Put keeps a seed, and gives it back if it was claimed. With known one that is
// not watched is left out.
func (w *Watch) Put(_ context.Context, seed Watched, known bool) error {
	return w.update(func(tx *bbolt.Tx) error {
		if _, ok := watchOf(tx, seed.Key()); known && !ok {
			return nil
		}
		return putWatch(tx, seed, seed.Due().UnixMilli())
	})
}

// Claim returns at most limit seeds that are due at now, those that have waited
// longest first; no other gets them before until.
func (w *Watch) Claim(_ context.Context, now, until time.Time, limit int) (due []Watched, err error) {
	first := int64(math.MaxInt64)
	err = w.view(func(tx *bbolt.Tx) error {
		if k, _ := tx.Bucket(watchDue).Cursor().First(); len(k) == 24 {
			first = int64(binary.BigEndian.Uint64(k))
		}
		return nil
	})
	if err != nil || first > now.UnixMilli() { // mostly, and then nothing is written
		return nil, err
	}
	err = w.update(func(tx *bbolt.Tx) error {
		due = nil
		c := tx.Bucket(watchDue).Cursor()
		for k, _ := c.First(); k != nil && len(due) < limit && len(k) == 24 && int64(binary.BigEndian.Uint64(k)) <= now.UnixMilli(); k, _ = c.Next() {
			if v, ok := watchOf(tx, SeedKey(k[8:])); ok {
				due = append(due, v.Watched)
			}
		}
		for _, seed := range due {
			if err := putWatch(tx, seed, until.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	return due, err
}

// Hold makes claims last until then. What is due later anyway, and what is not
// watched, it leaves alone.
func (w *Watch) Hold(_ context.Context, until time.Time, keys ...SeedKey) error {
	if len(keys) == 0 {
		return nil
	}
	return w.update(func(tx *bbolt.Tx) error {
		for _, k := range keys {
			if v, ok := watchOf(tx, k); ok && v.At < until.UnixMilli() {
				if err := putWatch(tx, v.Watched, until.UnixMilli()); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Remove ends the watching of seeds.
func (w *Watch) Remove(_ context.Context, keys ...SeedKey) error {
	return w.update(func(tx *bbolt.Tx) error {
		for _, k := range keys {
			v, ok := watchOf(tx, k)
			if !ok {
				continue
			}
			if err := tx.Bucket(watchDue).Delete(dueKey(v.At, k)); err != nil {
				return err
			}
			if err := tx.Bucket(watched).Delete(k[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// List returns about limit seeds, and where to go on; "" is the beginning, and
// the end. A cursor that is none begins at an end.
func (w *Watch) List(_ context.Context, cursor string, limit int) (page []Watched, next string, err error) {
	from, err := hex.DecodeString(cursor)
	if err != nil {
		return nil, "", nil
	}
	err = w.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(watched).Cursor()
		for k, raw := c.Seek(from); k != nil; k, raw = c.Next() {
			if len(page) == limit {
				next = hex.EncodeToString(k)
				return nil
			}
			var v watchValue
			if json.Unmarshal(raw, &v) == nil {
				page = append(page, v.Watched)
			}
		}
		return nil
	})
	return page, next, err
}

// Count is how many seeds are watched.
func (w *Watch) Count(context.Context) (n int, err error) {
	err = w.view(func(tx *bbolt.Tx) error {
		n = tx.Bucket(watched).Stats().KeyN
		return nil
	})
	return n, err
}

// watchOf reads a seed; one that cannot be read is not watched.
func watchOf(tx *bbolt.Tx, k SeedKey) (v watchValue, ok bool) {
	raw := tx.Bucket(watched).Get(k[:])
	return v, raw != nil && json.Unmarshal(raw, &v) == nil
}

func putWatch(tx *bbolt.Tx, seed Watched, at int64) error {
	k := seed.Key()
	if before, ok := watchOf(tx, k); ok {
		if err := tx.Bucket(watchDue).Delete(dueKey(before.At, k)); err != nil {
			return err
		}
	}
	if err := putJSON(tx.Bucket(watched), k[:], watchValue{seed, at}); err != nil {
		return err
	}
	return tx.Bucket(watchDue).Put(dueKey(at, k), nil)
}

func (w *Watch) view(f func(*bbolt.Tx) error) error {
	if err := guard(func() error { return w.db.View(f) }); err != nil {
		return fmt.Errorf("store: watch: %w", err)
	}
	return nil
}

// update shares an fsync with others that write at the same time.
func (w *Watch) update(f func(*bbolt.Tx) error) error {
	if err := guard(func() error { return w.db.Batch(f) }); err != nil {
		return fmt.Errorf("store: watch: %w", err)
	}
	return nil
}
