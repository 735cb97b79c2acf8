package emitter

import (
	"context"
	"errors"
	"time"
)

// Drained says what became of what was in the spool.
type Drained struct {
	// Sent and DeadLettered are lines that this drain brought to their topics and
	// to the dead letters, damaged ones among them. Not counted are what the
	// automatic replay sent meanwhile, and what Kafka was found to have already.
	Sent, DeadLettered int
	// Left is how many events are in the spool after it.
	Left int64
	// More says that it ended before all of those had their turn, for want of time
	// or because the emitter was closed; else Kafka, or the disk, lets none of them
	// through now.
	More bool
}

// Drain sends what is in the spool now, as far as Kafka takes it, and returns
// when nothing more gets through or ctx ends. It returns how many events are
// left.
func (k *Kafka) Drain(ctx context.Context) (left int64) {
	if k.spool == nil {
		return 0
	}
	return k.passes(ctx, false).Left
}

// DrainNow is Drain for somebody who knows that Kafka is back: what Kafka has
// refused of late is tried at once, and outcomes that are just being found out
// are waited for. A batch that is under way when ctx ends keeps it for at most
// DeliveryTimeout. Each line is sent by one drain only, be it beside Run: they
// take turns.
func (k *Kafka) DrainNow(ctx context.Context) Drained {
	if k.spool == nil {
		return Drained{}
	}
	k.hasten()
	d := k.passes(ctx, true)
	if d.Sent+d.DeadLettered > 0 {
		k.cfg.Log.Info("events were sent from the spool", "events", d.Sent+d.DeadLettered, "left", d.Left)
		if d.Left > 0 {
			k.spool.wake() // Run goes on
		}
	}
	return d
}

// passes makes passes as long as something gets through. A patient one waits for
// what is just being found out, and tries again.
func (k *Kafka) passes(ctx context.Context, patient bool) (sum Drained) {
	d := k.drain()
	for k.spool.waiting.Load() > 0 {
		pending, _ := k.outlook(time.Now())
		through, err := d.pass(ctx)
		sum.Sent += through.Acked
		sum.DeadLettered += through.DeadLettered
		if err != nil || through.Total() == 0 && !(patient && k.foundOut(ctx, pending)) {
			sum.More = ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrClosed)
			break
		}
	}
	if sum.Left = k.spool.waiting.Load(); sum.Left == 0 {
		sum.More = false
	}
	return sum
}

// hasten lets every breaker try with the next batch, and has outcomes that are
// waited for asked about.
func (k *Kafka) hasten() {
	k.brk.hasten()
	for _, t := range k.known() {
		t.brk.hasten()
		for _, l := range t.all() {
			l.brk.hasten()
		}
	}
	k.ask()
}

// ask has the outcomes that lanes wait for asked about, as far as their breakers
// let them.
func (k *Kafka) ask() {
	for _, t := range k.known() {
		for _, l := range t.all() {
			l.ask()
		}
	}
}

// outcomePause is how often DrainNow looks whether an outcome is known.
const outcomePause = 50 * time.Millisecond

// foundOut waits for what is just being found out: whether Kafka takes events, or
// has those that are held. before says that there was such a thing a moment ago. It
// is false if there is nothing of the kind, ctx has ended, or Kafka has refused a
// batch.
func (k *Kafka) foundOut(ctx context.Context, before bool) bool {
	for {
		pending, refused := k.outlook(time.Now())
		if refused || !pending {
			return before && !refused
		}
		k.ask() // a lane may have begun to wait since
		if before = pauseFor(ctx, outcomePause); !before {
			return false
		}
	}
}

// outlook tells whether something is being found out, and whether a breaker
// rests.
func (k *Kafka) outlook(now time.Time) (pending, rests bool) {
	look := func(b *breaker) {
		p, r := b.outlook(now)
		pending, rests = pending || p, rests || r
	}
	look(&k.brk)
	for _, t := range k.known() {
		look(&t.brk)
		for _, l := range t.all() {
			look(&l.brk)
		}
	}
	return pending || k.spool.held() > 0, rests
}
