package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/redis/go-redis/v9"
)

const (
	namesPrefix = "typostream:names:"  // then the seed: a sorted set of its names, all with score 0
	seedsKey    = "typostream:seeds"   // a hash: seed gives a SeedRecord
	changesKey  = "typostream:changes" // a stream of Change
)

var streamID = regexp.MustCompile(`^[0-9]{1,19}-[0-9]{1,19}$`)

// Changes is as of Bolt.
func (r *Redis) Changes(ctx context.Context, after string, limit int) (found []Change, err error) {
	from := "-"
	if after != "" {
		if !streamID.MatchString(after) {
			return nil, &ChangeIDError{after}
		}
		from = "(" + after
	}
	var lines []redis.XMessage
	if err := r.try(func() (err error) {
		lines, err = r.client.XRangeN(ctx, changesKey, from, "+", int64(limit)).Result()
		return err
	}); err != nil {
		return nil, err
	}
	for _, line := range lines {
		c := Change{}
		text, _ := line.Values["change"].(string)
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return nil, fmt.Errorf("store: redis: line %s of %s: %w", line.ID, changesKey, err)
		}
		c.ID = line.ID
		found = append(found, c)
	}
	return found, nil
}

// LastChange is as of Bolt.
func (r *Redis) LastChange(ctx context.Context) (id string, err error) {
	var last []redis.XMessage
	err = r.try(func() (err error) {
		last, err = r.client.XRevRangeN(ctx, changesKey, "+", "-", 1).Result()
		return err
	})
	if err != nil || len(last) == 0 {
		return "", err
	}
	return last[0].ID, nil
}

// Candidates is as of Bolt.
func (r *Redis) Candidates(ctx context.Context, seed, after string, limit int) (found []Entry, more bool, err error) {
	for {
		from := "-"
		if after != "" {
			from = "(" + after
		}
		var names []string
		if err := r.try(func() (err error) {
			names, err = r.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: namesPrefix + seed, Start: from, Stop: "+", ByLex: true, Count: redisChunk}).Result()
			return err
		}); err != nil {
			return nil, false, err
		}
		entries, err := r.Known(ctx, seed, names)
		if err != nil {
			return nil, false, err
		}
		var old []any
		for _, e := range entries {
			switch {
			case e.Published.IsZero():
				old = append(old, e.Name)
			case len(found) == limit:
				return found, true, nil
			default:
				found = append(found, e)
			}
		}
		if len(old) > 0 { // their time was over; one that has just come back is added again by its next scan
			if err := r.try(func() error { return r.client.ZRem(ctx, namesPrefix+seed, old...).Err() }); err != nil {
				return nil, false, err
			}
		}
		if len(names) < redisChunk {
			return found, false, nil
		}
		after = names[len(names)-1]
	}
}

// Seed is as of Bolt.
func (r *Redis) Seed(ctx context.Context, seed string) (record SeedRecord, err error) {
	var raw []byte
	err = r.try(func() (err error) {
		raw, err = r.client.HGet(ctx, seedsKey, seed).Bytes()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	if err != nil || raw == nil {
		return SeedRecord{}, err
	}
	if err := json.Unmarshal(raw, &record); err != nil {
		return SeedRecord{}, fmt.Errorf("store: redis: %s of %s: %w", seed, seedsKey, err)
	}
	return record, nil
}

// Scanned is as of Bolt, but as durable as the server is.
func (r *Redis) Scanned(ctx context.Context, seed string, record SeedRecord) error {
	raw, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return r.try(func() error { return r.client.HSet(ctx, seedsKey, seed, raw).Err() })
}

// Seeds yields every seed of which a scan was complete, in no order.
func (r *Redis) Seeds(ctx context.Context, yield func(seed string, record SeedRecord)) error {
	return r.try(func() error {
		for cursor := uint64(0); ; {
			pairs, next, err := r.client.HScan(ctx, seedsKey, cursor, "", redisChunk).Result()
			if err != nil {
				return err
			}
			for i := 0; i+1 < len(pairs); i += 2 {
				var record SeedRecord
				if err := json.Unmarshal([]byte(pairs[i+1]), &record); err != nil {
					return err
				}
				yield(pairs[i], record)
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}
