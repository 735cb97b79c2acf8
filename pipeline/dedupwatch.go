package pipeline

import (
	"context"
	"time"
)

// askEvery is how long a worker with nothing to do may not know that its store
// is gone.
const askEvery = 5 * time.Second

// Watch asks the store every five seconds until ctx ends, so that Problem is
// true of a worker that has nothing to ask it, too.
func (d *Dedup) Watch(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, cancel := context.WithTimeout(ctx, askEvery)
		_, err := d.store.Known(asked, "", []string{""}) // no seed has this name
		cancel()
		if ctx.Err() == nil {
			d.note(err)
		}
	}
}
