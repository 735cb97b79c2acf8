package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
)

// ListName names a list of domains. It is the bucket in the file, whose sequence
// is the list's version: a domain gives a listValue.
type ListName string

const (
	Allowed ListName = "allowed" // nobody's squats
	Denied  ListName = "denied"  // known to be hostile
)

// ErrListFull says that nothing was added to a list, which would be too long.
var ErrListFull = errors.New("the list would be too long")

// Listed is a domain of a list.
type Listed struct {
	Domain string // as fuzzer.ParseListed returns it
	Added  time.Time
	Note   string
}

// listValue is what is kept of a domain. Version 1; a field may be added, none
// may change its meaning.
type listValue struct {
	Added int64  `json:"a"` // Unix milliseconds
	Note  string `json:"n,omitempty"`
}

func (v listValue) listed(domain string) Listed {
	return Listed{Domain: domain, Added: time.UnixMilli(v.Added), Note: v.Note}
}

// List keeps a list of domains in a file, through restarts and SIGKILL. Safe for
// concurrent use.
type List struct {
	db     *bbolt.DB
	bucket []byte
	limit  int
}

// List is one of the lists in the file, which may have up to limit domains.
func (f *File) List(name ListName, limit int) *List {
	return &List{db: f.db, bucket: []byte(name), limit: limit}
}

// Add puts those of the domains on the list that are not there, and returns how
// many that were; those that are there stay as they are. All of it is on disk
// when it returns nil, and none of it after an error, which wraps ErrListFull
// where there is no room.
func (l *List) Add(_ context.Context, domains []string, at time.Time, note string) (added int, err error) {
	raw, err := json.Marshal(listValue{at.UnixMilli(), note})
	if err != nil {
		return 0, fmt.Errorf("store: list: %w", err)
	}
	err = guard(func() error {
		return l.db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(l.bucket)
			before := bucket.Stats().KeyN // of what is on disk: asked before anything is put
			added = 0
			for _, domain := range domains {
				if bucket.Get([]byte(domain)) != nil {
					continue
				}
				if err := bucket.Put([]byte(domain), raw); err != nil {
					return err
				}
				added++
			}
			if added == 0 {
				return nil
			}
			if before+added > l.limit {
				return fullError(l.limit)
			}
			_, err := bucket.NextSequence()
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("store: list: %w", err)
	}
	return added, nil
}

func fullError(limit int) error { return fmt.Errorf("%w: more than %d domains", ErrListFull, limit) }

// Remove takes a domain off the list; false if it was not there.
func (l *List) Remove(_ context.Context, domain string) (known bool, err error) {
	err = guard(func() error {
		return l.db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(l.bucket)
			if known = bucket.Get([]byte(domain)) != nil; !known {
				return nil
			}
			if err := bucket.Delete([]byte(domain)); err != nil {
				return err
			}
			_, err := bucket.NextSequence()
			return err
		})
	})
	if err != nil {
		return false, fmt.Errorf("store: list: %w", err)
	}
	return known, nil
}

// Page returns at most limit domains after the given one, in the order of their
// bytes, and whether there are more.
func (l *List) Page(_ context.Context, after string, limit int) (found []Listed, more bool, err error) {
	err = guard(func() error {
		return l.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(l.bucket).Cursor()
			for k, raw := c.Seek([]byte(after)); k != nil; k, raw = c.Next() {
				if string(k) == after {
					continue
				}
				if more = len(found) == limit; more {
					return nil
				}
				var v listValue
				if err := json.Unmarshal(raw, &v); err != nil {
					return fmt.Errorf("%s: %w", k, err)
				}
				found = append(found, v.listed(string(k)))
			}
			return nil
		})
	})
	if err != nil {
		return nil, false, fmt.Errorf("store: list: %w", err)
	}
	return found, more, nil
}

// Load returns all domains and the version of the list, which is another after
// each change; if it is the one that the caller has, no domains. No version is "".
func (l *List) Load(_ context.Context, have string) (domains []string, version string, err error) {
	err = guard(func() error {
		return l.db.View(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(l.bucket)
			if version = strconv.FormatUint(bucket.Sequence(), 10); version == have {
				return nil
			}
			return bucket.ForEach(func(k, _ []byte) error {
				domains = append(domains, string(k))
				return nil
			})
		})
	})
	if err != nil {
		return nil, "", fmt.Errorf("store: list: %w", err)
	}
	return domains, version, nil
}
