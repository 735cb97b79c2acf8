package store

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"go.etcd.io/bbolt"
)

const unendedPrefix = "typostream:unended:" // then the seed

// Begin notes that a scan of the seed begins, and returns when the first one did
// that has not ended, zero if all have: its worker may have published what it
// could not remember. It is on disk when the error is nil.
func (b *Bolt) Begin(_ context.Context, seed string, at time.Time) (before time.Time, err error) {
	err = b.update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(unended)
		if before = parseMillis(string(bucket.Get([]byte(seed)))); !before.IsZero() {
			return nil
		}
		return bucket.Put([]byte(seed), []byte(millis(at)))
	})
	return before, err
}

// End notes that all scans of the seed have ended.
func (b *Bolt) End(_ context.Context, seed string) error {
	return b.update(func(tx *bbolt.Tx) error { return tx.Bucket(unended).Delete([]byte(seed)) })
}

// Begin is as of Bolt, but as durable as the server is.
func (r *Redis) Begin(ctx context.Context, seed string, at time.Time) (before time.Time, err error) {
	var first *redis.BoolCmd
	var value *redis.StringCmd
	err = r.try(func() error {
		_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			first = p.SetNX(ctx, unendedPrefix+seed, millis(at), r.ttl)
			value = p.Get(ctx, unendedPrefix+seed)
			return nil
		})
		if errors.Is(err, redis.Nil) { // it has just run out, or another worker has ended
			return nil
		}
		return err
	})
	if err != nil || first.Val() {
		return time.Time{}, err
	}
	return parseMillis(value.Val()), nil
}

// End is as of Bolt.
func (r *Redis) End(ctx context.Context, seed string) error {
	return r.try(func() error { return r.client.Del(ctx, unendedPrefix+seed).Err() })
}

func millis(at time.Time) string { return strconv.FormatInt(at.UnixMilli(), 10) }

// parseMillis is the zero time of what is none.
func parseMillis(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
