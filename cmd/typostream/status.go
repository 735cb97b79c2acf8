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
	share, eta := 100.0, time.Duration(0)
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

// statusLine rewrites one line of a terminal a few times a second; where no
// person looks it prints nothing.
type statusLine struct {
	w       io.Writer
	current func() progress
	stop    chan struct{}
	stopped sync.WaitGroup
}

const statusInterval = 200 * time.Millisecond

func startStatus(w io.Writer, current func() progress) *statusLine {
	s := &statusLine{w: w, current: current, stop: make(chan struct{})}
	if !isTerminal(w) {
		return s
	}
	s.stopped.Go(func() {
		tick := time.NewTicker(statusInterval)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				fmt.Fprint(s.w, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprintf(s.w, "\r\x1b[K%s", s.current().line())
			}
		}
	})
	return s
}

// end removes the line, so that what follows begins in the first column.
func (s *statusLine) end() {
	close(s.stop)
	s.stopped.Wait()
}
