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
	randomLabel     = 26          // letters and digits of one
	probeLabels     = 3           // random labels asked about at a time
	maxProbes       = 32          // of one wildcard, all misses together
	maxFruitless    = 3           // probes in a row that bring nothing new before a name is let go
	maxUnion        = 512         // values of a type that are remembered of a wildcard
	maxWildcards    = 4096        // parents that are remembered
	wildcardKeep    = time.Hour   // for which a finding holds
	wildcardUnknown = time.Minute // likewise, when no probe got an answer
)

// What a probe of a parent came to.
const (
	probeNone     = "none"     // names that do not exist get NXDOMAIN
	probeWildcard = "wildcard" // they are answered for
	probeUnknown  = "unknown"  // no sure answer
)

// wildcards remembers, by parent, what is answered for names that do not exist.
type wildcards struct {
	mu      sync.Mutex
	parents map[string]*wildcard
}

// wildcard is what is known of one parent. Who holds turn probes or compares.
type wildcard struct {
	parent string // no trailing dot
	turn   chan struct{}
	until  time.Duration // 0: not probed yet
	exists bool
	seen   [recordLists][]string // the union of the answers, in the order of Answer.lists
	lacks  [recordLists]bool     // some answer had none of these
	probes int
}

// standsIn returns the parent of a, up to its public suffix, that answers for any
// name what was found of a (RFC 1034 section 4.3.3, or a registry that answers for
// names nobody registered); "" if none does. The only errors are those of Resolve.
//
// Parents are probed, the public suffix first, when a name below them exists, so
// that no question is wasted on the others: three random labels, and the union of
// their answers. A name that the union does not cover has the parent probed again,
// because large hosts rotate their addresses, until it does or the probes bring
// nothing new.
func (r *Resolver) standsIn(ctx context.Context, a *Answer) (string, error) {
	parent, _ := publicsuffix.PublicSuffix(a.Name)
	for range maxParents {
		labels, below := strings.CutSuffix(a.Name, "."+parent)
		if !below {
			break
		}
		covered, err := r.wildcards.of(parent).covers(ctx, r, a, labels)
		if err != nil {
			return "", err
		}
		if covered {
			return parent, nil
		}
		parent = labels[strings.LastIndexByte(labels, '.')+1:] + "." + parent
	}
	return "", nil
}

func (w *wildcards) of(parent string) *wildcard {
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.parents[parent]; known != nil {
		return known
	}
	if len(w.parents) >= maxWildcards {
		for other := range w.parents { // any one: it can be found out again
			delete(w.parents, other)
			break
		}
	}
	known := &wildcard{parent: parent, turn: make(chan struct{}, 1)}
	w.parents[parent] = known
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
// returns for how long the finding holds. Below a parent so long that no random
// label fits nothing is asked: it counts as one without a wildcard.
func (w *wildcard) probe(ctx context.Context, r *Resolver) (time.Duration, error) {
	if len(w.parent) > maxName-len(".")-randomLabel {
		return wildcardKeep, nil
	}
	var answers [probeLabels]Answer
	var labels [probeLabels]string
	var group errgroup.Group
	for i := range answers {
		labels[i] = strings.ToLower(rand.Text()) // that nobody has registered
		group.Go(func() (err error) {
			_, err = r.look(ctx, labels[i]+"."+w.parent+".", &answers[i])
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
// before the parent: the targets of a DNAME repeat them.
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
