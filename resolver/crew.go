package resolver

import (
	"runtime"
	"time"
)

const (
	firstCrew = 320
	// A crew begins with as many as get so many answers a second from a distant
	// nameserver. What a start on a busy machine adds to its first round trips
	// must not make one look distant.
	firstRate = 100_000
	distant   = 10 * time.Millisecond
	// A term lasts so long at least, and until each worker has had so many
	// answers on average.
	crewTerm    = 20 * time.Millisecond
	crewAnswers = 2
	// A larger crew is kept if so much of what it is larger by comes back as
	// answers, compared with the best term before: on a busy machine some terms
	// bring more than others anyway.
	crewGain   = 0.5
	crewMemory = 0.99 // of the best term, a term
	// A term that took so much of what the processors could give shows nothing
	// that more workers could mend.
	crewBusy = 0.9
	// After a trial that brought less, so many terms pass until the next, and
	// twice as many each time up to a limit.
	firstRest   = 8
	longestRest = 1024
)

// crew says how many workers a pool has. It begins with few, since what more
// have in flight costs memory and time, and doubles them on trial, as long as
// the input is faster than they are and the processors are not busy. A trial
// does not count the answers to what was under way before it. Not safe for
// concurrent use.
type crew struct {
	limit, size, workers int
	clock                func() time.Duration
	cpu                  func() time.Duration // that the process has used; 0 if it is not known
	pressed              bool                 // the input has had to wait in this term

	began   time.Duration // of the term
	used    time.Duration // CPU until then
	answers int           // in it; negative: before it, to what is not its own
	trial   bool          // size is new
	before  int           // size before the trial
	best    float64       // answers a second, of all terms; fades
	rest    int           // terms until the next
	resting int           // the last rest
}

// newCrew makes a crew for a nameserver so far away.
func newCrew(limit int, rtt time.Duration, clock, cpu func() time.Duration) *crew {
	size := firstCrew
	if rtt >= distant {
		size = int(firstRate * rtt.Seconds())
	}
	return &crew{limit: limit, size: min(size, limit), clock: clock, cpu: cpu, began: clock(), used: cpu(), resting: firstRest / 2}
}

// hire reports whether there may be another worker, and counts it.
func (c *crew) hire() bool {
	if c.workers >= c.size {
		return false
	}
	c.workers++
	return true
}

// dismiss reports whether there is a worker too many, and counts it no longer.
func (c *crew) dismiss() bool {
	if c.workers <= c.size {
		return false
	}
	c.workers--
	return true
}

// answered counts an answer and adapts the size at the end of a term.
func (c *crew) answered() {
	if c.answers++; c.answers == 0 {
		c.began, c.used = c.clock(), c.cpu()
	}
	if c.size >= c.limit && !c.trial || c.answers < crewAnswers*c.size || c.answers%64 != 0 {
		return
	}
	now := c.clock()
	if now-c.began < crewTerm {
		return
	}
	rate := float64(c.answers) / (now - c.began).Seconds()
	if c.trial && rate < c.best*(1+crewGain*(float64(c.size)/float64(c.before)-1)) {
		c.size = c.before
		c.resting = min(2*c.resting, longestRest)
		c.rest = c.resting
	}
	c.trial, c.best = false, max(rate, c.best*crewMemory)
	used := c.cpu()
	busy := used-c.used >= time.Duration(crewBusy*float64(runtime.GOMAXPROCS(0))*float64(now-c.began))
	c.began, c.used, c.answers = now, used, 0
	switch {
	case c.rest > 0:
		c.rest--
	case c.pressed && !busy && c.size < c.limit:
		c.trial = true
		c.before, c.size = c.size, min(2*c.size, c.limit)
		c.answers = -c.before
	}
	c.pressed = false
}
