package pipeline

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Stop takes the scan with the id out of the queue for good: on disk when it
// returns. One that waits is never begun. One in work is cancelled, which takes
// until what it has found is durable, and is not begun again, in this process or
// another. One that has ended stays as it is. known is false for an id that Scan
// does not know; an error is the store's, and nothing has changed then.
func (q *QueueSource) Stop(id string) (known bool, err error) {
	number, ours := q.number(id)
	if !ours {
		return false, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[number]
	if e == nil {
		return q.finished.Contains(number), nil
	}
	// Held through the fsync: nothing may be merged with what is leaving.
	if err := q.cfg.Store.Remove(number); err != nil {
		return true, err
	}
	e.stopped = true
	if e.state == ScanWaiting {
		q.leave(e)
		e.lane.remove(e)
		q.end(e, ScanStopped)
		q.wake()
	}
	if e.cancel != nil {
		e.cancel() // it may have been handed out a moment ago
	}
	q.measure()
	return true, nil
}

// end takes the entry out of the books. q.mu is held, and it neither waits nor
// is in work.
func (q *QueueSource) end(e *queueEntry, as ScanState) {
	e.state, e.ended = as, time.Now()
	if e.began.IsZero() && as == ScanDone {
		e.began = e.ended
	}
	delete(q.entries, e.number)
	delete(q.rescans, e)
	close(q.room)
	q.room = make(chan struct{})
	q.finished.Add(e.number, q.status(e))
	if as == ScanStopped {
		q.stats.Stopped++
		q.cfg.Metrics.stop()
	} else {
		q.stats.Done++
	}
}

// Scans lists scans, the newest first: those of one state, or all if state is
// nil, that are older than the one with the id before, if it is not empty. It
// returns at most limit; more says whether there are others behind them. Of
// those that have ended it knows what Scan knows.
func (q *QueueSource) Scans(state *ScanState, before string, limit int) (list []ScanStatus, more bool) {
	bound := ^uint64(0)
	if before != "" {
		number, ours := q.number(before)
		if !ours {
			return nil, false
		}
		bound = number
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var numbers []uint64
	for n, e := range q.entries {
		if n < bound && (state == nil || e.state == *state) {
			numbers = append(numbers, n)
		}
	}
	for _, n := range q.finished.Keys() {
		if s, _ := q.finished.Peek(n); n < bound && (state == nil || s.State == *state) {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b uint64) int { return cmp.Compare(b, a) })
	for _, n := range numbers[:min(limit, len(numbers))] {
		s, ended := q.finished.Peek(n)
		if !ended {
			s = q.status(q.entries[n])
		}
		list = append(list, s)
	}
	return list, len(numbers) > limit
}

// number is that of an id of this queue.
func (q *QueueSource) number(id string) (number uint64, ours bool) {
	digits, ours := strings.CutPrefix(id, q.prefix)
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, ours && err == nil && q.id(number) == id
}
