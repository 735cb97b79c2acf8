package emitter

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// journal appends lines to a file so that many callers share one fsync. It is
// the ground under the spool, the dead letters and the file-only mode.
//
// A write or fsync that failed is never tried again on the same descriptor:
// the kernel may have dropped the dirty pages, and a later fsync would then
// report success. The segment is cut back to its last durable byte, closed,
// and the lines go to a new one, once.
type journal struct {
	open   func() (*segment, error) // opens the next segment
	full   func(*segment) bool      // the next lines are to go to a new segment; nil: never
	closed func(*segment)           // told of each segment that was closed; may be nil
	log    *slog.Logger

	mu   sync.Mutex
	next *group // lines that wait for the flush under way
	busy bool
	over bool
	idle sync.WaitGroup // flushes handed to a goroutine

	seg *segment // touched by the flusher only
}

// group is what becomes durable together. With rotate the segment is closed
// after it.
type group struct {
	buf    []byte
	lines  int
	rotate bool
	done   chan struct{}
	at     stretch
	err    error
}

// stretch is where lines came to be in a segment.
type stretch struct {
	seg   *segment
	first int // number of the first of them, from 0
	// lines and size are what the segment held when they were durable: others'
	// lines that became so together with them too.
	lines int
	size  int64
}

// append returns when p, n whole lines, is durable, and where.
func (j *journal) append(p []byte, n int) (stretch, error) { return j.join(p, n, false) }

// rotate closes the segment, once what was appended before is durable; the
// next append opens another.
func (j *journal) rotate() error {
	_, err := j.join(nil, 0, true)
	return err
}

// join adds to the group that is flushed next and returns when that is done.
// The caller that finds the journal idle flushes; those who come meanwhile form
// the next group.
func (j *journal) join(p []byte, n int, rotate bool) (stretch, error) {
	j.mu.Lock()
	if j.over {
		j.mu.Unlock()
		return stretch{}, ErrClosed
	}
	if j.next == nil {
		j.next = &group{done: make(chan struct{})}
	}
	g := j.next
	before := g.lines
	g.buf = append(g.buf, p...)
	g.lines += n
	g.rotate = g.rotate || rotate
	lead := !j.busy
	if lead {
		j.busy, j.next = true, nil
		j.idle.Add(1)
	}
	j.mu.Unlock()
	if lead {
		j.flush(g)
		j.handOver()
	}
	<-g.done
	at := g.at
	at.first += before
	return at, g.err
}

// handOver lets a goroutine serve the groups that formed meanwhile, so that no
// caller waits for more than its own.
func (j *journal) handOver() {
	if g := j.take(); g != nil {
		go func() {
			for ; g != nil; g = j.take() {
				j.flush(g)
			}
		}()
	}
}

// take returns the waiting group, or nil and ends the turn.
func (j *journal) take() *group {
	j.mu.Lock()
	defer j.mu.Unlock()
	g := j.next
	j.next = nil
	if g == nil {
		j.busy = false
		j.idle.Done()
	}
	return g
}

func (j *journal) flush(g *group) {
	if len(g.buf) > 0 {
		if g.err = j.commit(g.buf, g.lines); g.err == nil {
			g.at = stretch{seg: j.seg, first: j.seg.lines - g.lines, lines: j.seg.lines, size: j.seg.size}
		}
		g.buf = nil
	}
	if g.rotate {
		j.drop()
	}
	close(g.done)
}

func (j *journal) commit(p []byte, n int) error {
	if j.seg != nil && j.full != nil && j.full(j.seg) {
		j.drop()
	}
	var err error
	for range 2 {
		if j.seg == nil {
			seg, oerr := j.open()
			if oerr != nil {
				if err == nil {
					err = oerr
				}
				return err
			}
			j.seg = seg
		}
		if err = j.seg.write(p, n); err == nil {
			return nil
		}
		if _, full := errors.AsType[*FullError](err); full {
			return err
		}
		j.log.Error("writing to disk failed, trying a new file", "file", j.seg.path, "cause", err)
		j.drop()
	}
	return err
}

// drop closes the segment. What is in it is durable, whatever close says.
func (j *journal) drop() {
	if err := j.finish(); err != nil {
		j.log.Warn("a file was not closed as it should be", "cause", err)
	}
}

func (j *journal) finish() error {
	seg := j.seg
	if seg == nil {
		return nil
	}
	j.seg = nil
	err := seg.close()
	if j.closed != nil {
		j.closed(seg)
	}
	if err != nil {
		return fmt.Errorf("closing %s: %w", seg.path, err)
	}
	return nil
}

// close waits for flushes under way and closes the file. Safe twice.
func (j *journal) close() error {
	j.mu.Lock()
	first := !j.over
	j.over = true
	j.mu.Unlock()
	j.idle.Wait()
	if !first {
		return nil
	}
	return j.finish()
}
