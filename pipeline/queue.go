package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

// Priority says who waits for a seed of the queue. A lower one goes first.
type Priority uint8

const (
	ByPerson Priority = iota // somebody asked for it
	ByFile                   // it is in the file of seeds
	ByClock                  // it is only time to look again
	priorities
)

// Priorities are all of them, the first to be served first.
func Priorities() []Priority { return []Priority{ByPerson, ByFile, ByClock} }

// String is the closed set of values of the metrics' label "priority".
func (p Priority) String() string { return [...]string{"person", "file", "rescan"}[p] }

// Submission is a seed for the queue.
type Submission struct {
	Seed     Seed // as ParseSubmission makes it
	Priority Priority
	Source   string // who handed it in; the sources of a brand take turns
}

// ParseSubmission reads a domain or a URL, and the brand's id, which may be
// empty. With nameOnly the name alone is to be resolved and published, and not
// fuzzed.
func ParseSubmission(input, brand string, nameOnly bool) (Submission, error) {
	parsed, err := fuzzer.ParseSeed(input)
	if err != nil {
		return Submission{}, err
	}
	if brand, err = checkBrand(brand); err != nil {
		return Submission{}, err
	}
	seed := Seed{Seed: parsed, Brand: brand, Origin: FromHTTP}
	if nameOnly {
		seed.Seed, seed.Recheck, seed.Reasons = fuzzer.Seed{FQDN: parsed.FQDN}, true, []string{"submitted"}
	}
	return Submission{Seed: seed}, nil
}

// QueuedScan is what the queue answers to a submission.
type QueuedScan struct {
	ID     string // the same after a restart, and never given twice
	Merged bool   // it was waiting already
}

// ScanState is how far a seed of the queue is.
type ScanState uint8

const (
	ScanWaiting ScanState = iota
	ScanRunning
	ScanDone
	ScanStopped // before its end, because somebody wished so
)

// String is the closed set of values of a scan's state.
func (s ScanState) String() string { return [...]string{"queued", "running", "done", "stopped"}[s] }

// ScanStatus is a seed of the queue as it stands.
type ScanStatus struct {
	ID                     string
	Domain, Brand          string
	NameOnly               bool
	Priority               Priority
	State                  ScanState
	Accepted, Began, Ended time.Time // to the millisecond; zero while it has not happened
	Summary                *Summary  // of a scan that is done
}

// QueueStats is the queue at one moment: Accepted = Done + Stopped + Waiting + InWork.
// After a restart what was found counts as accepted.
type QueueStats struct {
	Accepted, Done, Stopped, InWork int
	ByPriority                      [priorities]int // those that wait
	Limit                           int             // of Waiting + InWork
	Oldest                          time.Time       // when what waits longest was accepted; zero if nothing waits
}

// Waiting is how many seeds have not begun.
func (s QueueStats) Waiting() (n int) {
	for _, waiting := range s.ByPriority {
		n += waiting
	}
	return n
}

var (
	// ErrQueueFull says that there is no room; nothing was accepted.
	ErrQueueFull = errors.New("the queue is full")
	// ErrQueueStopped says that the worker is stopping; nothing was accepted.
	ErrQueueStopped = errors.New("the worker is stopping")
)

// queueRecord is an entry on disk. Version 1; a field may be added, none may
// change its meaning.
type queueRecord struct {
	Version  int    `json:"v"`
	Domain   string `json:"domain"`
	Brand    string `json:"brand"`
	NameOnly bool   `json:"name_only,omitempty"`
	Priority string `json:"priority"`
	Source   string `json:"source"`
	Origin   string `json:"origin,omitempty"` // "http" if there is none
	Accepted int64  `json:"accepted"`         // Unix milliseconds

	Only []string `json:"only,omitempty"`
}

func (s Submission) record(accepted time.Time) ([]byte, error) {
	return json.Marshal(queueRecord{
		Version: 1, Domain: s.Seed.FQDN, Brand: s.Seed.Brand, NameOnly: s.Seed.Recheck, Priority: s.Priority.String(), Source: s.Source,
		Origin: s.Seed.Origin.String(), Accepted: accepted.UnixMilli(), Only: s.Seed.Only,
	})
}

// raise gives the submission the priority of another with the same key, and that
// one's origin, if somebody asks more urgently.
func (s *Submission) raise(by Submission) {
	if by.Priority < s.Priority {
		s.Priority, s.Seed.Origin = by.Priority, by.Seed.Origin
	}
}

// parseQueued reads an entry back from disk.
func parseQueued(item store.Queued) (*queueEntry, error) {
	var r queueRecord
	if err := json.Unmarshal(item.Value, &r); err != nil {
		return nil, err
	}
	if r.Version != 1 {
		return nil, fmt.Errorf("version %d", r.Version)
	}
	what, err := ParseSubmission(r.Domain, r.Brand, r.NameOnly)
	if err != nil {
		return nil, err
	}
	what.Source = r.Source
	what.Seed.Origin, what.Seed.Only = originOf(r.Origin), r.Only
	for _, p := range Priorities() {
		if r.Priority == p.String() {
			what.Priority = p
		}
	}
	return &queueEntry{number: item.Number, what: what, accepted: time.UnixMilli(r.Accepted)}, nil
}
