package pipeline

// checkpoint knows which offsets of one partition are done and how far the
// gapless prefix of them reaches: only that may be committed, because a
// committed offset says "everything before is done". Offsets are started in
// rising order, with gaps where the log has them (compaction, transactions),
// and finished in any order. Not safe for concurrent use.
type checkpoint struct {
	open []openOffset // in flight, or done behind one in flight; rising
	next int64        // the offset to commit: that of the first record not done
	read int64        // the offset from which to read on
}

type openOffset struct {
	offset int64
	done   bool
}

// newCheckpoint begins at an absolute offset, or at a negative one where the
// group has committed nothing yet.
func newCheckpoint(offset int64) *checkpoint {
	return &checkpoint{next: offset, read: offset}
}

// start notes that the record at offset is being worked on.
func (c *checkpoint) start(offset int64) {
	c.open = append(c.open, openOffset{offset: offset})
	c.read = offset + 1
}

// abandon takes back the newest start: its record was not handed on and will be
// read again.
func (c *checkpoint) abandon() {
	last := len(c.open) - 1
	c.read = c.open[last].offset
	c.open = c.open[:last]
}

// finish notes that the record at offset is done and reports whether the
// offset to commit has moved.
func (c *checkpoint) finish(offset int64) (moved bool) {
	for i := range c.open {
		if c.open[i].offset == offset {
			c.open[i].done = true
			break
		}
	}
	for len(c.open) > 0 && c.open[0].done {
		c.next = c.open[0].offset + 1
		c.open = c.open[1:]
		moved = true
	}
	return moved
}

// undone is the offset of the first record not done, negative before anything
// is read of a partition of which nothing was committed.
func (c *checkpoint) undone() int64 {
	if c.next < 0 && len(c.open) > 0 {
		return c.open[0].offset
	}
	return c.next
}

// inFlight is the number of offsets that keep the prefix from moving or wait
// behind one that does.
func (c *checkpoint) inFlight() int { return len(c.open) }
