package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Worker scans the seeds of its sources, several at a time, until all sources
// are at their end or it is told to stop.
type Worker struct {
	Scanner  *Scanner
	First    Source   // its seeds go before all others'; may be nil
	Sources  []Source // they take turns
	Schedule *Watch   // told of each seed before it is acknowledged; may be nil
	Parallel int      // seeds in work at once; at least 1

	// DrainTimeout is how long seeds in work may go on after the context has
	// ended. What is not finished by then is not acknowledged.
	DrainTimeout time.Duration
	// GiveUp is called when that time is over: what still waits for Kafka is to
	// be put where it is durable at once. May be nil.
	GiveUp func()
	// RetryDelay is the time before a scan that could not be finished is begun
	// again.
	RetryDelay time.Duration
	// Sent is the word for a durable record in the log, "sent" or "written".
	Sent    string
	Watcher Watcher
	Metrics *Metrics
	Log     *slog.Logger

	mu    sync.Mutex
	total Summary
}

// A scan with a greater share of unknown names than maxUnanswered says nothing
// about its seed and is begun again: for as long as no resolver answers at all,
// and maxRescans times while they do, because then it may be the seed's own
// suffix that is broken for good.
const (
	maxUnanswered = 0.5
	maxRescans    = 3
)

// Total is the sum over all finished scans. Safe for concurrent use.
func (w *Worker) Total() Summary {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.total
}

// Run returns when every source has ended and every seed they delivered is
// done. When ctx ends the sources stop delivering, and seeds in work have
// DrainTimeout to finish. A source that cannot go on is an error, but does not
// end the others.
func (w *Worker) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	deadline := context.AfterFunc(ctx, func() {
		if pause(work, w.DrainTimeout) {
			w.Log.Warn("seeds in work are given up; they are not acknowledged", "after", w.DrainTimeout)
			stop()
			if w.GiveUp != nil {
				w.GiveUp()
			}
		}
	})
	defer deadline()

	var next turns
	var sources sync.WaitGroup
	errs := make([]error, len(w.Sources)+1)
	start := func(source Source, failure *error) <-chan Delivery {
		out := make(chan Delivery)
		sources.Go(func() {
			defer close(out)
			if *failure = source.Run(ctx, out); *failure != nil {
				w.Log.Error("a source of seeds has ended", "cause", *failure)
			}
		})
		return out
	}
	if w.First != nil {
		next.first = append(next.first, start(w.First, &errs[len(w.Sources)]))
	}
	for i, source := range w.Sources {
		next.others = append(next.others, start(source, &errs[i]))
	}
	var scans sync.WaitGroup
	for range max(1, w.Parallel) {
		scans.Go(func() {
			for d, more := next.take(); more; d, more = next.take() {
				w.work(work, d)
			}
		})
	}
	sources.Wait()
	scans.Wait()
	return errors.Join(errs...)
}

// work scans a seed until it is finished, however often that takes, or until
// it is no longer ours to finish.
func (w *Worker) work(ctx context.Context, d Delivery) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.Context, cancel)()
	w.Metrics.begin()
	defer w.Metrics.end()
	w.Watcher.begun(d.Seed)
	for rescans := 0; ; {
		summary, err := w.Scanner.Scan(ctx, d.Seed)
		if err == nil && summary.answered() != nil {
			if rescans++; !w.awaitResolvers(ctx) || rescans <= maxRescans {
				err = fmt.Errorf("the resolvers gave no answer for %d of %d names", summary.Unknown, summary.Generated)
			}
		}
		if err == nil {
			w.report(d.Seed, summary)
			w.Schedule.finished(ctx, d.Seed, summary)
			w.Watcher.ended(d.Seed, summary, summary.answered())
			if d.Finished != nil {
				d.Finished(summary)
			}
			d.Done(nil)
			return
		}
		if ctx.Err() == nil {
			w.Log.Error("seed not finished; trying again", "seed", d.Seed.FQDN, "scan", d.Seed.Scan, "in", w.RetryDelay, "cause", err)
			w.Metrics.retry()
			if pause(ctx, w.RetryDelay) {
				continue
			}
		}
		w.Watcher.ended(d.Seed, summary, err)
		w.Log.Warn("seed not finished", "seed", d.Seed.FQDN, "scan", d.Seed.Scan, "brand", d.Seed.Brand)
		d.Done(ctx.Err())
		return
	}
}

// awaitResolvers returns true at once if a resolver answers; else it waits for
// one, and returns false.
func (w *Worker) awaitResolvers(ctx context.Context) bool {
	for alive := true; ; alive = false {
		err := w.Scanner.Resolver.Check(ctx)
		if err == nil {
			return alive
		}
		if ctx.Err() != nil {
			return false
		}
		w.Log.Warn("no resolver answers; a seed waits until one does", "cause", err)
		if !pause(ctx, w.RetryDelay) {
			return false
		}
	}
}

// report logs the end of a seed in the words that its operators know. A figure
// of trouble is named only where there is some.
func (w *Worker) report(seed Seed, s Summary) {
	w.mu.Lock()
	w.total.Add(s)
	w.mu.Unlock()
	attrs := []any{"seed", seed.FQDN, "brand", seed.Brand, "scan", seed.Scan, "generated", s.Generated, "registered", s.Registered, "absent", s.Absent}
	if s.Unknown > 0 {
		attrs = append(attrs, "unknown", s.Unknown)
	}
	if s.Suppressed > 0 {
		attrs = append(attrs, "suppressed", s.Suppressed)
	}
	if s.Changes > 0 {
		attrs = append(attrs, "changes", s.Changes)
	}
	if s.Allowed > 0 {
		attrs = append(attrs, "allowed", s.Allowed)
	}
	if s.answered() != nil {
		w.Log.Warn(fmt.Sprintf("%d of %d names of %s could not be found out", s.Unknown, s.Generated, seed.FQDN), attrs...)
	}
	w.Log.Info(fmt.Sprintf("Completed %s: %d unique variants emitted", seed.FQDN, s.Candidates), attrs...)
	switch r := s.Receipt; {
	case r.Spooled+r.DeadLettered == 0:
		w.Log.Info(fmt.Sprintf("All %d variants %s successfully", s.Candidates, w.Sent), "seed", seed.FQDN, "accepted", r.Acked, "acked", r.Acked)
	default:
		w.Log.Warn(fmt.Sprintf("%d of %d records %s, %d spooled, %d dead-lettered",
			r.Acked, r.Total(), w.Sent, r.Spooled, r.DeadLettered), "seed", seed.FQDN,
			"accepted", r.Total(), "acked", r.Acked, "spooled", r.Spooled, "dead_lettered", r.DeadLettered, "in_flight", 0)
	}
}
