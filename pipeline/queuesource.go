package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/typostream/typostream/internal/store"
)

// finishedScans bounds the scans that are remembered after their end.
const finishedScans = 1000

// QueueConfig is what a QueueSource is made of.
type QueueConfig struct {
	Store   *store.Queue // nobody else's
	Limit   int          // seeds that may wait or be in work; at least 1
	Metrics *Metrics
	Log     *slog.Logger
}

// QueueSource keeps the seeds that were submitted to it on disk until every
// event of them is durable. Two sources hand them out, Persons and Others. Safe
// for concurrent use.
type QueueSource struct {
	cfg     QueueConfig
	prefix  string // of the ids
	persons *queueLine
	others  *queueLine

	mu       sync.Mutex
	entries  map[uint64]*queueEntry // waiting or running
	waiting  map[queueKey]*queueEntry
	running  map[queueKey][]*queueEntry
	lanes    [priorities]queueLanes
	order    []*queueEntry // by number; all that wait, and some that have left
	finished *lru.Cache[uint64, ScanStatus]
	stats    QueueStats
	rescans  map[*queueEntry]struct{} // those of entries with ByClock
	room     chan struct{}            // closed, and another made, when an entry is done
	stopped  bool
}

// queueKey is the same for seeds of which one scan is enough.
type queueKey struct {
	domain, brand    string
	nameOnly, partly bool
}

type queueEntry struct {
	number                 uint64
	what                   Submission
	state                  ScanState
	lane                   *queueLane
	accepted, began, ended time.Time
	summary                *Summary
	ctx                    context.Context // of its deliveries; made at the first
	cancel                 context.CancelFunc
	stopped                bool
	early                  bool // settled after it was handed out, and before take heard of that
}

func (s Submission) key() queueKey {
	return queueKey{s.Seed.FQDN, s.Seed.Brand, s.Seed.Recheck, s.Seed.Only != nil}
}

// NewQueueSource begins with what an earlier process left.
func NewQueueSource(cfg QueueConfig) (*QueueSource, error) {
	finished, err := lru.New[uint64, ScanStatus](finishedScans)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q := &QueueSource{
		cfg: cfg, prefix: fmt.Sprintf("queue-%d-", cfg.Store.Created().UnixMilli()), room: make(chan struct{}), rescans: map[*queueEntry]struct{}{},
		entries: map[uint64]*queueEntry{}, waiting: map[queueKey]*queueEntry{}, running: map[queueKey][]*queueEntry{}, finished: finished, stats: QueueStats{Limit: cfg.Limit},
	}
	q.persons = &queueLine{q: q, from: ByPerson, until: ByPerson + 1, changed: make(chan struct{}, 1)}
	q.others = &queueLine{q: q, from: ByPerson + 1, until: priorities, changed: make(chan struct{}, 1)}
	items, err := cfg.Store.All()
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		e, err := parseQueued(item)
		if err != nil {
			cfg.Log.Error("an entry of the queue cannot be used; it is left out, and stays in the file", "number", item.Number, "entry", shorten(string(item.Value)), "cause", err)
			continue
		}
		q.insert(e)
	}
	q.measure()
	return q, nil
}

// insert takes in an entry that is on disk.
func (q *QueueSource) insert(e *queueEntry) {
	q.entries[e.number] = e
	q.waiting[e.what.key()] = e
	q.lanes[e.what.Priority].add(e, false)
	q.order = append(q.order, e)
	if e.what.Priority == ByClock {
		q.rescans[e] = struct{}{}
	}
	q.stats.Accepted++
	q.stats.ByPriority[e.what.Priority]++
}

// Submit accepts all of the submissions, which are on disk then, or none, with
// ErrQueueFull, ErrQueueStopped or the store's error. One that waits already,
// with the same domain, brand and kind, is merged with it, which then has the
// higher priority of both and the origin that goes with that. For all but persons
// one that is in work will do, too. The answers are in the order of the submissions.
func (q *QueueSource) Submit(submissions []Submission) ([]QueuedScan, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.submit(submissions)
}

