package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const leasePrefix = "typostream:lease:" // then seed, colon, name

// Both touch only the keys that still hold the token: a lease that has run out
// may be another's by now.
var (
	releaseLeases = redis.NewScript(`for _, k in ipairs(KEYS) do if redis.call('GET', k) == ARGV[1] then redis.call('DEL', k) end end return 0`)
	renewLeases   = redis.NewScript(`for _, k in ipairs(KEYS) do if redis.call('GET', k) == ARGV[1] then redis.call('PEXPIRE', k, ARGV[2]) end end return 0`)
)

func leaseKeys(seed string, names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = leasePrefix + seed + ":" + name
	}
	return keys
}

// Lease asks for each of the names whether it is free, and makes it the token's
// for life if so; got is in their order. After an error some may be held until
// they run out.
func (r *Redis) Lease(ctx context.Context, seed string, names []string, token string, life time.Duration) (got []bool, err error) {
	answers := make([]*redis.StatusCmd, len(names))
	err = r.try(func() error {
		_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range leaseKeys(seed, names) {
				answers[i] = p.SetArgs(ctx, key, token, redis.SetArgs{Mode: "NX", TTL: life})
			}
			return nil
		})
		if !errors.Is(err, redis.Nil) {
			return err
		}
		for _, a := range answers { // the pipeline's error is the first, and may hide one behind a name that is taken
			if err := a.Err(); err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	got = make([]bool, len(names))
	for i, a := range answers {
		got[i] = a.Err() == nil
	}
	return got, nil
}

// Renew gives the leases that are still the token's another life.
func (r *Redis) Renew(ctx context.Context, seed string, names []string, token string, life time.Duration) error {
	return r.try(func() error {
		return renewLeases.Run(ctx, r.client, leaseKeys(seed, names), token, life.Milliseconds()).Err()
	})
}

// Release ends the leases that are still the token's.
func (r *Redis) Release(ctx context.Context, seed string, names []string, token string) error {
	return r.try(func() error { return releaseLeases.Run(ctx, r.client, leaseKeys(seed, names), token).Err() })
}
