package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// ChangeIDError says that something is not the ID of a line of the journal.
type ChangeIDError struct{ ID string }

func (e *ChangeIDError) Error() string { return fmt.Sprintf("%q is not the id of a change", e.ID) }

func putJSON(bucket *bbolt.Bucket, key []byte, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return bucket.Put(key, raw)
}

// appendChanges writes to the journal, and takes out what is too much.
func appendChanges(bucket *bbolt.Bucket, changed []Change) error {
	for _, c := range changed {
		number, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		c.ID = ""
		if err := putJSON(bucket, binary.BigEndian.AppendUint64(nil, number), c); err != nil {
			return err
		}
	}
	if len(changed) == 0 || bucket.Sequence() <= journalLength {
		return nil
	}
	first := binary.BigEndian.AppendUint64(nil, bucket.Sequence()-journalLength+1)
	c := bucket.Cursor()
	for k, _ := c.First(); k != nil && bytes.Compare(k, first) < 0; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// Changes returns at most limit lines of the journal after the one with the ID,
// which need not be there any more; "" is before all. An ID that is none is an
// *ChangeIDError.
func (b *Bolt) Changes(_ context.Context, after string, limit int) (found []Change, err error) {
	from := uint64(0)
	if after != "" {
		if from, err = strconv.ParseUint(after, 10, 63); err != nil {
			return nil, &ChangeIDError{after}
		}
	}
	err = b.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(changes)
		if bucket == nil {
			return nil
		}
		c := bucket.Cursor()
		for k, raw := c.Seek(binary.BigEndian.AppendUint64(nil, from+1)); k != nil && len(found) < limit; k, raw = c.Next() {
			var line Change
			if err := json.Unmarshal(raw, &line); err != nil {
				return err
			}
			line.ID = strconv.FormatUint(binary.BigEndian.Uint64(k), 10)
			found = append(found, line)
		}
		return nil
	})
	return found, err
}

// LastChange is the ID of the newest line of the journal, "" if it has none.
func (b *Bolt) LastChange(context.Context) (id string, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		if bucket := tx.Bucket(changes); bucket != nil {
			if k, _ := bucket.Cursor().Last(); k != nil {
				id = strconv.FormatUint(binary.BigEndian.Uint64(k), 10)
			}
		}
		return nil
	})
	return id, err
}

// Candidates returns at most limit names known of the seed, gone ones too, after
// the given one, in the order of their bytes; "" is before all. more is false when
// there are no further ones.
func (b *Bolt) Candidates(_ context.Context, seed, after string, limit int) (found []Entry, more bool, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(published)
		if bucket == nil {
			return nil
		}
		prefix, from := key(seed, ""), key(seed, after)
		c := bucket.Cursor()
		for k, raw := c.Seek(from); bytes.HasPrefix(k, prefix); k, raw = c.Next() {
			if after != "" && bytes.Equal(k, from) {
				continue
			}
			e, ok := b.valid(string(k[len(prefix):]), raw)
			if !ok {
				continue
			}
			if len(found) == limit {
				more = true
				return nil
			}
			found = append(found, e)
		}
		return nil
	})
	return found, more, err
}

// Seed is what is remembered of the seed as a whole.
func (b *Bolt) Seed(_ context.Context, seed string) (record SeedRecord, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(seeds)
		if bucket == nil { // read from the file of an earlier build
			return nil
		}
		if raw := bucket.Get([]byte(seed)); raw != nil {
			return json.Unmarshal(raw, &record)
		}
		return nil
	})
	return record, err
}

// Scanned keeps it. It is on disk when it returns nil.
func (b *Bolt) Scanned(_ context.Context, seed string, record SeedRecord) error {
	return b.update(func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(seeds), []byte(seed), record) })
}

// Seeds yields every seed of which a scan was complete, in the order of their
// bytes.
func (b *Bolt) Seeds(_ context.Context, yield func(seed string, record SeedRecord)) error {
	return b.view(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(seeds)
		if bucket == nil {
			return nil
		}
		return bucket.ForEach(func(k, raw []byte) error {
			var record SeedRecord
			if err := json.Unmarshal(raw, &record); err != nil {
				return err
			}
			yield(string(k), record)
			return nil
		})
	})
}

func (b *Bolt) view(f func(*bbolt.Tx) error) error {
	if err := guard(func() error { return b.db.View(f) }); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// update shares an fsync with others that write at the same time.
func (b *Bolt) update(f func(*bbolt.Tx) error) error {
	if err := guard(func() error { return b.db.Batch(f) }); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