func (q *QueueSource) submit(submissions []Submission) ([]QueuedScan, error) {
	if q.stopped {
		return nil, ErrQueueStopped
	}
	// q.mu is held through the fsync: what is merged with must not end meanwhile.
	plan, err := q.plan(submissions)
	if err != nil {
		return nil, err
	}
	if len(plan.fresh) > 0 && len(q.entries)+len(plan.fresh) > q.cfg.Limit {
		return nil, ErrQueueFull
	}
	if len(plan.values)+len(plan.changed) > 0 {
		first, err := q.cfg.Store.Put(plan.values, plan.changed)
		if err != nil {
			return nil, err
		}
		for i, e := range plan.fresh {
			e.number = first + uint64(i)
			q.insert(e)
		}
	}
	for e, what := range plan.raised {
		q.stats.ByPriority[e.what.Priority]--
		e.lane.remove(e)
		e.what = what
		delete(q.rescans, e)
		q.stats.ByPriority[what.Priority]++
		q.lanes[what.Priority].add(e, false)
	}
	answers := make([]QueuedScan, len(submissions))
	for i, e := range plan.entries {
		answers[i] = QueuedScan{ID: q.id(e.number), Merged: plan.merged[i]}
	}
	q.cfg.Metrics.queued(len(plan.fresh), len(submissions)-len(plan.fresh))
	q.measure()
	q.wake()
	return answers, nil
}

// queuePlan is what is to be done for some submissions.
type queuePlan struct {
	entries []*queueEntry // of each submission
	merged  []bool
	fresh   []*queueEntry // in order, without numbers
	values  [][]byte      // of those
	changed []store.Queued
	raised  map[*queueEntry]Submission // as they are then
}

func (q *QueueSource) plan(submissions []Submission) (*queuePlan, error) {
	plan := &queuePlan{raised: map[*queueEntry]Submission{}}
	fresh := map[queueKey]*queueEntry{}
	now := time.UnixMilli(time.Now().UnixMilli())
	for _, s := range submissions {
		e := cmp.Or(fresh[s.key()], q.waiting[s.key()])
		if e == nil && s.Priority != ByPerson {
			e = q.inWork(s.key())
		}
		plan.merged = append(plan.merged, e != nil)
		switch {
		case e == nil:
			e = &queueEntry{what: s, accepted: now}
			fresh[s.key()] = e
			plan.fresh = append(plan.fresh, e)
		case fresh[s.key()] != nil:
			e.what.raise(s)
		case s.Priority < e.what.Priority:
			what, raised := plan.raised[e]
			if !raised {
				what = e.what
			}
			what.raise(s)
			plan.raised[e] = what
		}
		plan.entries = append(plan.entries, e)
	}
	for _, e := range plan.fresh {
		value, err := e.what.record(e.accepted)
		if err != nil {
			return nil, err
		}
		plan.values = append(plan.values, value)
	}
	for e, what := range plan.raised {
		value, err := what.record(e.accepted)
		if err != nil {
			return nil, err
		}
		plan.changed = append(plan.changed, store.Queued{Number: e.number, Value: value})
	}
	return plan, nil
}

// inWork is an entry with the key that is in work and will be done, or nil.
func (q *QueueSource) inWork(key queueKey) *queueEntry {
	for _, e := range q.running[key] {
		if !e.stopped {
			return e
		}
	}
	return nil
}

// take notes that the seed was handed out; it may even be done by now.
func (q *QueueSource) take(e *queueEntry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lanes[e.what.Priority].taken(e.lane)
	if e.what.Priority == ByPerson {
		q.others.wake()
	}
	if e.early {
		e.early = false
	} else if e.state == ScanWaiting {
		q.leave(e)
		e.state, e.began = ScanRunning, time.Now()
		q.running[e.what.key()] = append(q.running[e.what.key()], e)
		q.stats.InWork++
	}
	q.measure()
}

