package main

import (
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
)

// openWatch makes a source of the schedule: in Redis, which several workers
// share, or in the state file. Without either there is none.
func (w *workerRun) openWatch() {
	s := w.settings
	if s.Oneshot || s.Rescan == 0 {
		return
	}
	cfg := pipeline.WatchConfig{
		Queue: w.queue, Interval: s.Rescan, Unknown: s.AskUnknown, Window: 2 * s.Parallel, Metrics: w.metrics, Log: w.log,
	}
	switch {
	case s.RedisHost != "":
		r := store.NewRedis(redisConfig(s))
		w.schedule, cfg.Store = r, r.Watch()
	case w.state != nil:
		cfg.Store = w.state.Watch()
	default:
		return
	}
	if w.feed != nil {
		cfg.Lists = w.feed.Lists
	}
	w.watch = pipeline.NewWatch(cfg)
	if w.feed != nil {
		w.feed.Unlisted(w.watch.Unlisted)
	}
	w.sources = append(w.sources, w.watch)
}
