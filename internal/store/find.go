package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// findTimeout is how long a search waits for the one who has the file open.
	findTimeout = 300 * time.Millisecond
	// findChunk is how many entries a search looks at before it lets go of the
	// file: a worker that starts meanwhile waits lockTimeout for it.
	findChunk = 50_000
	// redisChunk is how many keys are asked for at a time.
	redisChunk = 1000
)

// Query is what to look for over all seeds.
type Query struct {
	Name string // FQDN, A-labels; or
	ID   string // of the last event
}

func (q Query) wants(e Entry) bool {
	return q.Name != "" && e.Name == q.Name || q.ID != "" && e.ID == q.ID
}

// FindBolt yields what the file holds of a name or event, for whichever seed,
// and changes nothing. Without a file the error is one of fs.ErrNotExist; while
// a worker has it open the error wraps ErrInUse; of a damaged file it says so.
func FindBolt(ctx context.Context, path string, q Query, yield func(seed string, e Entry)) error {
	for from := []byte{}; from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if from, err = findSome(path, from, q, yield); err != nil {
			return err
		}
	}
	return nil
}

// findSome opens the file, looks at some entries, and closes it. next is where
// to go on; nil at the end.
func findSome(path string, from []byte, q Query, yield func(seed string, e Entry)) (next []byte, err error) {
	// The file is mapped into memory: what is missing of it is a fault there.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f, err := OpenRead(path)
	if err != nil {
		return nil, err
	}
	err = guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			if bucket := tx.Bucket(published); bucket != nil { // none: a worker was killed as it made the file
				next = findFrom(bucket.Cursor(), from, q, yield)
			}
			return nil
		})
	})
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	return next, nil
}

func findFrom(c *bbolt.Cursor, from []byte, q Query, yield func(seed string, e Entry)) (next []byte) {
	left := findChunk
	for k, raw := c.Seek(from); k != nil; k, raw = c.Next() {
		if left == 0 {
			return append([]byte{}, k...)
		}
		left--
		seed, name, _ := strings.Cut(string(k), "\x00")
		if q.Name != "" && name != q.Name {
			continue
		}
		var v value
		if json.Unmarshal(raw, &v) == nil && q.wants(v.entry(name)) {
			yield(seed, v.entry(name))
		}
	}
	return nil
}

// Find yields what the file holds of a name or event, for whichever seed.
func (b *Bolt) Find(ctx context.Context, q Query, yield func(seed string, e Entry)) error {
	for from := []byte{}; from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.view(func(tx *bbolt.Tx) error {
			if bucket := tx.Bucket(published); bucket != nil {
				from = findFrom(bucket.Cursor(), from, q, yield)
			} else {
				from = nil
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Find yields what the server holds of a name or event, for whichever seed. It
// makes it go through all its keys; what is written meanwhile may come twice, or
// not at all.
func (r *Redis) Find(ctx context.Context, q Query, yield func(seed string, e Entry)) error {
	pattern := redisPrefix + "*"
	if q.Name != "" {
		pattern += ":" + quoteGlob(q.Name)
	}
	return r.try(func() error {
		for cursor := uint64(0); ; {
			keys, next, err := r.client.Scan(ctx, cursor, pattern, redisChunk).Result()
			if err != nil {
				return err
			}
			if err := r.yieldMatches(ctx, keys, q, yield); err != nil || next == 0 {
				return err
			}
			cursor = next
		}
	})
}

func (r *Redis) yieldMatches(ctx context.Context, keys []string, q Query, yield func(seed string, e Entry)) error {
	if len(keys) == 0 {
		return nil
	}
	values, err := r.client.MGet(ctx, keys...).Result()
	if err != nil {
		return err
	}
	for i, key := range keys {
		at := strings.LastIndexByte(key, ':')
		var v value
		if text, ok := values[i].(string); ok && json.Unmarshal([]byte(text), &v) == nil && q.wants(v.entry(key[at+1:])) {
			yield(key[len(redisPrefix):at], v.entry(key[at+1:]))
		}
	}
	return nil
}

// quoteGlob makes a text match itself only.
func quoteGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
