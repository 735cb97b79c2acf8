package pipeline

import (
	"context"

	"github.com/typostream/typostream/emitter"
)

const (
	publishQueue = 1024 // messages of one seed that wait for the emitter
	publishBatch = 512  // messages of one Emit
)

// publisher hands a seed's messages to the emitter, in order and as many at a
// time as have gathered while the emitter was busy. When the emitter cannot
// keep up, publish blocks and the resolver with it; when the emitter fails, ctx
// ends and the rest is not sent.
type publisher struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	emitter Emitter
	queue   chan emitter.Message
	done    chan struct{}

	receipt emitter.Receipt // read after done
	err     error
}

// newPublisher starts the publisher; close ends it. Its messages outlive the
// end of parent: what was found is published.
func newPublisher(parent context.Context, e Emitter) *publisher {
	p := &publisher{emitter: e, queue: make(chan emitter.Message, publishQueue), done: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(parent)
	go p.run(context.WithoutCancel(parent))
	return p
}

func (p *publisher) publish(messages ...emitter.Message) {
	for _, m := range messages {
		p.queue <- m
	}
}

// close waits until everything published is durable or has failed.
func (p *publisher) close() (emitter.Receipt, error) {
	close(p.queue)
	<-p.done
	p.cancel(nil)
	return p.receipt, p.err
}

func (p *publisher) run(ctx context.Context) {
	defer close(p.done)
	batch := make([]emitter.Message, 0, publishBatch)
	for m := range p.queue {
		batch = append(batch[:0], m)
		for more := true; more && len(batch) < publishBatch; {
			select {
			case m, open := <-p.queue:
				if more = open; open {
					batch = append(batch, m)
				}
			default:
				more = false
			}
		}
		if p.err != nil {
			continue // drain, so that publish does not block for ever
		}
		receipt, err := p.emitter.Emit(ctx, batch...)
		p.receipt = p.receipt.Add(receipt)
		if err != nil {
			p.err = err
			p.cancel(err)
		}
	}
}
