package api

import (
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/typostream/typostream/internal/dnstwist"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

// What is kept of scans, so that memory is bounded: beyond maxKept scans the one
// that changed longest ago is forgotten, beyond maxRows rows
// of a scan further ones are counted only, and beyond maxAllRows of all scans
// together the rows of the oldest scan are let go.
const (
	maxKept    = 1000
	maxRows    = 5000
	maxAllRows = 20_000
	maxURL     = 2048 // bytes
)

// Progress keeps how far scans are and what they have found, in memory: those of
// Kafka apart, whose senders ask nobody. Safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	scans *lru.Cache[string, *progress]
	rows  int // of all scans
}

// progress is one scan.
type progress struct {
	total, answered, registered int
	begun                       bool
	url                         string // as it was handed in
	rows                        []*dnstwist.Row
	dropped                     int  // rows beyond maxRows
	released                    bool // the rows, for those of other scans
}

// NewProgress begins with nothing.
func NewProgress() *Progress {
	p := &Progress{}
	p.scans, _ = lru.NewWithEvict(maxKept, func(_ string, s *progress) { p.rows -= len(s.rows) }) // fails for a size below 1 only
	return p
}

// Observer is what tells p of scans.
func (p *Progress) Observer() pipeline.Observer {
	return pipeline.Observer{Generated: p.generated, Answered: p.answered}
}

func (p *Progress) of(scan string) *progress {
	s, ok := p.scans.Get(scan)
	if !ok {
		s = &progress{}
		p.scans.Add(scan, s)
	}
	return s
}

// generated is the begin of a scan, or of another attempt at it.
func (p *Progress) generated(seed pipeline.Seed, total int) {
	if seed.Origin == pipeline.FromKafka {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(seed.Scan)
	p.rows -= len(s.rows)
	*s = progress{total: total, begun: true, url: s.url}
}

func (p *Progress) answered(r *pipeline.Result) {
	if r.Seed.Origin == pipeline.FromKafka {
		return
	}
	registered := r.Answer.State == resolver.Registered
	var row *dnstwist.Row
	if registered {
		row = dnstwist.RowOf(r, false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(r.Seed.Scan)
	s.answered++
	if !registered {
		return
	}
	s.registered++
	if s.released || len(s.rows) == maxRows {
		s.dropped++
		return
	}
	s.rows = append(s.rows, row)
	if p.rows++; p.rows > maxAllRows {
		p.release()
	}
}

// release lets go of the rows of the scan that changed
// longest ago. p.mu is held.
func (p *Progress) release() {
	for _, id := range p.scans.Keys() { // the oldest first
		if s, _ := p.scans.Peek(id); len(s.rows) > 0 {
			p.rows -= len(s.rows)
			s.dropped += len(s.rows)
			s.rows, s.released = nil, true
			return
		}
	}
}

// handedIn remembers what a scan was submitted as, if it is the first.
func (p *Progress) handedIn(scan, url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of(scan); s.url == "" && len(url) <= maxURL {
		s.url = url
	}
}

// waits remembers how many names a scan that has not begun will ask about.
func (p *Progress) waits(scan string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of(scan); !s.begun {
		s.total = total
	}
}

// look is a scan as it stands, with the rows if they are wanted: sorted, and the
// caller's own. known is false for one of which nothing is kept.
func (p *Progress) look(scan string, rows bool) (s progress, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, known := p.scans.Peek(scan)
	if !known {
		return progress{}, false
	}
	s = *kept
	s.rows = nil
	if rows {
		s.rows = slices.Clone(kept.rows)
		dnstwist.Sort(s.rows)
	}
	return s, true
}
