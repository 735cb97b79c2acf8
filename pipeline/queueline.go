package pipeline

import (
	"context"
	"sync"

	"github.com/typostream/typostream/internal/store"
)

// Persons is the source of the seeds that somebody asked for. Submissions are
// refused once it or Others has ended.
func (q *QueueSource) Persons() Source { return q.persons }

// Others is the source of all other seeds: those of the file before re-scans,
// and among equals brands and sources in turn.
func (q *QueueSource) Others() Source { return q.others }

// queueLine hands out the seeds of some priorities.
type queueLine struct {
	q           *QueueSource
	from, until Priority
	changed     chan struct{} // holds one token when it may be another's turn
	deliveries  sync.WaitGroup

	// Below guarded by QueueSource.mu.
	offered *queueEntry
	awaited bool // the other source waits until the offer is taken or withdrawn
}

func (l *queueLine) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Run implements Source. What is not done when ctx ends stays on disk.
func (l *queueLine) Run(ctx context.Context, out chan<- Delivery) error {
	defer l.deliveries.Wait()
	defer l.stop()
	for {
		e, delivery := l.offer()
		to := out
		if e == nil {
			to = nil
		} else {
			l.deliveries.Add(1)
		}
		select {
		case to <- delivery:
			l.q.take(e)
			continue
		case <-l.changed:
		case <-ctx.Done():
		}
		if e != nil {
			l.deliveries.Done()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (l *queueLine) stop() {
	l.q.mu.Lock()
	defer l.q.mu.Unlock()
	l.q.stopped = true
}

// offer withdraws the offer before, if it was not taken, and makes the next: the
// seed whose turn it is, nil if none waits. It goes on waiting. Nothing else is
// offered while a person's seed waits: who takes first might see that source later.
func (l *queueLine) offer() (*queueEntry, Delivery) {
	q := l.q
	q.mu.Lock()
	defer q.mu.Unlock()
	l.offered = nil
	if l.awaited {
		l.awaited = false
		q.persons.wake()
	}
	if l == q.others && q.lanes[ByPerson].peek() != nil {
		return nil, Delivery{}
	}
	for p := l.from; p < l.until; p++ {
		e := q.lanes[p].peek()
		if e == nil {
			continue
		}
		if e == q.others.offered { // it was raised, and may be taken there at this moment
			q.others.awaited = true
			q.others.wake()
			return nil, Delivery{}
		}
		l.offered = e
		seed := e.what.Seed
		seed.Scan, seed.Rescan = q.id(e.number), e.what.Priority == ByClock
		if e.ctx == nil {
			e.ctx, e.cancel = context.WithCancel(context.Background())
		}
		return e, Delivery{
			Seed: seed, Context: e.ctx,
			Finished: func(s Summary) { q.mu.Lock(); defer q.mu.Unlock(); e.summary = &s },
			Done:     func(err error) { defer l.deliveries.Done(); q.done(e, err) },
		}
	}
	return nil, Delivery{}
}

// bulkLimit is how many seeds there may be for Feed to add to them: a tenth of
// the queue is left to persons.
func (q *QueueSource) bulkLimit() int { return q.cfg.Limit - min((q.cfg.Limit+9)/10, q.cfg.Limit-1) }

// Feed submits one after the other, in order, and waits for room where there is
// none, but leaves some to those who use Submit. On an error the first of the
// submissions may be accepted: ErrQueueStopped, the store's, or of ctx.
func (q *QueueSource) Feed(ctx context.Context, submissions []Submission) error {
	for len(submissions) > 0 {
		accepted, room, err := q.feed(submissions)
		if err != nil {
			return err
		}
		if submissions = submissions[accepted:]; accepted > 0 {
			continue
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// feed submits as many as there is room for. room is closed when there may be
// more.
func (q *QueueSource) feed(submissions []Submission) (accepted int, room <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	accepted = min(len(submissions), max(0, q.bulkLimit()-len(q.entries)))
	if q.stopped || accepted > 0 {
		_, err = q.submit(submissions[:accepted])
	}
	return accepted, q.room, err
}

// holds reports whether a scan of the whole seed, or of some of its names, waits
// or is in work.
func (q *QueueSource) holds(domain, brand string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, partly := range []bool{false, true} {
		key := queueKey{domain: domain, brand: brand, partly: partly}
		if q.waiting[key] != nil || len(q.running[key]) > 0 {
			return true
		}
	}
	return false
}

// rescanned are the seeds that wait or are in work because it was time.
func (q *QueueSource) rescanned() []store.SeedKey {
	q.mu.Lock()
	defer q.mu.Unlock()
	keys := make([]store.SeedKey, 0, len(q.rescans))
	for e := range q.rescans {
		keys = append(keys, store.KeyOf(e.what.Seed.FQDN, e.what.Seed.Brand))
	}
	return keys
}
