package emitter

// store makes taken items durable on this machine, after Kafka did not take
// them. ambiguous says that they may be in the topic. Those that come from the
// spool stay there.
func (k *Kafka) store(items []*item, ambiguous bool, cause error) {
	fresh, spooled, copies := sortItems(items)
	k.finish(spooled, Receipt{}, cause, ambiguous)
	k.finish(copies, Receipt{}, cause, ambiguous)
	if k.spool == nil {
		k.recent.gaveBack(len(fresh))
		k.finish(fresh, Receipt{}, cause, ambiguous)
		return
	}
	if refs, ok := k.spoolItems(fresh, ambiguous, cause); ok {
		k.spool.release(refs)
	}
}

// spoolItems writes new items to the spool and settles them: as spooled, or, if
// the disk fails, as handed back. The lines are held.
func (k *Kafka) spoolItems(items []*item, ambiguous bool, cause error) (refs []lineRef, ok bool) {
	if len(items) == 0 {
		return nil, true
	}
	msgs := make([]Message, len(items))
	for i, it := range items {
		msgs[i] = it.msg
	}
	refs, err := k.spool.put(msgs, ambiguous)
	if err != nil {
		k.cfg.Log.Error("the spool cannot take events, they are handed back to the caller",
			"events", len(items), "cause", err)
		k.recent.gaveBack(len(items))
		k.finish(items, Receipt{}, &SpoolError{Kafka: cause, Err: err}, ambiguous)
		return nil, false
	}
	k.finish(items, Receipt{Spooled: len(items)}, nil, false)
	return refs, true
}

// finish settles taken items alike: r counts them all, or err says why they
// are durable nowhere. With an err those that come from the spool are left there.
func (k *Kafka) finish(items []*item, r Receipt, err error, ambiguous bool) {
	if len(items) == 0 {
		return
	}
	one := Receipt{Acked: min(r.Acked, 1), Spooled: min(r.Spooled, 1), DeadLettered: min(r.DeadLettered, 1)}
	fresh, spooled, copies := sortItems(items)
	if err == nil {
		k.books.settle(one.times(len(fresh)))
		k.recent.outcome(len(fresh), one.Acked > 0)
		if len(spooled) > 0 {
			k.books.replayed(one.times(len(spooled)))
			k.spool.done(refsOf(spooled))
		}
	} else {
		k.books.giveBack(len(fresh))
	}
	for range copies {
		k.copied(one.Acked > 0)
	}
	var size, room int64
	for _, it := range items {
		size += it.size
		room += it.room
		it.fate = one.fate()
	}
	k.room.Release(size)
	if k.spool != nil {
		k.spool.room.release(room)
	}
	for _, it := range items {
		it.msg.Value = nil // the queue may hold the item longer than its caller
		if it.call != nil {
			it.call.settle(1, one, err, ambiguous)
		}
	}
}
