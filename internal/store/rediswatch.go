package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	watchedKey  = "typostream:watched"   // a hash: a SeedKey in hexadecimal gives a Watched
	watchDueKey = "typostream:watch:due" // a sorted set: the same by when it is looked at next
)

// Each runs as one step, so that no two workers get the same seed.
var (
	watchPut = redis.NewScript(`if ARGV[4] == '1' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1]) return 1`)
	watchClaim = redis.NewScript(`local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
local got = {}
for _, k in ipairs(due) do
  local v = redis.call('HGET', KEYS[1], k)
  if v then redis.call('ZADD', KEYS[2], ARGV[2], k) table.insert(got, v) else redis.call('ZREM', KEYS[2], k) end
end
return got`)
	watchHold = redis.NewScript(`for i = 2, #ARGV do
  local at = redis.call('ZSCORE', KEYS[2], ARGV[i])
  if at and tonumber(at) < tonumber(ARGV[1]) then redis.call('ZADD', KEYS[2], ARGV[1], ARGV[i]) end
end
return 0`)
)

var watchKeys = []string{watchedKey, watchDueKey}

// RedisWatch is a Watch that several workers share; their clocks should agree.
type RedisWatch struct{ r *Redis }

// Watch is what is watched in Redis. It lives as long as the Redis.
func (r *Redis) Watch() *RedisWatch { return &RedisWatch{r} }

func (k SeedKey) hex() string { return hex.EncodeToString(k[:]) }

// Get is as of Watch.
func (w *RedisWatch) Get(ctx context.Context, k SeedKey) (found Watched, ok bool, err error) {
	var raw string
	err = w.r.try(func() error {
		raw, err = w.r.client.HGet(ctx, watchedKey, k.hex()).Result()
		if errors.Is(err, redis.Nil) {
			raw, err = "", nil
		}
		return err
	})
	ok = err == nil && json.Unmarshal([]byte(raw), &found) == nil
	return found, ok, err
}

// Put is as of Watch.
func (w *RedisWatch) Put(ctx context.Context, seed Watched, known bool) error {
	raw, err := json.Marshal(seed)
	if err != nil {
		return fmt.Errorf("store: watch: %w", err)
	}
	flag := "0"
	if known {
		flag = "1"
	}
	return w.r.try(func() error {
		return watchPut.Run(ctx, w.r.client, watchKeys, seed.Key().hex(), raw, seed.Due().UnixMilli(), flag).Err()
	})
}

// Claim is as of Watch.
func (w *RedisWatch) Claim(ctx context.Context, now, until time.Time, limit int) (due []Watched, err error) {
	var values []string
	err = w.r.try(func() error {
		values, err = watchClaim.Run(ctx, w.r.client, watchKeys, now.UnixMilli(), until.UnixMilli(), limit).StringSlice()
		return err
	})
	for _, raw := range values {
		var seed Watched
		if json.Unmarshal([]byte(raw), &seed) == nil {
			due = append(due, seed)
		}
	}
	return due, err
}

// Hold is as of Watch.
func (w *RedisWatch) Hold(ctx context.Context, until time.Time, keys ...SeedKey) error {
	if len(keys) == 0 {
		return nil
	}
	arguments := []any{until.UnixMilli()}
	for _, k := range keys {
		arguments = append(arguments, k.hex())
	}
	return w.r.try(func() error { return watchHold.Run(ctx, w.r.client, watchKeys, arguments...).Err() })
}

// Remove is as of Watch.
func (w *RedisWatch) Remove(ctx context.Context, keys ...SeedKey) error {
	return w.r.try(func() error {
		_, err := w.r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			for _, k := range keys {
				p.HDel(ctx, watchedKey, k.hex())
				p.ZRem(ctx, watchDueKey, k.hex())
			}
			return nil
		})
		return err
	})
}

// List is as of Watch; a page may be longer, and a seed that is put meanwhile may
// come twice.
func (w *RedisWatch) List(ctx context.Context, cursor string, limit int) (page []Watched, next string, err error) {
	from := uint64(0)
	if cursor != "" {
		if from, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, "", nil
		}
	}
	var fields []string
	err = w.r.try(func() error {
		fields, from, err = w.r.client.HScan(ctx, watchedKey, from, "", int64(limit)).Result()
		return err
	})
	for i := 1; i < len(fields); i += 2 {
		var seed Watched
		if json.Unmarshal([]byte(fields[i]), &seed) == nil {
			page = append(page, seed)
		}
	}
	if from != 0 {
		next = strconv.FormatUint(from, 10)
	}
	return page, next, err
}

// Count is as of Watch.
func (w *RedisWatch) Count(ctx context.Context) (n int, err error) {
	err = w.r.try(func() error {
		length, err := w.r.client.HLen(ctx, watchedKey).Result()
		n = int(length)
		return err
	})
	return n, err
}
