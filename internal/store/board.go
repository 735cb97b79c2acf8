package store

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	boardTTL      = 90 * 24 * time.Hour
	boardHistory  = 1000            // seeds in dnstwist:history
	boardWaiting  = 10_000          // notes that wait for Redis; then the oldest goes
	boardPatience = 2 * time.Second // for what waits at the end
)

// Board shows in Redis which seeds are scanned and what came of them, under the
// keys that the services around the one that typostream replaces read. It is a
// mirror: nothing reads it here, nobody waits for it, and what is lost with
// Redis is lost. What could not be written is written when Redis is back, in
// order, up to 10,000 notes; when only the answer was lost, a count can be too
// high.
//
// Begun, Completed and Failed never block. Safe for concurrent use.
type Board struct {
	redis *Redis
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	waiting []note
	dropped int
}

// note is a line on the board.
type note struct {
	seed, status          string
	brand                 string
	at                    time.Time
	variants, fresh, none int
}

// The values of dnstwist:status:SEED.
const (
	boardProcessing = "processing"
	boardCompleted  = "completed"
	boardFailed     = "failed"
)

// NewBoard connects to nothing; Run writes.
func NewBoard(r *Redis, log *slog.Logger) *Board {
	return &Board{redis: r, log: log, wake: make(chan struct{}, 1)}
}

// Begun notes that a seed, by its FQDN, is being scanned.
func (b *Board) Begun(seed, brand string, at time.Time) {
	b.put(note{seed: seed, status: boardProcessing, brand: brand, at: at})
}

// Completed notes that every name of the seed was asked about, which may have
// brought nothing: variants are those that are registered, fresh those of them
// that were published now, absent those that do not exist.
func (b *Board) Completed(seed string, variants, fresh, absent int, at time.Time) {
	b.put(note{seed: seed, status: boardCompleted, at: at, variants: variants, fresh: fresh, none: absent})
}

// Failed notes that a scan came to no end, or could not find out most names.
func (b *Board) Failed(seed string, at time.Time) {
	b.put(note{seed: seed, status: boardFailed, at: at})
}

func (b *Board) put(n note) {
	b.mu.Lock()
	full := len(b.waiting) == boardWaiting
	if full {
		b.waiting = b.waiting[1:]
		b.dropped++
	}
	first := full && b.dropped == 1
	b.waiting = append(b.waiting, n)
	b.mu.Unlock()
	if first {
		b.log.Warn("Redis was away for so long that states of scans are forgotten, the oldest first", "notes", boardWaiting)
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Run writes what is noted until ctx ends, and then what still waits, if Redis
// takes it within two seconds.
func (b *Board) Run(ctx context.Context) {
	for trouble := false; ctx.Err() == nil; {
		again := b.wake
		var later <-chan time.Time
		err := b.flush(ctx)
		if err != nil && ctx.Err() == nil {
			again, later = nil, time.After(redisPause)
			if !trouble {
				b.log.Warn("the state of scans cannot be shown in Redis; it is when Redis is back", "cause", err)
			}
		}
		trouble = err != nil
		select {
		case <-ctx.Done():
		case <-again:
		case <-later:
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), boardPatience)
	defer cancel()
	if err := b.flush(ctx); err != nil {
		b.mu.Lock()
		left := len(b.waiting)
		b.mu.Unlock()
		if left > 0 {
			b.log.Warn("the last states of scans are not shown in Redis", "notes", left, "cause", err)
		}
	}
}

// flush writes what waits, one note at a time, up to the first error. The end of
// ctx does not cut a note off, which would look like a failure of Redis.
func (b *Board) flush(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.mu.Lock()
		if len(b.waiting) == 0 {
			b.waiting = nil
			b.mu.Unlock()
			return nil
		}
		n, dropped := b.waiting[0], b.dropped
		b.mu.Unlock()
		if err := b.redis.try(func() error { return b.redis.post(context.WithoutCancel(ctx), n) }); err != nil {
			return err
		}
		b.mu.Lock()
		if b.dropped == dropped { // else the note itself was the oldest
			b.waiting = b.waiting[1:]
		}
		b.mu.Unlock()
	}
}

// post writes one note, all of it or nothing.
func (r *Redis) post(ctx context.Context, n note) error {
	_, err := r.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		seconds := n.at.Unix()
		progress := "dnstwist:progress:" + n.seed
		p.Set(ctx, "dnstwist:status:"+n.seed, n.status, boardTTL)
		if n.status == boardProcessing {
			p.ZAdd(ctx, "dnstwist:queue:active", redis.Z{Score: float64(seconds), Member: n.seed})
			p.HSet(ctx, progress, "started_at", strconv.FormatInt(seconds, 10), "cse_id", n.brand, "current_pass", "all")
			p.Expire(ctx, progress, boardTTL) // of a worker that was killed
			return nil
		}
		p.ZRem(ctx, "dnstwist:queue:active", n.seed)
		p.Del(ctx, progress)
		if n.status != boardCompleted {
			return nil
		}
		p.Set(ctx, "dnstwist:variants:"+n.seed, n.variants, boardTTL)
		p.Set(ctx, "dnstwist:unregistered:"+n.seed, n.none, boardTTL)
		p.Set(ctx, "dnstwist:timestamp:"+n.seed, seconds, boardTTL)
		p.ZAdd(ctx, "dnstwist:history", redis.Z{Score: float64(seconds), Member: n.seed})
		p.ZRemRangeByRank(ctx, "dnstwist:history", 0, -boardHistory-1)
		p.Incr(ctx, "dnstwist:total_processed")
		postCrawl(ctx, p, n)
		return nil
	})
	return err
}

// postCrawl begins or continues what the crawler counts for the seed: total
// grows by what it gets now, and what it has counted itself stays.
func postCrawl(ctx context.Context, p redis.Pipeliner, n note) {
	prefix := "fcrawler:seed:" + n.seed + ":"
	p.IncrBy(ctx, prefix+"total", int64(n.fresh))
	p.Expire(ctx, prefix+"total", boardTTL)
	for _, counter := range []string{"crawled", "failed"} {
		p.SetNX(ctx, prefix+counter, 0, boardTTL)
		p.Expire(ctx, prefix+counter, boardTTL)
	}
	if n.fresh > 0 {
		p.Set(ctx, prefix+"status", "pending", boardTTL)
	} else {
		p.SetNX(ctx, prefix+"status", boardCompleted, boardTTL) // nothing to crawl
		p.Expire(ctx, prefix+"status", boardTTL)
	}
}
