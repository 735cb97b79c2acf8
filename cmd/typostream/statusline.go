package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/term"
)

// isTerminal reports whether a person looks at w.
func isTerminal(w any) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress is what is known of a run while it goes on.
type progress struct {
	names, asked, found, unknown int
	queries                      uint64
	elapsed                      time.Duration
}

// line is dnstwist's status line, with the unknown names.
func (p progress) line() string {
	share, eta := 0.0, time.Duration(0)
	if p.names > 0 {
		share = 100 * float64(p.asked) / float64(p.names)
	}
	if p.asked > 0 {
		eta = p.elapsed * time.Duration(p.names-p.asked) / time.Duration(p.asked)
	}
	return fmt.Sprintf("permutations: %.2f%% of %d | found: %d | unknown: %d | eta: %dm %02ds | speed: %.0f qps",
		share, p.names, p.found, p.unknown, int(eta.Minutes()), int(eta.Seconds())%60, p.rate())
}

func (p progress) rate() float64 {
	if p.elapsed <= 0 {
		return 0
	}
	return float64(p.queries) / p.elapsed.Seconds()
}

// screen is standard error. On a terminal it has a status line at the bottom,
// which is wiped away before anything else is written.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	shown bool
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipeLocked()
	return s.w.Write(p)
}

// wipe removes the status line, if there is one, so that what follows begins
// in the first column.
func (s *screen) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipeLocked()
}

func (s *screen) wipeLocked() {
	if s.shown {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.shown = false
	}
}

// status shows the line in place of the one before. A line that is wider than
// the terminal would wrap and could not be wiped away, so it is cut.
func (s *screen) status(line string, width int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if width > 0 && len(line) >= width {
		line = line[:width-1]
	}
	fmt.Fprintf(s.w, "\r\x1b[K%s", line)
	s.shown = true
}

// width is the number of columns of the terminal, 0 if that is not known.
func (s *screen) width() int {
	if f, ok := s.w.(interface{ Fd() uintptr }); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return columns
		}
	}
	return 0
}

const statusInterval = 200 * time.Millisecond

// startStatus rewrites the status line a few times a second until stop is
// called; where no person looks it does nothing.
func startStatus(s *screen, current func() progress) (stop func()) {
	if !isTerminal(s.w) {
		return func() {}
	}
	done := make(chan struct{})
	var stopped sync.WaitGroup
	stopped.Go(func() {
		defer s.wipe()
		tick := time.NewTicker(statusInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				s.status(current().line(), s.width())
			}
		}
	})
	return func() {
		close(done)
		stopped.Wait()
	}
}
