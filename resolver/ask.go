package resolver

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// ask puts one question to the upstreams, the cheapest first, until one settles
// it or the attempts are used up. It returns an error only when the context or
// the resolver has ended.
//
// A try that is overdue is followed by the next, on another upstream where
// there is one, but goes on waiting: its answer counts whenever it comes before
// the end. So a short time-out costs a datagram, not the answer of a server
// that takes its time.
func (r *Resolver) ask(ctx context.Context, name string, t Type) (outcome, error) {
	return r.inquire(ctx, r.order(), r.cfg.Attempts, name, t)
}

// inquire does so with chosen upstreams, of which none may be left, and so many
// attempts.
func (r *Resolver) inquire(ctx context.Context, queue []*upstream, attempts int, name string, t Type) (outcome, error) {
	k := r.talks.Get().(*talk)
	defer r.talks.Put(k)
	k.prepare(0, ctx, queue, attempts, name, t)
	err := k.run(ctx, 1)
	return k.asked[0].out, err
}

// talk is what one goroutine asks about a name at a time. Talks are reused: all
// that a question needs is there already, and on no stack.
type talk struct {
	r         *Resolver
	box       *mailbox
	asked     [maxQuestions]inquiry
	streaming int // tries over connections under way
}

// maxQuestions is the number of types that can be asked for.
const maxQuestions = 5

func newTalk(r *Resolver) *talk { return &talk{r: r, box: newMailbox()} }

// ask puts the questions for several types as Resolver.ask does, all at a time.
// What they come to is in k.asked until k asks again.
func (k *talk) ask(ctx context.Context, name string, types []Type) error {
	for i, t := range types {
		k.prepare(i, ctx, k.r.order(), k.r.cfg.Attempts, name, t)
	}
	return k.run(ctx, len(types))
}

func (k *talk) prepare(i int, ctx context.Context, queue []*upstream, attempts int, name string, t Type) {
	k.asked[i] = inquiry{
		talk: k, r: k.r, ctx: ctx, name: name, kind: t, queue: queue, attempts: attempts,
		out: outcome{reply: reply{rcode: rcodeNone}},
	}
}

// run brings the first n questions to their ends.
func (k *talk) run(ctx context.Context, n int) error {
	asked := k.asked[:n]
	defer k.finish(asked)
	open := 0
	for i := range asked {
		if err := asked[i].proceed(); err != nil {
			return err
		}
		if asked[i].current != nil {
			open++
		}
	}
	for open > 0 {
		e := k.box.take() // the end of the context or the resolver makes an event, too
		if e.q.streamed {
			k.streaming--
		}
		if err := k.r.ended(ctx); err != nil {
			return err
		}
		in := e.q.asker
		if in.current == nil {
			continue // at its end already
		}
		if err := in.heard(e); err != nil {
			return err
		}
		if err := in.proceed(); err != nil {
			return err
		}
		if in.current == nil {
			open--
		}
	}
	return nil
}

// finish takes back what is still on its way.
func (k *talk) finish(asked []inquiry) {
	for i := range asked {
		if stop := asked[i].stop; stop != nil {
			stop()
		}
	}
	for k.streaming > 0 {
		if e := k.box.take(); e.q.streamed {
			k.streaming--
		}
	}
	for i := range asked {
		asked[i].takeBack()
	}
	k.box.empty()
}

// mailbox gets what becomes of tries, for one goroutine that waits for it.
type mailbox struct {
	wake chan struct{} // holds one: an event has come

	mu     sync.Mutex
	events []event
	head   int // of events: the next to be taken
}

// event is what became of a try: nil for an answer, errTimeout when it is
// overdue. An answer may still follow errTimeout.
type event struct {
	q   *query
	err error
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(e event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // not yet awake from the one before
	}
}

// take returns the next event when there is one.
func (b *mailbox) take() event {
	for {
		b.mu.Lock()
		if b.head < len(b.events) {
			e := b.events[b.head]
			if b.head++; b.head == len(b.events) {
				b.events, b.head = b.events[:0], 0
			}
			b.mu.Unlock()
			return e
		}
		b.mu.Unlock()
		<-b.wake
	}
}

// empty forgets all events; nothing may put any more.
func (b *mailbox) empty() {
	b.events, b.head = b.events[:0], 0
	select {
	case <-b.wake:
	default:
	}
}

// order returns the active upstreams that are in use, the cheapest first. Every
// so often it is another one, so that what is known of it stays true. One that
// was set aside comes first when it is time to try it again, for one question.
func (r *Resolver) order() []*upstream {
	active := *r.active.Load()
	if len(active) == 1 {
		return active
	}
	const exploreEvery = 16
	now := r.clock()
	turn := int(r.turn.Add(1))
	explore := rand.IntN(exploreEvery) == 0
	costs := make(map[*upstream]float64, len(active))
	queue := make([]*upstream, 0, len(active))
	for i := range active {
		u := active[(turn+i)%len(active)]
		yes, trial := u.breaker.admits(now)
		if !yes {
			continue
		}
		queue = append(queue, u)
		switch {
		case trial:
			costs[u] = -2
		case explore && i == 0:
			costs[u] = -1
		default:
			costs[u] = u.cost()
		}
	}
	if len(queue) == 0 {
		return active // all are set aside for the moment; better than nothing
	}
	slices.SortStableFunc(queue, func(a, b *upstream) int {
		switch {
		case costs[a] < costs[b]:
			return -1
		case costs[a] > costs[b]:
			return 1
		}
		return 0
	})
	return queue
}

// spare reports whether u is not the last upstream in use.
func (r *Resolver) spare(u *upstream) bool {
	return slices.ContainsFunc(*r.active.Load(), func(other *upstream) bool {
		return other != u && other.breaker.current() == breakerClosed
	})
}

func (r *Resolver) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.life.Done():
		return ErrClosed
	}
}
