package main

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// promptDelay is how long a line waits for company before it is passed on.
const promptDelay = 50 * time.Millisecond

// promptWriter gathers lines, but not for long: whoever reads the other end of
// a pipe sees a line soon after it was written. Safe for concurrent use.
type promptWriter struct {
	mu    sync.Mutex
	w     *bufio.Writer
	timer *time.Timer // flushes; runs while there is something to flush
	armed bool
	err   error // of a flush by the timer
}

func newPromptWriter(w io.Writer) *promptWriter {
	return &promptWriter{w: bufio.NewWriterSize(w, 64<<10)}
}

// Write takes p, whole lines.
func (p *promptWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	if !p.armed {
		p.armed = true
		if p.timer == nil {
			p.timer = time.AfterFunc(promptDelay, p.due)
		} else {
			p.timer.Reset(promptDelay)
		}
	}
	return p.w.Write(b)
}

func (p *promptWriter) due() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if err := p.w.Flush(); err != nil && p.err == nil {
		p.err = err
	}
}

// Flush passes on what was gathered.
func (p *promptWriter) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.armed = false
	}
	if p.err != nil {
		return p.err
	}
	return p.w.Flush()
}
