package emitter

import (
	"runtime"
	"sync"
	"time"
)

// lane is the queue of one partition. While it holds items a goroutine takes
// them as batches, one in flight at a time; an empty lane has no goroutine.
type lane struct {
	t         *topic
	k         *Kafka
	partition int
	brk       breaker

	mu      sync.Mutex
	queue   []*item
	bytes   int64
	running bool
	full    chan struct{} // closed when a lingering batch is full
	waiting bool          // with a head and an empty queue

	wake chan struct{} // of one: ends the wait

	// The goroutine's own: which producer identity its sequence belongs to,
	// the sequence number of the next record, and the batch that holds it up.
	gen   int
	seq   int32
	head  *head
	alone time.Time // until when its batches have requests of their own
}

// batchRecords bounds the records of a batch.
const batchRecords = 10_000

func (l *lane) push(items []*item) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, items...)
	for _, it := range items {
		l.bytes += it.size
	}
	if !l.running {
		l.running = true
		l.k.inside.Add(1)
		go l.run()
	}
	if l.waiting {
		l.rouse()
	}
	if l.full != nil && l.bytes >= int64(l.k.cfg.BatchBytes) {
		close(l.full)
		l.full = nil
	}
}

// rouse ends a wait; l.mu is held.
func (l *lane) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// hasten has a head that waits asked about at once. Kafka is known to be well.
func (l *lane) hasten() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting {
		l.brk.hasten()
		l.rouse()
	}
}

// ask has a head that waits asked about at once, if the breaker lets it.
func (l *lane) ask() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting {
		l.rouse()
	}
}

func (l *lane) run() {
	defer l.k.inside.Done()
	for {
		l.linger()
		batch, more := l.next()
		switch {
		case len(batch) > 0:
			l.handle(batch)
			l.t.grown()
			// The callers that were released come back with their next events
			// before a batch is made of what is here.
			runtime.Gosched()
		case !more:
			return
		case l.head != nil:
			l.await()
		}
	}
}

// linger waits for the batch to fill, if the configuration says so.
func (l *lane) linger() {
	if l.k.cfg.Linger <= 0 {
		return
	}
	l.mu.Lock()
	if len(l.queue) == 0 || l.bytes >= int64(l.k.cfg.BatchBytes) {
		l.mu.Unlock()
		return
	}
	full := make(chan struct{})
	l.full = full
	l.mu.Unlock()
	t := time.NewTimer(l.k.cfg.Linger)
	defer t.Stop()
	select {
	case <-full:
	case <-t.C:
	case <-l.k.ctx.Done():
	}
	l.mu.Lock()
	l.full = nil
	l.mu.Unlock()
}

// next takes the items of the next batch. more is false when the queue was
// empty and no head is left, and the goroutine's turn is then over.
func (l *lane) next() (batch []*item, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = len(l.queue) == 0 && l.head != nil
	if len(l.queue) == 0 {
		l.queue, l.running = nil, l.waiting
		return nil, l.waiting
	}
	var size int64
	n := 0
	for _, it := range l.queue {
		if len(batch) > 0 && (size+it.size > int64(l.k.cfg.BatchBytes) || len(batch) == batchRecords) {
			break
		}
		n++
		l.bytes -= it.size
		if it.take() {
			batch = append(batch, it)
			size += it.size
		}
	}
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	return batch, true
}
