package pipeline

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A store that goes away while nothing is scanned is a problem within seconds,
// and none when it is back; the log says each once.
func TestDedupWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d, b := newDedup(t, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.Watch(ctx) }()
		for _, want := range []error{nil, errors.New("gone"), nil} {
			b.fail(want)
			time.Sleep(3 * askEvery)
			synctest.Wait()
			if got := d.Problem(); !errors.Is(got, want) {
				t.Errorf("the problem is %v, want %v", got, want)
			}
		}
		b.fail(errors.New("nobody asks any more"))
		cancel()
		<-ended
		time.Sleep(3 * askEvery)
		if got := d.Problem(); got != nil {
			t.Errorf("after the end: %v", got)
		}
		for _, line := range []string{"the store does not answer", "the store answers again"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("%q %d times in\n%s", line, n, log.String())
			}
		}
	})
}
