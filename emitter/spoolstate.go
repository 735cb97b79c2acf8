package emitter

import (
	"path/filepath"
	"time"
)

// Segment is one file of the spool.
type Segment struct {
	File    string // its name in the directory of the spool
	Begun   time.Time
	Bytes   int64
	Records int // lines, those that are through too
	Waiting int // lines that are not through
	Held    int // of those that wait: it is just being found out whether Kafka has them, or their callers are not told yet
	Open    bool
}

// SpoolState is what is in a spool, file by file.
type SpoolState struct {
	SpoolStats
	Held int
	// Damaged lines could not be sent, since the start: their bytes, as far as they
	// were there, are among the dead letters.
	Damaged  int64
	Segments []Segment // oldest first
}

// SpoolState returns what is in the spool now; nothing if there is none.
func (k *Kafka) SpoolState() SpoolState {
	if k.spool == nil {
		return SpoolState{}
	}
	return k.spool.State()
}

// State returns what the spool holds now, file by file.
func (s *Spool) State() SpoolState {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := SpoolState{SpoolStats: s.stats(), Damaged: s.damaged.Load(), Segments: make([]Segment, len(s.files))}
	for i, f := range s.files {
		held := f.held()
		st.Held += held
		st.Segments[i] = Segment{
			File: filepath.Base(f.path), Begun: f.born, Bytes: f.size, Records: len(f.state), Waiting: f.left, Held: held, Open: !f.sealed,
		}
	}
	return st
}

// held counts the lines whose outcome is being found out.
func (s *Spool) held() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		n += f.held()
	}
	return n
}

func (f *spoolFile) held() (n int) {
	for _, state := range f.state {
		if state == lineHeld {
			n++
		}
	}
	return n
}
