package responder

import (
	"math/rand/v2"
	"time"
)

// Faults are how a responder falls short of a perfect server. The zero value is
// a perfect one.
type Faults struct {
	// Delay is the time between a query's arrival and its answer.
	Delay time.Duration
	// Loss is the share of UDP queries, 0 to 1, that vanish.
	Loss float64
	// ServFail is the share of the other queries, 0 to 1, that are answered
	// with SERVFAIL.
	ServFail float64
	// Cap is the number of UDP queries a second that are answered; those beyond
	// vanish. A pause saves up 20 ms of it. 0 is no limit.
	Cap int
	// Seed makes what is random: the n-th query after the start meets the same
	// fate in every run.
	Seed uint64
	// NoGSO sends each answer as a datagram of its own, instead of several of
	// one length to one address together (UDP_SEGMENT).
	NoGSO bool
}

// A fate decides what becomes of each query. It belongs to one goroutine.
type fate struct {
	Faults
	random *rand.Rand
	tokens float64 // answers that Cap allows now
	last   time.Duration
}

func newFate(f Faults) *fate {
	return &fate{Faults: f, random: rand.New(rand.NewPCG(f.Seed, 0)), tokens: f.saved()}
}

// saved is how much of Cap can be saved up, at least one query.
func (f *Faults) saved() float64 {
	return max(1, (20*time.Millisecond).Seconds()*float64(f.Cap))
}

// capped takes a query that arrived at now, which may not go back, and tells
// whether it is beyond the limit.
func (f *fate) capped(now time.Duration) bool {
	if f.Cap == 0 {
		return false
	}
	f.tokens = min(f.tokens+(now-f.last).Seconds()*float64(f.Cap), f.saved())
	f.last = now
	if f.tokens < 1 {
		return true
	}
	f.tokens--
	return false
}

func (f *fate) lost() bool   { return f.Loss > 0 && f.random.Float64() < f.Loss }
func (f *fate) failed() bool { return f.ServFail > 0 && f.random.Float64() < f.ServFail }
