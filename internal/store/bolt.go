package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const (
	// lockTimeout is how long OpenBolt waits for another process to let go of the file.
	lockTimeout = 2 * time.Second
	// batchDelay is how long a write waits for others to share its fsync.
	batchDelay = time.Millisecond
	// sweepChunk is how many entries a sweep looks at before it lets others write.
	sweepChunk = 2000
)

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("the file is in use by another process")

var published = []byte("published") // the bucket: seed, a zero byte and name give a value

// Bolt remembers in one file (bbolt), through restarts and SIGKILL. Safe for
// concurrent use; by one process at a time.
type Bolt struct {
	db  *bbolt.DB
	ttl time.Duration
}

// OpenBolt opens the file, or makes it with its directory. What is no store is
// renamed to NAME.damaged-TIME, which setAside names, and a new one is made: a
// lost memory costs repeats, a worker that does not start costs more. What was
// published longer than ttl ago is not known; Sweep removes it. The error of a
// file that another process has open wraps ErrInUse.
func OpenBolt(path string, ttl time.Duration) (b *Bolt, setAside string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, "", fmt.Errorf("store: %w", err)
	}
	db, err := open(path)
	var system *os.PathError
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, "", fmt.Errorf("store %s: %w", path, ErrInUse)
	case errors.As(err, &system):
		return nil, "", fmt.Errorf("store: %w", err)
	case err != nil:
		setAside = path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000Z")
		if err := os.Rename(path, setAside); err != nil {
			return nil, "", fmt.Errorf("store: %w", err)
		}
		if db, err = open(path); err != nil {
			return nil, setAside, fmt.Errorf("store %s: %w", path, err)
		}
	}
	return &Bolt{db: db, ttl: ttl}, setAside, nil
}

func open(path string) (db *bbolt.DB, err error) {
	err = guard(func() error {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
		return err
	})
	if err != nil {
		return nil, err
	}
	db.MaxBatchDelay = batchDelay
	err = guard(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(published)
			return err
		})
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// guard makes an error of a panic: bbolt panics where it meets a damaged page.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the file is damaged: %v", r)
		}
	}()
	return f()
}

func key(seed, name string) []byte { return []byte(seed + "\x00" + name) }

// Known returns an entry for each of the names, in their order; one that is not
// known has only its name.
func (b *Bolt) Known(_ context.Context, seed string, names []string) ([]Entry, error) {
	entries := make([]Entry, len(names))
	err := guard(func() error {
		return b.db.View(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(published)
			for i, name := range names {
				entries[i] = Entry{Name: name}
				if v, ok := b.valid(bucket.Get(key(seed, name))); ok {
					entries[i] = v.entry(name)
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return entries, nil
}

// valid decodes a value; one that is missing, too old or unreadable is not.
func (b *Bolt) valid(raw []byte) (v value, ok bool) {
	if raw == nil || json.Unmarshal(raw, &v) != nil {
		return value{}, false
	}
	return v, time.Since(v.entry("").Published) < b.ttl
}

// Remember keeps the entries, in place of what was known of their names. They
// are on disk when it returns nil.
func (b *Bolt) Remember(_ context.Context, seed string, entries []Entry) error {
	err := guard(func() error {
		return b.db.Batch(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(published)
			for _, e := range entries {
				raw, err := json.Marshal(e.value())
				if err != nil {
					return err
				}
				if err := bucket.Put(key(seed, e.Name), raw); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
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
		if _, ok := b.valid(raw); !ok {
			old = append(old, append([]byte{}, k...))
		}
	}
	return old, nil
}

// forget deletes the keys whose entries are still too old.
func (b *Bolt) forget(tx *bbolt.Tx, keys [][]byte) error {
	bucket := tx.Bucket(published)
	for _, k := range keys {
		if _, ok := b.valid(bucket.Get(k)); ok {
			continue // published again in the meantime
		}
		if err := bucket.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Close lets go of the file.
func (b *Bolt) Close() error { return b.db.Close() }
