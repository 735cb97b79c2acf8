package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

var (
	queued = []byte("queued")  // the bucket: a number in 8 bytes, big endian, gives a value
	begun  = []byte("queue")   // the bucket of what there is once
	since  = []byte("created") // Unix milliseconds in 8 bytes: when the queue was begun
)

// Queue keeps values under numbers until they are removed. What it has
// acknowledged is on disk. Safe for concurrent use.
type Queue struct {
	db      *bbolt.DB
	created time.Time
}

// Queued is a value of the queue and its number.
type Queued struct {
	Number uint64
	Value  []byte
}

func makeQueue(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucketIfNotExists(queued); err != nil {
		return err
	}
	bucket, err := tx.CreateBucketIfNotExists(begun)
	if err != nil || len(bucket.Get(since)) == 8 {
		return err
	}
	return bucket.Put(since, binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMilli())))
}

// Queue is the queue in the file.
func (f *File) Queue() (*Queue, error) {
	q := &Queue{db: f.db}
	err := guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			q.created = time.UnixMilli(int64(binary.BigEndian.Uint64(tx.Bucket(begun).Get(since))))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: queue: %w", err)
	}
	return q, nil
}

// Created is when the queue was begun, to the millisecond. It tells the numbers
// of one queue from those of another.
func (q *Queue) Created() time.Time { return q.created }

// Put keeps the new values under the numbers that follow the last one ever
// given, which it returns the first of, and the changed ones in place of what was
// under their numbers: all of them or, on an error, none.
func (q *Queue) Put(fresh [][]byte, changed []Queued) (first uint64, err error) {
	err = guard(func() error {
		return q.db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(queued)
			first = bucket.Sequence() + 1
			for i, value := range fresh {
				if err := bucket.Put(number(first+uint64(i)), value); err != nil {
					return err
				}
			}
			for _, c := range changed {
				if err := bucket.Put(number(c.Number), c.Value); err != nil {
					return err
				}
			}
			return bucket.SetSequence(first + uint64(len(fresh)) - 1)
		})
	})
	if err != nil {
		return 0, fmt.Errorf("store: queue: %w", err)
	}
	return first, nil
}

// Remove takes out a number for good; one that is not there is no error.
// Callers at the same time share an fsync.
func (q *Queue) Remove(n uint64) error {
	err := guard(func() error {
		return q.db.Batch(func(tx *bbolt.Tx) error { return tx.Bucket(queued).Delete(number(n)) })
	})
	if err != nil {
		return fmt.Errorf("store: queue: %w", err)
	}
	return nil
}

// All is everything in the queue, by number.
func (q *Queue) All() ([]Queued, error) {
	var all []Queued
	err := guard(func() error {
		return q.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(queued).ForEach(func(k, v []byte) error {
				if len(k) != 8 {
					return fmt.Errorf("a key of %d bytes", len(k))
				}
				all = append(all, Queued{Number: binary.BigEndian.Uint64(k), Value: append([]byte{}, v...)})
				return nil
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: queue: %w", err)
	}
	return all, nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
