package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/typostream/typostream/internal/api"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/whereabouts"
	"github.com/typostream/typostream/pipeline"
)

// rawTopic is read by a service that takes first_seen:NAME for a reason to drop
// what typostream writes there.
const rawTopic = "raw.hosts"

// knownCandidates is what keeps candidates from being published again, and where
// it is kept. The zero value remembers nothing.
type knownCandidates struct {
	dedup   *pipeline.Dedup
	history api.History           // nil where nothing outlives the process
	find    whereabouts.Find      // likewise
	tend    func(context.Context) // does what is to be done beside, until the context ends; nil for nothing
	store   io.Closer             // nil where there is nothing to close
}

func (k *knownCandidates) close() error {
	if k.store == nil {
		return nil
	}
	return k.store.Close()
}

// openKnown opens what the settings name: Redis for several workers, the file for
// one, and what lasts as long as the process for a one-shot run and where
// another worker has the file: without it candidates come twice.
func openKnown(s *settings, file *store.File, metrics *pipeline.Metrics, log *slog.Logger) (*knownCandidates, error) {
	switch {
	case s.DedupTTL == 0:
		return &knownCandidates{}, nil
	case s.RedisHost != "":
		r := store.NewRedis(redisConfig(s))
		dedup := pipeline.NewDedup(r, s.DedupTTL, s.EmitAll, metrics, log)
		return &knownCandidates{dedup: dedup, history: r, find: r.Find, tend: dedup.Watch, store: r}, nil
	case file == nil:
		return inMemory(s, metrics, log)
	}
	bolt := file.Published(s.DedupTTL)
	tend := func(ctx context.Context) { sweepDaily(ctx, bolt, log) }
	return &knownCandidates{dedup: pipeline.NewDedup(bolt, s.DedupTTL, s.EmitAll, metrics, log), history: bolt, find: bolt.Find, tend: tend}, nil
}

func redisConfig(s *settings) store.RedisConfig {
	return store.RedisConfig{
		Addr: net.JoinHostPort(s.RedisHost, strconv.Itoa(s.RedisPort)), Password: s.RedisPassword.Read,
		TTL: s.DedupTTL, Mirror: s.Topics.Candidates != rawTopic,
	}
}

// inMemory remembers until the process ends.
func inMemory(s *settings, metrics *pipeline.Metrics, log *slog.Logger) (*knownCandidates, error) {
	ttl := cmp.Or(s.DedupTTL, math.MaxInt64)
	m, err := store.NewMemory(ttl)
	if err != nil {
		return nil, err
	}
	return &knownCandidates{dedup: pipeline.NewDedup(m, ttl, s.EmitAll, metrics, log), store: m}, nil
}

// sweepDaily removes what is too old, at once and every day.
func sweepDaily(ctx context.Context, bolt *store.Bolt, log *slog.Logger) {
	for {
		if removed, err := bolt.Sweep(ctx); err != nil && ctx.Err() == nil {
			log.Warn("the store of known candidates could not be swept", "cause", err)
		} else if removed > 0 {
			log.Info("known candidates forgotten", "candidates", removed)
		}
		if !pause(ctx, 24*time.Hour) {
			return
		}
	}
}
