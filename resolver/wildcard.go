package resolver

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/sync/errgroup"
)

const (
	probeLabels     = 3           // random labels asked about at a time
	maxProbes       = 32          // of one wildcard, all misses together
	maxFruitless    = 3           // probes in a row that bring nothing new before a name is let go
	maxUnion        = 512         // values of a type that are remembered of a wildcard
	maxWildcards    = 4096        // suffixes that are remembered
	wildcardKeep    = time.Hour   // for which a finding holds
	wildcardUnknown = time.Minute // likewise, when no probe got an answer
)

// What a probe of a public suffix came to.
const (
	probeNone     = "none"     // names that do not exist get NXDOMAIN
	probeWildcard = "wildcard" // they are answered for
	probeUnknown  = "unknown"  // no sure answer
)

// wildcards remembers, by public suffix, what is answered for names that do not exist.
type wildcards struct {
	mu       sync.Mutex
	suffixes map[string]*wildcard
}

// wildcard is what is known of one suffix. Who holds turn probes or compares.
type wildcard struct {
	suffix string // no trailing dot
	turn   chan struct{}
	until  time.Duration // 0: not probed yet
	exists bool
	seen   [recordLists][]string // the union of the answers, in the order of Answer.lists
	lacks  [recordLists]bool     // some answer had none of these
	probes int
}

// standsIn reports whether what was found of a is what its public suffix
// answers for any name (RFC 1034 section 4.3.3, or a registry that answers for
// names nobody registered). A wildcard below a registered domain is its owner's
// own, and no reason to doubt that the domain is registered. The only errors
// are those of Resolve.
//
// A suffix is probed when a name below it exists, so that no question is wasted
// on the others: three random labels, and the union of their answers. A name
// that the union does not cover has the suffix probed again, because large
// hosts rotate their addresses, until it does or the probes bring nothing new.
func (r *Resolver) standsIn(ctx context.Context, a *Answer) (bool, error) {
	suffix, _ := publicsuffix.PublicSuffix(a.Name)
	labels, below := strings.CutSuffix(a.Name, "."+suffix)
	if !below {
		return false, nil
	}
	return r.wildcards.of(suffix).covers(ctx, r, a, labels)
}

func (w *wildcards) of(suffix string) *wildcard {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.suffixes[suffix]; known != nil {
		return known
	}
	if len(w.suffixes) >= maxWildcards {
		for other := range w.suffixes { // any one: it can be found out again
			delete(w.suffixes, other)
			break
		}
	}
	known := &wildcard{suffix: suffix, turn: make(chan struct{}, 1)}
	w.suffixes[suffix] = known
	return known
}

func (w *wildcard) covers(ctx context.Context, r *Resolver, a *Answer, labels string) (bool, error) {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if now := r.clock(); w.until <= now {
		w.exists, w.seen, w.lacks, w.probes = false, [recordLists][]string{}, [recordLists]bool{}, 0
		keep, err := w.probe(ctx, r)
		if err != nil {
			return false, err
		}
		w.until = r.clock() + keep
	}
	for fruitless := 0; w.exists && !w.has(a, labels); fruitless++ {
		if w.probes >= maxProbes || fruitless >= maxFruitless {
			return false, nil
		}
		before := w.size()
		if _, err := w.probe(ctx, r); err != nil {
			return false, err
		}
		if w.size() > before {
			fruitless = -1
		}
	}
	return w.exists, nil
}

// probe asks about random labels and adds what is answered to the union. It
// returns for how long the finding holds.
func (w *wildcard) probe(ctx context.Context, r *Resolver) (time.Duration, error) {
	var answers [probeLabels]Answer
	var labels [probeLabels]string
	var group errgroup.Group
	for i := range answers {
		labels[i] = strings.ToLower(rand.Text()) // 26 letters and digits that nobody has registered
		group.Go(func() (err error) {
			_, err = r.look(ctx, labels[i]+"."+w.suffix+".", &answers[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	w.probes++
	finding := probeUnknown
	for i := range answers {
		switch answers[i].State {
		case Registered:
			finding = probeWildcard
			w.add(&answers[i], labels[i])
		case Absent:
			if finding == probeUnknown {
				finding = probeNone
			}
		}
	}
	w.exists = w.exists || finding == probeWildcard
	r.findings.probed(finding)
	if finding == probeUnknown {
		return wildcardUnknown, nil
	}
	return wildcardKeep, nil
}

func (w *wildcard) add(a *Answer, label string) {
	for i, list := range w.comparable(a, label) {
		if len(list) == 0 && !a.lacksAnswer(i) {
			w.lacks[i] = true
		}
		for _, value := range list {
			if !contains(w.seen[i], value) && len(w.seen[i]) < maxUnion {
				w.seen[i] = append(w.seen[i], value)
			}
		}
	}
}

// has reports whether the union covers a: of every type that a has records of
// only such as the wildcard's answers had too, and of every other type none
// where they had none.
func (w *wildcard) has(a *Answer, labels string) bool {
	for i, list := range w.comparable(a, labels) {
		if len(list) == 0 && !w.lacks[i] && !a.lacksAnswer(i) {
			return false
		}
		for _, value := range list {
			if !contains(w.seen[i], value) {
				return false
			}
		}
	}
	return true
}

// comparable returns a's lists of records, less what depends on the labels
// before the suffix: the targets of a DNAME repeat them.
func (w *wildcard) comparable(a *Answer, labels string) [recordLists][]string {
	var lists [recordLists][]string
	for i := range lists {
		lists[i] = *a.lists()[i]
	}
	targets := make([]string, len(a.CNAME))
	for i, target := range a.CNAME {
		if rest, ok := strings.CutPrefix(target, labels+"."); ok {
			target = "*." + rest
		}
		targets[i] = target
	}
	lists[cnameList] = targets
	return lists
}

func (w *wildcard) size() int {
	n := 0
	for i, list := range w.seen {
		n += len(list)
		if w.lacks[i] {
			n++
		}
	}
	return n
}
