package resolver

import "time"

// Of the window, in queries in flight.
const (
	firstWindow = 256
	leastWindow = 16
	// Loss below this share is the line's, not ours.
	toleratedLoss = 0.05
	// What remains of the window after a cut, at most.
	cutTo = 0.7
	// What is added in the time that it takes to notice a loss.
	leastGrowth = 8
	growth      = 0.1
	// A round lasts two round trips and this, so that a fast server's has
	// something to count.
	roundExtra = 10 * time.Millisecond
)

// window says how many queries a server may have at a time. It grows by one an
// answer up to the threshold (doubling each round trip), then by a tenth in the
// time that it takes to notice a loss, and is cut once a round at most, when
// more than toleratedLoss of it was lost: to what came through, and to cutTo at
// least. So it settles near what the server can take, a server that polices its
// rate included, and a loss that has other reasons costs no speed. Both are as
// in TCP (RFC 5681), but for the tolerance, without which one lost datagram
// would halve it.
type window struct {
	size, threshold float64

	began           time.Duration // of the round
	answers, losses int           // in it
	cutAt, grownAt  time.Duration
	before          float64 // size before the last cut
	blamed, cleared int     // losses that led to it, and how many of those came late

	// A server that polices its rate answers a burst and then nothing for a
	// while, and a window alone would wait out a time-out each time. So after a
	// cut what is sent is spread out: a little faster than it is answered.
	rate              float64 // queries a second; 0: the window alone limits
	tokens            float64
	filled            time.Duration
	limited           bool // the rate held something back in this term
	term, heard       time.Duration
	served, forfeited int // answers and losses in this term
}

const (
	rateKept   = 1.02 // times what was answered, after a term with loss
	rateNudged = 1.05 // more after a term with little
	rateProbed = 1.3  // more after a term without
	leastTerm  = 50 * time.Millisecond
	rateBurst  = 10 * time.Millisecond
)

// allow returns how many of n the rate lets go now, and counts them as sent.
func (w *window) allow(now time.Duration, n int) int {
	if w.rate == 0 || n <= 0 {
		return n
	}
	burst := max(1, w.rate*rateBurst.Seconds())
	w.tokens = min(w.tokens+w.rate*(now-w.filled).Seconds(), burst)
	w.filled = now
	if float64(n) > w.tokens {
		w.limited = true
		n = int(w.tokens)
	}
	w.tokens -= float64(n)
	return n
}

// endTerm adapts the rate once in the time that it takes to notice a loss.
func (w *window) endTerm(now, srtt, rto time.Duration) {
	lasted := now - w.term
	if lasted < max(rto, leastTerm) {
		return
	}
	served, total := float64(w.served), float64(w.served+w.forfeited)
	switch {
	case w.served > 0 && w.forfeited > 1 && float64(w.forfeited) > toleratedLoss*total:
		least := leastWindow / max(srtt, rateBurst).Seconds()
		// Until the last answer only: the wait after it was for what was lost.
		busy := max(w.heard-w.term, rateBurst)
		w.rate = max(served/busy.Seconds()*rateKept, least)
	case !w.limited:
		w.rate = 0
	case w.forfeited == 0:
		w.rate *= rateProbed
	default:
		w.rate *= rateNudged
	}
	w.term, w.served, w.forfeited, w.limited = now, 0, 0, false
}

func newWindow() window { return window{size: firstWindow, threshold: maxWindow, cutAt: -1} }

// answered counts an answer; late if it was taken for lost before.
func (w *window) answered(now, srtt, rto time.Duration, inFlight int, late bool) {
	w.endTerm(now, srtt, rto)
	w.turn(now, srtt, rto)
	w.answers++
	w.served++
	w.heard = now
	if late {
		// The queries were slow, not lost: the cut was wrong (as in RFC 3522).
		if w.cleared++; w.blamed > 0 && w.cleared*2 > w.blamed {
			w.size, w.threshold = max(w.size, w.before), max(w.threshold, w.before)
			w.blamed = 0
		}
		return
	}
	if float64(inFlight) < w.size/2 {
		return // it is not the window that limits
	}
	if w.size < w.threshold {
		w.size++
	} else if now-w.grownAt >= rto {
		w.size += max(leastGrowth, w.size*growth)
		w.grownAt = now
	}
	w.size = min(w.size, maxWindow)
}

// lost counts a query that was sent then as lost.
func (w *window) lost(now, sent, srtt, rto time.Duration) {
	w.endTerm(now, srtt, rto)
	w.turn(now, srtt, rto)
	w.forfeited++
	if sent > w.cutAt { // else the cut was made for it, among others
		w.losses++
	}
}

// turn ends the round if it is over.
func (w *window) turn(now, srtt, rto time.Duration) {
	if now-w.began < 2*srtt+roundExtra {
		return
	}
	total := w.answers + w.losses
	if w.losses > 1 && float64(w.losses) > toleratedLoss*float64(total) {
		w.cut(now, srtt, rto)
	}
	w.began, w.answers, w.losses = now, 0, 0
}

func (w *window) cut(now, srtt, rto time.Duration) {
	w.before, w.blamed, w.cleared, w.cutAt = w.size, w.losses, 0, now
	w.grownAt = now
	if w.answers == 0 {
		// Silence says nothing of how much would be too much: begin anew, and
		// quickly up to where it was.
		w.size = leastWindow
		return
	}
	share := float64(w.answers) / float64(w.answers+w.losses)
	// Room for what the rate keeps on its way, and for what it loses.
	least := max(leastWindow, w.rate*(srtt.Seconds()+2*toleratedLoss*rto.Seconds()))
	w.size = min(w.size, max(w.size*min(share, cutTo), least))
	w.threshold = w.size
}
