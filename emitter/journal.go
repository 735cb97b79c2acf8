package emitter

import (
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
	open func() (*segment, error) // opens the next segment
	log  *slog.Logger

	mu     sync.Mutex
	next   *group // lines that wait for the flush under way
	busy   bool
	closed bool
	idle   sync.WaitGroup // flushes handed to a goroutine

	seg *segment // touched by the flusher only
}

// group is what becomes durable together. With rotate the segment is closed
// after it.
type group struct {
	buf    []byte
	rotate bool
	done   chan struct{}
	err    error
	path   string // of the file that the lines went to
	base   int64  // offset of the first of them in it
}

// append returns when p, whole lines, is durable.
func (j *journal) append(p []byte) error {
	_, _, err := j.join(p, false)
	return err
}

// rotate closes the segment, once what was appended before is durable; the
// next append opens another.
func (j *journal) rotate() error {
	_, _, err := j.join(nil, true)
	return err
}

// join adds to the group that is flushed next and returns when that is done:
// the file, and where in it p begins.
// The caller that finds the journal idle flushes; those who come meanwhile form
// the next group.
func (j *journal) join(p []byte, rotate bool) (path string, at int64, err error) {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return "", 0, ErrClosed
	}
	if j.next == nil {
		j.next = &group{done: make(chan struct{})}
	}
	g := j.next
	at = int64(len(g.buf))
	g.buf = append(g.buf, p...)
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
	return g.path, g.base + at, g.err
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
		if g.err = j.commit(g.buf); g.err == nil {
			g.path, g.base = j.seg.path, j.seg.size-int64(len(g.buf))
		}
		g.buf = nil
	}
	if g.rotate && j.seg != nil {
		if err := j.seg.close(); err != nil { // what is in it is durable all the same
			j.log.Warn("a file was not closed as it should be", "file", j.seg.path, "cause", err)
		}
		j.seg = nil
	}
	close(g.done)
}

func (j *journal) commit(p []byte) error {
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
		if err = j.seg.write(p); err == nil {
			return nil
		}
		j.log.Error("writing to disk failed, trying a new file", "file", j.seg.path, "cause", err)
		j.seg.abandon()
		j.seg = nil
	}
	return err
}

// close waits for flushes under way and closes the file. Safe twice.
func (j *journal) close() error {
	j.mu.Lock()
	first := !j.closed
	j.closed = true
	j.mu.Unlock()
	j.idle.Wait()
	if !first || j.seg == nil {
		return nil
	}
	seg := j.seg
	j.seg = nil
	if err := seg.close(); err != nil {
		return fmt.Errorf("closing %s: %w", seg.path, err)
	}
	return nil
}
