package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const (
	// lockTimeout is how long Open waits for another process to let go of the file.
	lockTimeout = 2 * time.Second
	// batchDelay is how long a write waits for others to share its fsync.
	batchDelay = time.Millisecond
)

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("the file is in use by another process")

// File is what a worker keeps on disk (bbolt): the memory of what was
// published, the queue of seeds and lists of domains, each with a type of its
// own. All end with Close.
type File struct{ db *bbolt.DB }

// Open opens the file, or makes it with its directory. What is no store is
// renamed to NAME.damaged-TIME, which setAside names, and a new one is made: a
// worker that does not start costs more than what was in it. The error of a file
// that another process has open wraps ErrInUse.
func Open(path string) (f *File, setAside string, err error) {
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
	return &File{db: db}, setAside, nil
}

// OpenRead opens a file that no worker has open, to look at it. Without a file
// the error is one of fs.ErrNotExist, beside a worker it wraps ErrInUse.
func OpenRead(path string) (*File, error) {
	if _, err := os.Stat(path); err != nil { // opening it could make it
		return nil, fmt.Errorf("store: %w", err)
	}
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: findTimeout})
		return err
	})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("store %s: %w", path, ErrInUse)
	case err != nil:
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	return &File{db: db}, nil
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
			for _, bucket := range [][]byte{published, seeds, changes, unended, rows, watched, watchDue, []byte(Allowed), []byte(Denied)} {
				if _, err := tx.CreateBucketIfNotExists(bucket); err != nil {
					return err
				}
			}
			return makeQueue(tx)
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

// Close lets go of the file.
func (f *File) Close() error { return f.db.Close() }
