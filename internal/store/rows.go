package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// rowsChunk is how many rows Gone looks at before it lets others write.
const rowsChunk = 2000

var rows = []byte("rows") // the bucket: a SeedKey gives the number of the last reading that had it, in 8 bytes

// SeedKey stands for a seed and its brand.
type SeedKey [16]byte

// KeyOf is the key of a domain and a brand.
func KeyOf(domain, brand string) (k SeedKey) {
	sum := sha256.Sum256([]byte(domain + "\x00" + brand))
	copy(k[:], sum[:])
	return k
}

// Rows remembers which seeds a file had when it was read last, by their keys
// only. Safe for concurrent use, by one reading at a time.
type Rows struct{ db *bbolt.DB }

// Rows is the memory in the file.
func (f *File) Rows() *Rows { return &Rows{db: f.db} }

// Begin begins a reading and returns its number.
func (r *Rows) Begin() (reading uint64, err error) {
	err = r.update(func(b *bbolt.Bucket) error {
		reading, err = b.NextSequence()
		return err
	})
	return reading, err
}

// Known says of each key whether an earlier reading, or this one, had it.
func (r *Rows) Known(keys ...SeedKey) ([]bool, error) {
	known := make([]bool, len(keys))
	err := guard(func() error {
		return r.db.View(func(tx *bbolt.Tx) error {
			for i, k := range keys {
				known[i] = tx.Bucket(rows).Get(k[:]) != nil
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: rows: %w", err)
	}
	return known, nil
}

// Mark notes that the reading had the keys.
func (r *Rows) Mark(reading uint64, keys ...SeedKey) error {
	return r.update(func(b *bbolt.Bucket) error {
		for _, k := range keys {
			if err := b.Put(k[:], number(reading)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Gone calls dropped with the keys that the reading did not have, some at a
// time, and forgets them where that returns nil.
func (r *Rows) Gone(reading uint64, dropped func([]SeedKey) error) error {
	var from []byte
	for more := true; more; {
		var gone []SeedKey
		err := guard(func() error {
			return r.db.View(func(tx *bbolt.Tx) error {
				gone, from = unread(tx.Bucket(rows).Cursor(), from, reading)
				return nil
			})
		})
		if err != nil {
			return fmt.Errorf("store: rows: %w", err)
		}
		more = from != nil
		if len(gone) == 0 {
			continue
		}
		if err := dropped(gone); err != nil {
			return err
		}
		err = r.update(func(b *bbolt.Bucket) error {
			for _, k := range gone {
				if err := b.Delete(k[:]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unread looks at some rows and returns those that the reading did not have, and
// where to go on; nil at the end.
func unread(c *bbolt.Cursor, from []byte, reading uint64) (gone []SeedKey, next []byte) {
	left := rowsChunk
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if left == 0 {
			return gone, append([]byte{}, k...)
		}
		left--
		if len(k) == len(SeedKey{}) && (len(v) != 8 || binary.BigEndian.Uint64(v) != reading) {
			gone = append(gone, SeedKey(k))
		}
	}
	return gone, nil
}

func (r *Rows) update(change func(*bbolt.Bucket) error) error {
	err := guard(func() error {
		return r.db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket(rows)) })
	})
	if err != nil {
		return fmt.Errorf("store: rows: %w", err)
	}
	return nil
}
