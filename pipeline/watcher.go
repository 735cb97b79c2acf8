package pipeline

import "errors"

// Watcher is told of each scan of a worker, from several goroutines at once. Its
// functions must not block; each may be nil. Re-checks, which ask about one name,
// are not told.
type Watcher struct {
	Begun func(Seed)
	// Ended gets nil when every name was asked about and every record is
	// durable, however few they are; ErrUnanswered when most names could not be
	// found out; else why the scan was given up.
	Ended func(Seed, Summary, error)
}

// ErrUnanswered is why a scan that came to its end says little about its seed.
var ErrUnanswered = errors.New("most names could not be found out")

func (w *Watcher) begun(seed Seed) {
	if w.Begun != nil && !seed.Recheck {
		w.Begun(seed)
	}
}

func (w *Watcher) ended(seed Seed, summary Summary, err error) {
	if w.Ended != nil && !seed.Recheck {
		w.Ended(seed, summary, err)
	}
}

// answered is ErrUnanswered for a scan that says nothing about its seed.
func (s Summary) answered() error {
	if float64(s.Unknown) > maxUnanswered*float64(s.Generated) {
		return ErrUnanswered
	}
	return nil
}
