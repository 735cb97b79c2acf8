//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// beside is franz-go under the same fault and the same load, in a topic of its
// own: what is asked of it is only its longest time without an acknowledgement.
type beside struct {
	client *kgo.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup
	next   atomic.Int64

	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

func startBeside(brokers []string, topic string, p *proxy, callers int, every time.Duration) (*beside, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic)}
	if p != nil {
		opts = append(opts, kgo.Dialer(p.dial))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &beside{client: client, cancel: cancel}
	for range callers {
		b.wg.Go(func() { b.produce(ctx, every) })
	}
	return b, nil
}

func (b *beside) produce(ctx context.Context, every time.Duration) {
	for ctx.Err() == nil {
		key := fmt.Sprintf("n%09d", b.next.Add(1))
		err := b.client.ProduceSync(ctx, &kgo.Record{Key: []byte(key), Value: fmt.Appendf(nil, `{"canonical_fqdn":%q,"pad":"%0200d"}`, key, 0)}).FirstErr()
		if err == nil {
			b.mu.Lock()
			now := time.Now()
			if !b.last.IsZero() {
				b.longest = max(b.longest, now.Sub(b.last))
			}
			b.last = now
			b.mu.Unlock()
		}
		_ = pause(ctx, every) // its end ends the loop
	}
}

// stop returns the longest stall, one that still lasts included.
func (b *beside) stop() time.Duration {
	b.mu.Lock()
	longest := b.longest
	if !b.last.IsZero() {
		longest = max(longest, time.Since(b.last))
	}
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
	b.client.Close()
	return longest
}
