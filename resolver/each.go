package resolver

import (
	"context"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Each resolves every item, Config.Concurrency of them at a time, and calls fn
// with each answer, in the order in which they come. fn is called by one
// goroutine at a time and may block: the pool then fills up and no more items
// are taken.
//
// Each returns after the last call of fn: nil when every item was passed to
// it, else the first error of fn or the context's. After either, no further
// item is taken and no datagram sent; items without an answer by then are not
// passed to fn, and fn is not called again after it returned an error. items
// is ranged over by the caller's goroutine; cancelling cannot interrupt a
// sequence that waits for input.
func Each[T any](ctx context.Context, r *Resolver, items iter.Seq[T], name func(T) string, fn func(T, Answer) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	var serial sync.Mutex
	var fnErr error // under serial
	// The goroutines stay for the next item: a new one each time would grow its
	// stack again, which costs as much as the rest of an answer.
	queue := make(chan T)
	work := func(item T) error {
		answer, err := r.Resolve(groupCtx, name(item))
		if err != nil {
			return err
		}
		serial.Lock()
		defer serial.Unlock()
		if fnErr == nil {
			fnErr = fn(item, answer)
		}
		return fnErr
	}
	skipped, workers := false, 0
	for item := range items {
		if groupCtx.Err() != nil || r.life.Err() != nil {
			skipped = true
			break
		}
		select {
		case queue <- item:
			continue
		default:
		}
		if workers < r.cfg.Concurrency {
			workers++
			group.Go(func() error {
				err := work(item)
				for err == nil {
					item, ok := <-queue
					if !ok {
						break
					}
					err = work(item)
				}
				return err
			})
			continue
		}
		select {
		case queue <- item:
		case <-groupCtx.Done():
		}
	}
	close(queue)
	err := group.Wait()
	switch {
	case fnErr != nil:
		return fnErr
	case err != nil:
		return err
	case skipped && r.life.Err() != nil:
		return ErrClosed
	case skipped:
		return ctx.Err()
	}
	return nil
}
