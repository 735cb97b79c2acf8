package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	redisTimeout = 500 * time.Millisecond // unless RedisConfig.Timeout is set
	// redisPause is how long Redis is left alone after a failure, so that every
	// batch of events does not wait for a server that is gone.
	redisPause = 5 * time.Second

	redisPrefix  = "typostream:published:" // then seed, colon, name; a name has no colon
	mirrorPrefix = "first_seen:"           // then the name; the contract's key
)

// ErrPaused is the error while Redis is left alone after a failure.
var ErrPaused = errors.New("redis has just failed and is left alone for some seconds")

// RedisConfig says which server remembers and how.
type RedisConfig struct {
	Addr string // host:port
	// Password is asked for each connection; nil, or one that is empty, is none.
	Password func() (string, error)
	TTL      time.Duration
	Timeout  time.Duration // of connecting, and of one answer; 0: half a second
	// Mirror also sets first_seen:NAME, once, for TTL, which the services
	// around the one that typostream replaces look at.
	Mirror bool
}

// Redis remembers for several workers. Safe for concurrent use. Every failure
// is an error soon: connecting and answering have their Timeout each, and after
// a failure the server is left alone for five seconds.
type Redis struct {
	client *redis.Client
	ttl    time.Duration
	mirror bool

	mu     sync.Mutex
	paused time.Time // until when
}

// NewRedis connects to nothing yet: a server that is gone is an error of Known
// and Remember, not of the start.
func NewRedis(cfg RedisConfig) *Redis {
	if cfg.Password == nil {
		cfg.Password = func() (string, error) { return "", nil }
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = redisTimeout
	}
	redis.SetLogger(&logging.VoidLogger{}) // it would write to standard error; every failure is an error of ours
	return &Redis{
		client: redis.NewClient(&redis.Options{
			Addr: cfg.Addr, ClientName: "typostream", MaxRetries: -1, ContextTimeoutEnabled: true,
			CredentialsProviderContext: func(context.Context) (user, password string, err error) {
				password, err = cfg.Password()
				return "", password, err
			},
			// No notices of a managed service's maintenance: a plain server refuses to send them.
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			DialerRetries:            1,
			DialTimeout:              cfg.Timeout, ReadTimeout: cfg.Timeout, WriteTimeout: cfg.Timeout, PoolTimeout: cfg.Timeout,
		}),
		ttl: cfg.TTL, mirror: cfg.Mirror,
	}
}

// Known is as of Bolt.
func (r *Redis) Known(ctx context.Context, seed string, names []string) ([]Entry, error) {
	if len(names) == 0 {
		return nil, nil
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = redisPrefix + seed + ":" + name
	}
	var values []any
	err := r.try(func() (err error) {
		values, err = r.client.MGet(ctx, keys...).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(names))
	for i, name := range names {
		entries[i] = Entry{Name: name}
		var v value
		if text, ok := values[i].(string); ok && json.Unmarshal([]byte(text), &v) == nil {
			entries[i] = v.entry(name)
		}
	}
	return entries, nil
}

// Remember is as of Bolt, but as durable as the server is.
func (r *Redis) Remember(ctx context.Context, seed string, entries []Entry, changed ...Change) error {
	if len(entries)+len(changed) == 0 {
		return nil
	}
	lines := make([][]byte, len(changed))
	for i, c := range changed {
		c.ID = ""
		var err error
		if lines[i], err = json.Marshal(c); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	values := make([][]byte, len(entries))
	for i, e := range entries {
		var err error
		if values[i], err = json.Marshal(e.value()); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return r.try(func() error {
		_, err := r.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, e := range entries {
				p.Set(ctx, redisPrefix+seed+":"+e.Name, values[i], max(time.Until(e.expires(r.ttl)), time.Millisecond))
				p.ZAdd(ctx, namesPrefix+seed, redis.Z{Member: e.Name})
				if r.mirror {
					p.SetNX(ctx, mirrorPrefix+e.Name, e.Published.Unix(), r.ttl)
				}
			}
			if len(entries) > 0 {
				p.Expire(ctx, namesPrefix+seed, r.ttl)
			}
			for _, line := range lines {
				p.XAdd(ctx, &redis.XAddArgs{Stream: changesKey, MaxLen: journalLength, Approx: true, Values: []any{"change", line}})
			}
			return nil
		})
		return err
	})
}

// try calls f unless the server has just failed.
func (r *Redis) try(f func() error) error {
	r.mu.Lock()
	paused := time.Now().Before(r.paused)
	r.mu.Unlock()
	if paused {
		return fmt.Errorf("store: %w", ErrPaused)
	}
	err := f()
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) { // the caller has gone: that says nothing of the server
		return fmt.Errorf("store: redis: %w", err)
	}
	r.mu.Lock()
	r.paused = time.Now().Add(redisPause)
	r.mu.Unlock()
	return fmt.Errorf("store: redis: %w", err)
}

// Ping asks the server whether it is there, paused or not.
func (r *Redis) Ping(ctx context.Context) error { return r.client.Ping(ctx).Err() }

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }
