package emitter

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// spooledLine is a message that is read back from the spool.
type spooledLine struct {
	msg   Message
	ref   lineRef
	place place
	// doubtful: it may be in its topic, and this process has not counted that.
	doubtful bool
}

// place is where a message goes.
type place struct {
	topic     string
	partition int
}

const (
	unknownPartition = -1 // stands for all of the topic
	anyPartition     = -2 // of a message without a key
)

// drain sends what is in a spool. Only one is at work on a spool at a time.
type drain struct {
	spool *Spool
	limit *rate.Limiter
	// send returns the fate of each line, and has told spool and books of those
	// that are through.
	send func(context.Context, []spooledLine) []Fate
	// closed tells whether nothing can be sent to the topic now, or nothing at
	// all; it may ask Kafka.
	closed func(ctx context.Context, topic string) (topicClosed, allClosed bool)
	place  func(*Message) place
	// bury keeps a line that cannot be sent among the dead letters, and returns
	// once it is durable there.
	bury  func(raw []byte, reason string) error
	books *ledger
}

const (
	drainLines = 500     // of a batch, at most
	drainBytes = 4 << 20 // likewise, more or less
)

// newLimit lets perSecond events through, a tenth of a second's at once, and
// no more than a batch; all if perSecond is negative.
func newLimit(perSecond int) *rate.Limiter {
	if perSecond < 0 {
		return rate.NewLimiter(rate.Inf, drainLines)
	}
	return rate.NewLimiter(rate.Limit(perSecond), min(max(perSecond/10, 1), drainLines))
}

// pass goes once over all that is in the spool, oldest first, and sends it.
// Within a partition it keeps the order: behind a line that stays, none of the
// same partition is sent. It returns what became of the lines that are through.
// While another pass is under way it waits for its turn. The error is that of
// ctx, of a Close, or of a disk that fails.
func (d *drain) pass(ctx context.Context) (through Receipt, err error) {
	s := d.spool
	if err := s.passing.Acquire(ctx, 1); err != nil {
		return Receipt{}, err
	}
	defer s.passing.Release(1)
	if err := s.seal(); err != nil {
		return Receipt{}, err
	}
	defer s.retire()
	p := &drainPass{drain: d, shut: map[place]bool{}, asked: map[string]bool{}}
	for _, f := range s.snapshot() {
		if err := p.file(ctx, f); err != nil {
			return p.through, err
		}
		if p.over {
			break
		}
		s.retire()
	}
	return p.through, nil
}

// drainPass is one pass.
type drainPass struct {
	*drain
	shut    map[place]bool  // where nothing is sent any more
	asked   map[string]bool // topics of which it is known whether they are closed
	over    bool            // Kafka takes nothing at all
	through Receipt

	batch []spooledLine
	bytes int
}

func (p *drainPass) file(ctx context.Context, f *spoolFile) error {
	s := p.spool
	s.mu.Lock()
	size, lines, through := f.size, len(f.state), f.through()
	s.mu.Unlock()
	if through {
		return nil
	}
	var stop error
	read := 0
	err := f.lines(size, func(n int, raw []byte) bool {
		read = n + 1
		state := p.state(f, n)
		if state == lineDone {
			return true
		}
		if stop = p.line(ctx, f, n, raw, state); stop == nil && (len(p.batch) >= p.limit.Burst() || p.bytes >= drainBytes) {
			stop = p.flush(ctx, f)
		}
		return stop == nil && !p.over
	})
	if stop == nil && !p.over {
		stop = p.flush(ctx, f)
	}
	p.batch, p.bytes = p.batch[:0], 0
	if err == nil && stop == nil && !p.over {
		stop = p.missing(f, read, lines)
	}
	s.save(f, 0)
	if stop != nil {
		return stop
	}
	if err != nil {
		s.cfg.Log.Error("a file of the spool cannot be read; it is left as it is", "file", f.path, "cause", err)
	}
	return nil
}

// state returns that of a line. A line that nobody wrote, because damage made
// two of one, is taken over.
func (p *drainPass) state(f *spoolFile, n int) lineState {
	p.spool.mu.Lock()
	defer p.spool.mu.Unlock()
	if n >= len(f.state) {
		f.state = append(f.state, linePending)
		f.total++
		f.left++
		p.spool.waiting.Add(1)
		p.books.recovered(1, 0)
	}
	return f.state[n]
}

// line puts one line into the batch, if it may be sent.
func (p *drainPass) line(ctx context.Context, f *spoolFile, n int, raw []byte, state lineState) error {
	m, unknown, err := decodeSpooled(raw)
	if err != nil {
		if state == lineHeld {
			return nil // its caller still has to be told that it is durable
		}
		return p.damaged(f, n, raw, fmt.Sprintf("line %d of %s: %v", n+1, f.path, err))
	}
	if !p.asked[m.Topic] {
		p.asked[m.Topic] = true
		var closed bool
		if closed, p.over = p.closed(ctx, m.Topic); p.over {
			return nil
		}
		if closed {
			p.shut[place{m.Topic, unknownPartition}] = true
		}
	}
	at := p.place(&m)
	switch {
	case p.shut[place{m.Topic, unknownPartition}] || p.shut[at]:
		return nil
	case state == lineHeld:
		p.leave(at)
		return nil
	}
	p.spool.mu.Lock()
	slot := noSlot
	if m.Key != "" && p.spool.order.count != nil {
		slot = p.spool.order.slot(&m)
	}
	p.spool.mu.Unlock()
	p.batch = append(p.batch, spooledLine{
		msg: m, ref: lineRef{f, n, slot}, place: at,
		doubtful: f.seg == nil && unknown || n < f.tried,
	})
	p.bytes += len(m.Value)
	return nil
}

// leave says that a line of that place stays: those behind it stay too.
// Messages without a key have no order.
func (p *drainPass) leave(at place) {
	if at.partition != anyPartition {
		p.shut[at] = true
	}
}

// flush sends the batch.
func (p *drainPass) flush(ctx context.Context, f *spoolFile) error {
	if len(p.batch) == 0 {
		return nil
	}
	if p.limit.WaitN(ctx, len(p.batch)) != nil { // it also tells that the end comes first
		return cmp.Or(ctx.Err(), context.DeadlineExceeded)
	}
	if p.spool.isClosed() {
		return ErrClosed
	}
	p.spool.save(f, p.batch[len(p.batch)-1].ref.n+1)
	moved, doubtful := Receipt{}, 0
	for i, got := range p.send(ctx, p.batch) {
		l := &p.batch[i]
		if got == FateUndelivered {
			p.leave(p.place(&l.msg)) // where it goes may be known by now
			p.leave(l.place)
			continue
		}
		if got == FateDeadLettered {
			moved.DeadLettered++
			continue
		}
		if moved.Acked++; l.doubtful {
			doubtful++
		}
	}
	p.books.ambiguous(doubtful)
	p.through = p.through.Add(moved)
	clear(p.batch)
	p.batch, p.bytes = p.batch[:0], 0
	if moved.Total() == 0 { // see whether there is any use in going on
		clear(p.asked)
	}
	return ctx.Err()
}

// damaged keeps the line's bytes among the dead letters. If that is not
// possible the line stays, and nothing else does.
func (p *drainPass) damaged(f *spoolFile, n int, raw []byte, reason string) error {
	if err := p.bury(raw, reason); err != nil {
		p.spool.cfg.Log.Error("a damaged line of the spool stays there, as the dead letters cannot be written", "file", f.path, "line", n+1, "cause", err)
		return nil
	}
	p.spool.cfg.Log.Error("a line of the spool is damaged; its bytes are among the dead letters", "file", f.path, "line", n+1)
	p.books.unspool(Receipt{DeadLettered: 1})
	p.spool.done([]lineRef{{f, n, noSlot}})
	p.lost(1)
	return nil
}

// missing books those of the file's lines behind the ones read: they were
// written and are not there, as damage made one of two, or the file was cut.
func (p *drainPass) missing(f *spoolFile, read, lines int) error {
	s := p.spool
	s.mu.Lock()
	var gone []lineRef
	for n := read; n < lines; n++ {
		if f.state[n] == linePending {
			gone = append(gone, lineRef{f, n, noSlot})
		}
	}
	s.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}
	reason := fmt.Sprintf("%s: the last %d of its lines are not there: the file was damaged or cut", f.path, len(gone))
	if err := p.bury(nil, reason); err != nil {
		return nil // the next pass tries again
	}
	s.cfg.Log.Error("lines of the spool are missing: the file was damaged or cut behind our back", "file", f.path, "events", len(gone))
	p.books.unspool(Receipt{DeadLettered: len(gone)})
	s.done(gone)
	p.lost(len(gone))
	return nil
}

// lost counts damaged and missing lines, of which the dead letters tell.
func (p *drainPass) lost(n int) {
	p.spool.damaged.Add(int64(n))
	p.through.DeadLettered += n
}

// loop makes passes until ctx ends: whenever Kafka takes events again, and
// every period while something waits, at growing intervals as long as nothing
// comes of it.
func (d *drain) loop(ctx context.Context, period time.Duration, look func()) {
	defer d.spool.room.give()()
	pause, news := period, newsOf(d.spool, period)
	for {
		look()
		moved := 0
		if d.spool.waiting.Load() > 0 {
			through, _ := d.pass(ctx) // what ends it is asked below
			moved = through.Total()
		}
		left := d.spool.waiting.Load()
		news(moved, left)
		if ctx.Err() != nil || d.spool.isClosed() {
			return
		}
		if moved > 0 {
			if pause = period; left > 0 {
				continue
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-d.spool.woke:
			pause = period
		case <-timer.C:
			if left > 0 {
				pause = min(2*pause, 6*period)
			}
		}
		timer.Stop()
	}
}

// newsOf logs how the spool drains: at its end, and now and then before.
func newsOf(s *Spool, every time.Duration) func(moved int, left int64) {
	var (
		total int
		last  time.Time
	)
	return func(moved int, left int64) {
		total += moved
		if total == 0 || left > 0 && time.Since(last) < every {
			return
		}
		s.cfg.Log.Info("events were sent from the spool", "events", total, "left", left)
		total, last = 0, time.Now()
	}
}
