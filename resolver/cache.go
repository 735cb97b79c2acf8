package resolver

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

const (
	// Answers are kept for as long as their TTLs say, but not longer than this:
	// who watches brands wants to see a registration soon. RFC 2308 section 5
	// advises such a limit for negative answers.
	maxKeep         = time.Hour
	maxKeepNegative = 15 * time.Minute
	// entryBytes is about what an entry takes besides its strings; bytesPerEntry
	// the average that is granted.
	entryBytes    = 200
	bytesPerEntry = 512
)

// lookup is how a look-up in the cache ended.
type lookup int

const (
	cacheHit    lookup = iota // the answer was there
	cacheCut                  // a name above is absent, so nothing below it exists (RFC 8020)
	cacheJoined               // the same question was being asked for somebody else
	cacheMiss
)

var lookupNames = [...]string{cacheHit: "hit", cacheCut: "cut", cacheJoined: "joined", cacheMiss: "miss"}

// cache keeps answers until their TTL is over, and lets callers who ask for the
// same name at the same time share one look-up. It is bounded by entries and by
// bytes; what was used least recently goes first. Its methods may be called
// from many goroutines at a time.
type cache struct {
	clock      func() time.Duration
	findings   *findings
	maxEntries int
	maxBytes   int

	mu      sync.Mutex
	entries map[string]*entry
	recent  entry // head of the ring of what is kept: next was used last, prev longest ago
	kept    int   // in the ring
	bytes   int
}

// entry is a look-up under way or an answer kept. Most names are absent, and of
// those only the name of the server is kept.
type entry struct {
	name   string
	flying bool    // under way: nothing else but joined is valid
	joined *flight // nil until somebody joins

	answer     *Answer // nil: absent, by NXDOMAIN
	server     string
	until      time.Duration
	bytes      int
	prev, next *entry
}

// flight is what others wait for; answer and err are set when done is closed.
type flight struct {
	done   chan struct{}
	answer Answer
	err    error
}

// newCache returns a cache for at most so many answers, none if 0.
func newCache(entries int, clock func() time.Duration, f *findings) *cache {
	c := &cache{
		clock: clock, findings: f, maxEntries: entries, maxBytes: entries * bytesPerEntry,
		entries: map[string]*entry{},
	}
	c.recent.prev, c.recent.next = &c.recent, &c.recent
	return c
}

// claim puts what is kept of name into a. Where nothing is, the first caller gets
// an entry: it finds out the answer and settles the entry, whatever becomes of
// it. Callers with the same name wait for that one. When it goes away, another
// takes its place: an error reaches only the caller it belongs to.
func (c *cache) claim(ctx context.Context, name string, a *Answer) (*entry, error) {
	for {
		c.mu.Lock()
		e := c.entries[name]
		if e == nil || !e.flying {
			way := c.get(e, name, a)
			if way == cacheMiss {
				e = &entry{name: name, flying: true}
				c.entries[name] = e
			}
			c.mu.Unlock()
			c.findings.cached(way)
			if way == cacheMiss {
				return e, nil
			}
			return nil, nil
		}
		if e.joined == nil {
			e.joined = &flight{done: make(chan struct{})}
		}
		f := e.joined
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if f.err == nil {
			c.findings.cached(cacheJoined)
			*a = f.answer.clone()
			return nil, nil
		}
		if errors.Is(f.err, ErrClosed) {
			return nil, f.err
		}
	}
}

// settle ends a claim with what was found: a is kept for so long, if it can be,
// and handed to those who wait for it.
func (c *cache) settle(e *entry, a *Answer, keep time.Duration, err error) {
	c.mu.Lock()
	f := e.joined
	e.flying, e.joined = false, nil
	if err != nil || !c.keep(e, a, keep) {
		delete(c.entries, e.name)
	}
	c.mu.Unlock()
	if f != nil {
		f.answer, f.err = a.clone(), err
		close(f.done)
	}
}

// get puts what is kept of name, whose entry is e, into a, and returns how it is
// known. The caller holds mu.
func (c *cache) get(e *entry, name string, a *Answer) lookup {
	if c.fresh(e) {
		c.use(e)
		if e.answer == nil {
			*a = absent(name, e.server)
		} else {
			*a = e.answer.clone()
		}
		return cacheHit
	}
	// RFC 8020: nothing exists below a name that does not. Servers of hosters
	// get that wrong for names without records (empty non-terminals), so only
	// what a registry says is taken at its word.
	for _, above, ok := strings.Cut(name, "."); ok && above != ""; _, above, ok = strings.Cut(above, ".") {
		if e := c.entries[above]; c.fresh(e) && e.answer == nil && atRegistry(above) {
			c.use(e)
			*a = absent(name, e.server)
			return cacheCut
		}
	}
	return cacheMiss
}

// atRegistry reports whether a registry answers for the existence of name: it
// is a registrable domain, a public suffix or above one.
func atRegistry(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return strings.Count(name, ".") <= strings.Count(suffix, ".")+1
}

func absent(name, server string) Answer {
	return Answer{Name: name, State: Absent, RCode: rcodeName(dns.RcodeNameError), Reason: ReasonNXDomain, Server: server}
}

// fresh reports whether e holds an answer whose time is not over.
func (c *cache) fresh(e *entry) bool {
	if e == nil || e.flying {
		return false
	}
	if e.until <= c.clock() {
		c.remove(e)
		return false
	}
	return true
}

// keep puts a into e for so long; what is unknown is not kept. The caller holds
// mu.
func (c *cache) keep(e *entry, a *Answer, keep time.Duration) bool {
	e.server, e.bytes = a.Server, entryBytes+len(e.name)+len(a.Server)
	switch {
	case a.State == Registered:
		kept := a.clone()
		e.answer, e.bytes = &kept, e.bytes+kept.size()
		keep = min(keep, maxKeep)
	case a.State == Absent && a.Reason == ReasonNXDomain:
		keep = min(keep, maxKeepNegative)
	default:
		return false
	}
	if keep <= 0 || e.bytes > c.maxBytes {
		return false
	}
	e.until = c.clock() + keep
	c.kept++
	c.bytes += e.bytes
	c.link(e)
	for c.kept > c.maxEntries || c.bytes > c.maxBytes {
		c.remove(c.recent.prev)
	}
	return true
}

func (c *cache) link(e *entry) {
	e.prev, e.next = &c.recent, c.recent.next
	e.prev.next, e.next.prev = e, e
}

func (c *cache) use(e *entry) {
	e.prev.next, e.next.prev = e.next, e.prev
	c.link(e)
}

func (c *cache) remove(e *entry) {
	e.prev.next, e.next.prev = e.next, e.prev
	delete(c.entries, e.name)
	c.kept--
	c.bytes -= e.bytes
}

// size is about what a takes, in bytes.
func (a *Answer) size() int {
	n := 400 + len(a.Name) + len(a.Disputed)
	for _, list := range a.lists() {
		for _, value := range *list {
			n += 16 + len(value)
		}
	}
	return n
}