// leave takes the entry out of those that wait.
func (q *QueueSource) leave(e *queueEntry) {
	if q.waiting[e.what.key()] == e { // else the same was submitted while e was in work
		delete(q.waiting, e.what.key())
	}
	q.stats.ByPriority[e.what.Priority]--
}

// done takes the entry out for good, or lets it wait again.
func (q *QueueSource) done(e *queueEntry, failure error) {
	if !q.settle(e, failure) {
		return
	}
	if err := q.cfg.Store.Remove(e.number); err != nil {
		q.cfg.Log.Error("a finished seed is still in the queue on disk; it is scanned again after a restart", "seed", e.what.Seed.FQDN, "scan", q.id(e.number), "cause", err)
		return
	}
	q.cfg.Metrics.dequeued()
}

// settle changes the books, and reports whether the entry is finished.
func (q *QueueSource) settle(e *queueEntry, failure error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.measure()
	e.early = e.state == ScanWaiting // the worker was quicker than take
	switch e.state {
	case ScanStopped: // between offer and take
		return false
	case ScanRunning:
		q.stats.InWork--
		q.running[e.what.key()] = slices.DeleteFunc(q.running[e.what.key()], func(other *queueEntry) bool { return other == e })
		if len(q.running[e.what.key()]) == 0 {
			delete(q.running, e.what.key())
		}
	default:
		q.leave(e)
	}
	switch {
	case failure == nil:
		q.end(e, ScanDone)
		e.cancel()
		return true
	case e.stopped:
		q.end(e, ScanStopped)
	default:
		q.again(e)
	}
	return false
}

// again lets an entry wait that was handed out, before the others of its lane.
func (q *QueueSource) again(e *queueEntry) {
	e.state, e.began = ScanWaiting, time.Time{}
	q.stats.ByPriority[e.what.Priority]++
	if q.waiting[e.what.key()] == nil {
		q.waiting[e.what.key()] = e
	}
	q.lanes[e.what.Priority].add(e, true)
	i, _ := slices.BinarySearchFunc(q.order, e.number, func(e *queueEntry, n uint64) int { return cmp.Compare(e.number, n) })
	if i == len(q.order) || q.order[i] != e {
		q.order = slices.Insert(q.order, i, e)
	}
	q.wake()
}

// wake makes both sources look again whose turn it is.
func (q *QueueSource) wake() {
	q.persons.wake()
	q.others.wake()
}

// measure brings what is derived from the entries up to date.
func (q *QueueSource) measure() {
	if len(q.order) > 2*len(q.entries)+64 {
		q.order = slices.DeleteFunc(q.order, func(e *queueEntry) bool { return e.state != ScanWaiting })
	}
	for len(q.order) > 0 && q.order[0].state != ScanWaiting {
		q.order[0] = nil
		q.order = q.order[1:]
	}
	q.stats.Oldest = time.Time{}
	if len(q.order) > 0 {
		q.stats.Oldest = q.order[0].accepted
	}
	q.cfg.Metrics.queue(q.stats)
}

// Stats is the queue as it stands.
func (q *QueueSource) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

// Scan is what became of the submission with the id. Of finished scans the last
// thousand of this process are known.
func (q *QueueSource) Scan(id string) (ScanStatus, bool) {
	number, ours := q.number(id)
	if !ours {
		return ScanStatus{}, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.entries[number]; e != nil {
		return q.status(e), true
	}
	return q.finished.Peek(number)
}

func (q *QueueSource) status(e *queueEntry) ScanStatus {
	return ScanStatus{
		ID: q.id(e.number), Domain: e.what.Seed.FQDN, Brand: e.what.Seed.Brand, NameOnly: e.what.Seed.Recheck, Priority: e.what.Priority,
		State: e.state, Accepted: e.accepted, Began: e.began, Ended: e.ended, Summary: e.summary,
	}
}

func (q *QueueSource) id(number uint64) string { return q.prefix + strconv.FormatUint(number, 10) }
