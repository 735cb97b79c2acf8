package pipeline

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/typostream/typostream/emitter"
)

const (
	publishQueue = 1024 // publications of one seed that wait for the emitter
	publishBatch = 512  // publications of one call of the emitter
)

// publisher hands a seed's messages to the emitter, in order and as many at a
// time as have gathered while the emitter was busy. When the emitter cannot
// keep up, publish blocks and the resolver with it; when the emitter fails, ctx
// ends and the rest is not sent.
type publisher struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	visit   *visit
	emitter Emitter
	dedup   *Dedup
	tracer  trace.Tracer // nil: no spans
	queue   chan publication
	done    chan struct{}

	outcome outcome // read after done
	err     error
}

// outcome is what became of all publications.
type outcome struct {
	receipt    emitter.Receipt
	candidates int // published
	suppressed int // known already
	changes    int // published, and news
}

// newPublisher starts the publisher; close ends it. Its messages outlive the
// end of parent: what was found is published.
func newPublisher(parent context.Context, v *visit, e Emitter, dedup *Dedup, tracer trace.Tracer) *publisher {
	room := publishQueue
	if e == nil {
		room = 0 // nothing is published
	}
	p := &publisher{visit: v, emitter: e, dedup: dedup, tracer: tracer, queue: make(chan publication, room), done: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancelCause(parent)
	go p.run(context.WithoutCancel(parent))
	return p
}

func (p *publisher) publish(what publication) { p.queue <- what }

// close waits until everything published is durable or has failed.
func (p *publisher) close() (outcome, error) {
	close(p.queue)
	<-p.done
	p.cancel(nil)
	return p.outcome, p.err
}

func (p *publisher) run(ctx context.Context) {
	defer close(p.done)
	var batch []publication
	for first := range p.queue {
		batch = append(batch[:0], first)
		for more := true; more && len(batch) < publishBatch; {
			select {
			case next, open := <-p.queue:
				if more = open; open {
					batch = append(batch, next)
				}
			default:
				more = false
			}
		}
		if p.err != nil {
			continue // drain, so that publish does not block for ever
		}
		if err := p.emit(ctx, batch); err != nil {
			p.err = err
			p.cancel(err)
		}
	}
}

// emit makes durable what of the batch is not known yet, and remembers it. What
// another worker is about to publish comes last, when that one has or has not.
func (p *publisher) emit(ctx context.Context, batch []publication) error {
	var left waiting
	defer func() { p.dedup.waited(left) }()
	for {
		mine, others, done := p.dedup.turn(ctx, p.visit, batch)
		p.outcome.suppressed += found(batch) - found(mine) - found(others)
		err := p.send(ctx, mine)
		done()
		if err != nil || len(others) == 0 {
			return err
		}
		if batch = others; !left.wait(p.ctx) {
			fresh, _ := p.dedup.fresh(ctx, p.visit, batch)
			p.outcome.suppressed += found(batch) - found(fresh)
			return p.send(ctx, fresh)
		}
	}
}

// found counts the publications of names that are there.
func found(all []publication) int {
	n := 0
	for _, p := range all {
		if !p.absent {
			n++
		}
	}
	return n
}

// send makes all durable and remembers what Kafka has of it.
func (p *publisher) send(ctx context.Context, all []publication) error {
	if len(all) == 0 {
		return nil
	}
	var messages []emitter.Message
	counts := make([]int, len(all)) // of messages, by publication
	for i, f := range all {
		made, err := f.messages(f.seen)
		if err != nil {
			return err
		}
		messages, counts[i] = append(messages, made...), len(made)
		if f.candidate || f.seen.change == changeGone {
			p.outcome.candidates++
		}
		if f.seen.alert() {
			p.outcome.changes++
		}
	}
	fates, err := p.emitTraced(ctx, messages)
	p.outcome.receipt = p.outcome.receipt.Add(emitter.Tally(fates))
	p.dedup.published(ctx, p.visit, all, counts, fates)
	return err
}
