package resolver

import "time"

// Of the window, in queries in flight.
const (
	firstWindow = 128
	leastWindow = 16
	// Loss below this share is the line's, not ours.
	toleratedLoss = 0.05
	// What remains of the window after a cut, at most.
	cutTo = 0.7
	// A round lasts two round trips and this, so that a fast server's has
	// something to count.
	roundExtra = 10 * time.Millisecond
)

// window says how many queries a server may have at a time. It grows by one an
// answer up to the threshold (doubling each round trip), then by four a round
// trip, and is cut once a round at most, when more than toleratedLoss of it was
// lost: to what came through, and to cutTo at least. So it settles near what
// the server can take, a server that polices its rate included, and a loss
// that has other reasons costs no speed. Both are as in TCP (RFC 5681), but
// for the tolerance, without which one lost datagram would halve it.
type window struct {
	size, threshold float64

	began           time.Duration // of the round
	answers, losses int           // in it
	cutAt           time.Duration
	before          float64 // size before the last cut
	blamed, cleared int     // losses that led to it, and how many of those came late
}

func newWindow() window { return window{size: firstWindow, threshold: maxWindow, cutAt: -1} }

// answered counts an answer; late if it was taken for lost before.
func (w *window) answered(now, srtt time.Duration, inFlight int, late bool) {
	w.turn(now, srtt)
	w.answers++
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
	} else {
		w.size += 4 / w.size
	}
	w.size = min(w.size, maxWindow)
}

// lost counts a query that was sent then as lost.
func (w *window) lost(now, sent, srtt time.Duration) {
	w.turn(now, srtt)
	if sent > w.cutAt { // else the cut was made for it, among others
		w.losses++
	}
}

// turn ends the round if it is over.
func (w *window) turn(now, srtt time.Duration) {
	if now-w.began < 2*srtt+roundExtra {
		return
	}
	total := w.answers + w.losses
	if w.losses > 1 && float64(w.losses) > toleratedLoss*float64(total) {
		w.cut(now)
	}
	w.began, w.answers, w.losses = now, 0, 0
}

func (w *window) cut(now time.Duration) {
	w.before, w.blamed, w.cleared, w.cutAt = w.size, w.losses, 0, now
	if w.answers == 0 {
		// Silence says nothing of how much would be too much: begin anew, and
		// quickly up to where it was.
		w.size = leastWindow
		return
	}
	share := float64(w.answers) / float64(w.answers+w.losses)
	w.size = max(w.size*min(share, cutTo), leastWindow)
	w.threshold = w.size
}
