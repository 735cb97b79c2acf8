package pipeline

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"time"
)

const (
	leaseLife  = 5 * time.Second // of a lease that its worker does not renew
	leaseRenew = leaseLife / 3

	waitFirst = 10 * time.Millisecond // before a lease is asked for again; doubled each time
	waitMost  = 500 * time.Millisecond
	waitTotal = 30 * time.Second // of one batch; then it is published without leases
)

// Leases are what a Store has that several workers share. A lease makes others
// wait and says nothing of whether a name is published: a mark does.
type Leases interface {
	Lease(ctx context.Context, seed string, names []string, token string, life time.Duration) (got []bool, err error)
	Renew(ctx context.Context, seed string, names []string, token string, life time.Duration) error
	Release(ctx context.Context, seed string, names []string, token string) error
}

// turn splits what is not known into what to publish now and what another
// worker is about to publish. done is called when what is mine was published
// and remembered. Whoever waits for the others must have called it: as nobody
// waits with a lease in hand, no two can wait for each other.
func (d *Dedup) turn(ctx context.Context, v *visit, all []publication) (mine, others []publication, done func()) {
	done = func() {}
	mine, certain := d.fresh(ctx, v, all)
	names := namesOf(mine)
	if d == nil || !certain || len(names) == 0 {
		return mine, nil, done
	}
	if d.leases == nil {
		if !v.since.IsZero() {
			d.settle(ctx, v, names)
			mine, _ = d.fresh(ctx, v, mine)
		}
		return mine, nil, done
	}
	token := rand.Text()
	got, err := d.leases.Lease(ctx, v.seed, names, token, leaseLife)
	d.note(err)
	if err != nil {
		return mine, nil, done
	}
	asked := mine
	mine = nil
	var held []string
	for _, p := range asked {
		switch {
		case p.entry.Name == "":
			mine = append(mine, p)
			continue
		case got[0]:
			mine, held = append(mine, p), append(held, p.entry.Name)
		default:
			others = append(others, p)
		}
		got = got[1:]
	}
	if len(held) == 0 {
		return mine, others, done
	}
	done = d.hold(ctx, v.seed, held, token)
	d.settle(ctx, v, held)
	mine, _ = d.fresh(ctx, v, mine) // one may have been published between the question and the lease
	return mine, others, done
}

// hold renews the leases until the returned function releases them.
func (d *Dedup) hold(ctx context.Context, seed string, names []string, token string) (release func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(leaseRenew)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				d.note(d.leases.Renew(ctx, seed, names, token, leaseLife))
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		d.note(d.leases.Release(ctx, seed, names, token))
	}
}

// waiting is how long one batch still waits for other workers.
type waiting struct {
	pause, waited time.Duration
}

// wait reports whether it is worth asking again for leases: not when the whole
// time is over, or ctx.
func (p *waiting) wait(ctx context.Context) bool {
	p.pause = min(max(2*p.pause, waitFirst), waitMost)
	if ctx.Err() != nil || p.waited >= waitTotal {
		return false
	}
	began := time.Now()
	defer func() { p.waited += time.Since(began) }()
	return pause(ctx, p.pause/2+mathrand.N(p.pause/2+1))
}

// waited counts a batch that has waited.
func (d *Dedup) waited(p waiting) {
	if p.waited > 0 {
		d.metrics.leaseWait(p.waited)
	}
}
