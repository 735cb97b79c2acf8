package emitter

import (
	"context"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// resend sends lines of the spool through the lanes, as Emit does, and returns
// the fate of each. What Kafka does not take, or may have taken, is left where
// it is. Spool and books know of those that are through.
func (k *Kafka) resend(ctx context.Context, lines []spooledLine) []Fate {
	fates := make([]Fate, len(lines))
	if !k.enter() {
		return fates
	}
	defer k.callers.Done()
	items := make([]item, len(lines))
	msgs := make([]Message, len(lines))
	for i := range lines {
		items[i].line, msgs[i] = &lines[i].ref, lines[i].msg
	}
	c := &call{left: len(lines), done: make(chan struct{})}
	_ = k.offer(ctx, c, items, msgs) // the fates tell
	k.await(ctx, c, items)
	for i := range items {
		fates[i] = items[i].fate
	}
	return fates
}

// divert stores the new items behind which older ones of the same key wait in
// the spool, and returns the others: the order within a key matters more than
// a few seconds.
func (k *Kafka) divert(items []*item) []*item {
	if k.spool == nil || k.spool.waiting.Load() == 0 {
		return items
	}
	var behind, free []*item
	for _, it := range items {
		if it.line == nil && !it.copy && k.spool.behind(&it.msg) {
			behind = append(behind, it)
		} else {
			free = append(free, it)
		}
	}
	if len(behind) > 0 {
		k.store(behind, false, errBehind)
	}
	return free
}

// sortItems splits items into new ones, those that come from the spool, and
// copies of dead letters.
func sortItems(items []*item) (fresh, spooled, copies []*item) {
	isNew := func(it *item) bool { return it.line == nil && !it.copy }
	if i := slices.IndexFunc(items, func(it *item) bool { return !isNew(it) }); i < 0 {
		return items, nil, nil
	}
	for _, it := range items {
		switch {
		case isNew(it):
			fresh = append(fresh, it)
		case it.copy:
			copies = append(copies, it)
		default:
			spooled = append(spooled, it)
		}
	}
	return fresh, spooled, copies
}

func refsOf(items []*item) []lineRef {
	refs := make([]lineRef, len(items))
	for i, it := range items {
		refs[i] = *it.line
	}
	return refs
}

// Held are lines of the spool whose outcome is being found out. No replay sends
// them until either Delivered or Release is called, once.
type Held struct {
	k    *Kafka
	refs []lineRef
}

// hold makes items durable whose batch may be in its topic: new ones are
// written to the spool, those that come from there are there. Their callers are
// told that they are spooled, and no replay sends them as long as they are held.
// Without a spool, or if the disk fails, the new ones are handed back, and ok is
// false; then nothing is held.
func (k *Kafka) hold(items []*item, cause error) (h *Held, ok bool) {
	fresh, spooled, copies := sortItems(items)
	k.finish(copies, Receipt{}, cause, true)
	if k.spool == nil {
		k.finish(fresh, Receipt{}, cause, true)
		return nil, false
	}
	refs, ok := k.spoolItems(fresh, true, cause)
	if !ok {
		k.finish(spooled, Receipt{}, cause, true)
		return nil, false
	}
	old := refsOf(spooled)
	k.spool.hold(old)
	k.finish(spooled, Receipt{}, cause, true)
	return &Held{k, append(refs, old...)}, true
}

// Delivered says that Kafka has the messages after all.
func (h *Held) Delivered() {
	h.k.books.unspool(Receipt{Acked: len(h.refs)})
	h.k.spool.done(h.refs)
	var last *spoolFile
	for _, r := range h.refs {
		if r.file != last {
			last = r.file
			h.k.spool.save(last, 0)
		}
	}
	h.k.spool.wake()
}

// Release says that it cannot be known any more: a replay sends the lines, and
// their messages may come to be in the topic twice.
func (h *Held) Release() {
	h.k.spool.release(h.refs)
	h.k.spool.wake()
}

// Recover takes over what earlier processes left in the spool, and counts it
// and their dead letters as accepted. Run and Drain send it. It is to be called
// before the first Emit.
func (k *Kafka) Recover() error {
	if k.spool != nil {
		n, err := k.spool.adopt()
		if err != nil {
			return err
		}
		k.books.recovered(n, 0)
	}
	if k.dead != nil {
		n, err := k.dead.events()
		if err != nil {
			return err
		}
		k.books.recovered(0, n)
	}
	return nil
}

// Run sends what is in the spool whenever Kafka takes events, ReplayRate a
// second, until ctx ends or the emitter is closed. It also takes over files of
// the spool whose process has ended. As long as it runs, Emit waits for room
// when the spool is full.
func (k *Kafka) Run(ctx context.Context) {
	if k.spool == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.ctx, cancel)()
	k.drain().loop(ctx, k.cfg.BreakerPeriod, func() {
		n, err := k.spool.adopt()
		if err != nil {
			k.cfg.Log.Warn("the directory of the spool cannot be read", "cause", err)
		}
		k.books.recovered(n, 0)
	})
}

func (k *Kafka) drain() *drain {
	return &drain{
		spool: k.spool, limit: k.replays, send: k.resend, closed: k.closedTo, place: k.placeOf, books: &k.books,
		bury: k.buryDamaged,
	}
}

// closedTo asks Kafka whether the topic has leaders.
func (k *Kafka) closedTo(ctx context.Context, topicName string) (topicClosed, allClosed bool) {
	if k.brk.blocked(time.Now()) {
		return true, true
	}
	ctx, cancel := context.WithTimeout(ctx, min(k.cfg.RequestTimeout, dialLimit))
	defer cancel()
	v, err := k.cluster.fresh(ctx, topicName)
	n := 0
	if err == nil {
		n, err = v.partitions(topicName)
	}
	if err != nil {
		v := judge(err, false)
		if v.code == kafka.UnknownTopicOrPartition && k.cfg.CreateTopics {
			return false, false
		}
		return true, v.code == 0 || v.class == classConfig && v.scope == scopeCluster
	}
	for p := range n {
		if _, err := v.leader(topicName, p); err == nil {
			return false, false
		}
	}
	return true, false
}

// placeOf tells where a message goes, as far as that is known.
func (k *Kafka) placeOf(m *Message) place {
	if m.Key == "" {
		return place{m.Topic, anyPartition}
	}
	t := k.topic(m.Topic)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.parts) == 0 {
		return place{m.Topic, unknownPartition}
	}
	return place{m.Topic, t.lane(m.Key).partition}
}

func (k *Kafka) buryDamaged(raw []byte, reason string) error {
	if k.dead == nil {
		return errNoDeadLetters
	}
	return k.dead.Put(context.Background(), DeadLetter{FailureType: FailureSpoolDamaged, Reason: reason, Raw: raw})
}
