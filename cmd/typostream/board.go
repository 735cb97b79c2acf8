package main

import (
	"context"
	"time"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
)

// showScans shows in Redis, where one is named, what becomes of seeds. The
// function it returns ends that once the worker is done.
func (w *workerRun) showScans() (pipeline.Watcher, func()) {
	if w.settings.RedisHost == "" {
		return pipeline.Watcher{}, func() {}
	}
	r := store.NewRedis(redisConfig(w.settings))
	board := store.NewBoard(r, w.log)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		board.Run(ctx)
	}()
	watcher := pipeline.Watcher{
		Begun: func(seed pipeline.Seed) { board.Begun(seed.FQDN, seed.Brand, time.Now()) },
		Ended: func(seed pipeline.Seed, s pipeline.Summary, err error) {
			if err != nil {
				board.Failed(seed.FQDN, time.Now())
				return
			}
			board.Completed(seed.FQDN, s.Registered, s.Candidates, s.Absent, time.Now())
		},
	}
	return watcher, func() {
		cancel()
		<-ended
		_ = r.Close() // nothing is written to it any more
	}
}
