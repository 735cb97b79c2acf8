package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// listTimeout is how long one answer about a list may take: ten thousand domains
	// can be added in one step, and a scan that goes by an old list costs more than
	// one that begins late.
	listTimeout = 2 * time.Second
	listChunk   = 2000 // domains that are read at a time
)

// Each runs as one step. KEYS are the keys of a RedisList.
var (
	listAdd = redis.NewScript(`local fresh = {}
for i = 4, #ARGV do if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then table.insert(fresh, ARGV[i]) end end
if #fresh == 0 then return 0 end
if redis.call('HLEN', KEYS[1]) + #fresh > tonumber(ARGV[1]) then return -1 end
for _, d in ipairs(fresh) do redis.call('HSET', KEYS[1], d, ARGV[3]) redis.call('ZADD', KEYS[2], 0, d) end
redis.call('SET', KEYS[3], ARGV[2])
return #fresh`)
	listRemove = redis.NewScript(`if redis.call('HDEL', KEYS[1], ARGV[2]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[2]) redis.call('SET', KEYS[3], ARGV[1]) return 1`)
)

// RedisList is a List that several workers share, as durable as the server is.
type RedisList struct {
	r      *Redis
	client *redis.Client
	keys   []string // a hash: a domain gives a listValue; a sorted set of the domains, all with score 0; the version
	limit  int
}

// List is one of the lists in Redis, which may have up to limit domains. It lives
// as long as the Redis.
func (r *Redis) List(name ListName, limit int) *RedisList {
	key := "typostream:" + string(name)
	return &RedisList{r, r.client.WithTimeout(listTimeout), []string{key, key + ":domains", key + ":version"}, limit}
}

// Add is as of List. After an error it may have been done all the same.
func (l *RedisList) Add(ctx context.Context, domains []string, at time.Time, note string) (added int, err error) {
	raw, err := json.Marshal(listValue{at.UnixMilli(), note})
	if err != nil {
		return 0, fmt.Errorf("store: list: %w", err)
	}
	arguments := []any{l.limit, rand.Text(), raw}
	seen := make(map[string]bool, len(domains))
	for _, domain := range domains {
		if !seen[domain] {
			seen[domain] = true
			arguments = append(arguments, domain)
		}
	}
	err = l.r.try(func() error {
		added, err = listAdd.Run(ctx, l.client, l.keys, arguments...).Int()
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case added < 0:
		return 0, fmt.Errorf("store: list: %w", fullError(l.limit))
	}
	return added, nil
}

// Remove is as of List, with the same restriction.
func (l *RedisList) Remove(ctx context.Context, domain string) (known bool, err error) {
	err = l.r.try(func() error {
		known, err = listRemove.Run(ctx, l.client, l.keys, rand.Text(), domain).Bool()
		return err
	})
	return known, err
}

// Page is as of List.
func (l *RedisList) Page(ctx context.Context, after string, limit int) (found []Listed, more bool, err error) {
	domains, err := l.domains(ctx, after, limit+1)
	if err != nil || len(domains) == 0 {
		return nil, false, err
	}
	if more = len(domains) > limit; more {
		domains = domains[:limit]
	}
	var values []any
	err = l.r.try(func() error {
		values, err = l.client.HMGet(ctx, l.keys[0], domains...).Result()
		return err
	})
	if err != nil {
		return nil, false, err
	}
	for i, domain := range domains {
		text, ok := values[i].(string)
		if !ok { // removed meanwhile, or the server has lost the hash: scans go by the set
			found = append(found, Listed{Domain: domain})
			continue
		}
		var v listValue
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, false, fmt.Errorf("store: list: %s of %s: %w", domain, l.keys[0], err)
		}
		found = append(found, v.listed(domain))
	}
	return found, more, nil
}

// domains are at most limit after the given one.
func (l *RedisList) domains(ctx context.Context, after string, limit int) (found []string, err error) {
	from := "-"
	if after != "" {
		from = "(" + after
	}
	err = l.r.try(func() error {
		found, err = l.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: l.keys[1], Start: from, Stop: "+", ByLex: true, Count: int64(limit)}).Result()
		return err
	})
	return found, err
}

// Load is as of List. Of a change that is made meanwhile it may return a part,
// with the version before.
func (l *RedisList) Load(ctx context.Context, have string) (domains []string, version string, err error) {
	err = l.r.try(func() error {
		version, err = l.client.Get(ctx, l.keys[2]).Result()
		if errors.Is(err, redis.Nil) {
			version, err = "none", nil // it was never changed, or the server has lost it
		}
		return err
	})
	if err != nil || version == have {
		return nil, version, err
	}
	for after, more := "", true; more; {
		page, err := l.domains(ctx, after, listChunk)
		if err != nil {
			return nil, "", err
		}
		domains = append(domains, page...)
		if more = len(page) == listChunk; more {
			after = page[len(page)-1]
		}
	}
	return domains, version, nil
}
