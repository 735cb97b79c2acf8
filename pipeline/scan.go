package pipeline

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/resolver"
)

// Emitter makes messages durable, and says of each what became of it. When
// EmitEach returns nil every message is durable.
type Emitter interface {
	EmitEach(ctx context.Context, messages ...emitter.Message) ([]emitter.Fate, error)
}

// Observer is told of a scan as it goes on, from one goroutine at a time. Each
// function may be nil.
type Observer struct {
	Generated func(Seed, int) // how many names will be asked about, at most
	Answered  func(*Result)   // must not keep it
}

// Result is one name and what was found out.
type Result struct {
	Seed    *Seed
	Variant fuzzer.Variant
	Answer  resolver.Answer
	Country string // of the first IPv4 address, the one that dnstwist looks up; "" if it is not known

	at    time.Time
	own   resolver.Answer // of the brand itself, if the name is registered
	event *emitter.Event
	lists *fuzzer.DomainLists // of the scan
}

// Event is the result as an event. It is made when it is first asked for: most
// names do not exist, and nobody wants to see them.
func (r *Result) Event() *emitter.Event {
	if r.event == nil {
		e := r.record()
		r.event = &e
	}
	return r.event
}

// Summary is what became of one seed: Generated = Registered + Absent +
// Unknown unless the scan was cut short.
type Summary struct {
	Generated, Registered, Absent, Unknown int
	Allowed                                int // taken out by the allow list, and not among Generated

	Candidates int             // variants published to the topic of candidates
	Suppressed int             // variants not published because they are known and have not changed
	Changes    int             // of Candidates: new, changed or gone since a scan before
	Receipt    emitter.Receipt // of every message, the seed's own and the inactive names' too

	UnknownNames []string // the first maxUnknownNames of Unknown; of one seed, not summed
}

// maxUnknownNames bounds the names of a seed that are asked about again sooner.
const maxUnknownNames = 256

// Add sums the fields.
func (s *Summary) Add(other Summary) {
	s.Generated += other.Generated
	s.Registered += other.Registered
	s.Absent += other.Absent
	s.Unknown += other.Unknown
	s.Allowed += other.Allowed
	s.Candidates += other.Candidates
	s.Suppressed += other.Suppressed
	s.Changes += other.Changes
	s.Receipt = s.Receipt.Add(other.Receipt)
}

// Scanner takes one seed through the stages. Its fields are set before the
// first Scan and not changed after; Scan is then safe for concurrent use, as far
// as Observer is.
type Scanner struct {
	Resolver *resolver.Resolver
	Permute  func(fuzzer.Seed) *fuzzer.Permutations
	Lists    func() *fuzzer.DomainLists // of names that are not asked about, or tagged as denied; called for each scan, nil for none
	Country  func(string) string        // of an IP address, "" if it is not known; nil for none
	Emitter  Emitter                    // nil: nothing is published
	Dedup    *Dedup                     // nil: what is known is published again
	Topics   Topics
	Track    Tracking
	Observer Observer
	Metrics  *Metrics
	Tracer   trace.Tracer // a span for each scan and one for each batch it publishes; nil for none
	Log      *slog.Logger
	Now      func() time.Time // time.Now if nil
}

// Scan generates the seed's look-alikes, asks about each and publishes what is
// registered: the seed's own record first, then the candidates as they are
// found. It returns nil when every name was asked about and every message is
// durable. When ctx ends no further name is asked about, but what was found is
// still published.
func (s *Scanner) Scan(ctx context.Context, seed Seed) (Summary, error) {
	if s.Tracer != nil {
		return s.traced(ctx, seed)
	}
	return s.scan(ctx, seed)
}

func (s *Scanner) scan(ctx context.Context, seed Seed) (Summary, error) {
	var summary Summary
	lists := s.lists()
	names, total, allowed := Names(seed, s.Permute, lists)
	summary.Generated, summary.Allowed = total, allowed
	if s.Observer.Generated != nil {
		s.Observer.Generated(seed, total)
	}
	var own []emitter.Message
	if s.Emitter != nil && !seed.Recheck && seed.Only == nil {
		var err error
		if own, err = seed.seedMessages(s.Topics, s.now()); err != nil {
			return summary, fmt.Errorf("seed %s: %w", seed.FQDN, err)
		}
	}
	visit := s.Dedup.begin(ctx, seed, s.inheritance())
	publisher := newPublisher(ctx, visit, s.Emitter, s.Dedup, s.Tracer)
	if len(own) > 0 {
		publisher.publish(publication{messages: func(sighting) ([]emitter.Message, error) { return own, nil }})
	}
	owner, forget := s.owner(publisher.ctx, seed)
	defer forget()
	spare := &Result{} // most results are not published: they take turns with one
	err := resolver.Each(publisher.ctx, s.Resolver, names, func(v fuzzer.Variant) string { return v.FQDN },
		func(v fuzzer.Variant, a resolver.Answer) error {
			*spare = Result{Seed: &seed, Variant: v, Answer: a, at: s.now(), lists: lists}
			if a.State == resolver.Registered {
				spare.own = owner()
				spare.Country = s.country(&a)
			}
			if s.answered(&summary, publisher, spare) {
				spare = &Result{}
			}
			return nil
		})
	published, emitErr := publisher.close()
	summary.Receipt, summary.Candidates, summary.Suppressed, summary.Changes = published.receipt, published.candidates, published.suppressed, published.changes
	switch {
	case emitErr != nil:
		return summary, fmt.Errorf("seed %s: %w", seed.FQDN, emitErr)
	case err != nil:
		return summary, fmt.Errorf("seed %s: %w", seed.FQDN, err)
	}
	summary.Generated = summary.Registered + summary.Absent + summary.Unknown // exact, where it was an upper bound
	s.Dedup.end(context.WithoutCancel(ctx), visit, seed, summary, s.now())
	s.Metrics.scanned(seed, summary)
	return summary, nil
}

// owner begins to find out what the DNS says about the brand itself, for
// comparison, and returns what waits for that: nothing comes of it when only one
// name is to be asked about again, whose brand may be unknown. forget ends it.
func (s *Scanner) owner(ctx context.Context, seed Seed) (get func() resolver.Answer, forget func()) {
	if seed.Recheck {
		return func() resolver.Answer { return resolver.Answer{} }, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan struct{})
	var answer resolver.Answer
	go func() {
		defer close(found)
		// Whatever goes wrong, the names that follow will show it.
		answer, _ = s.Resolver.Resolve(ctx, seed.Registrable())
	}()
	return func() resolver.Answer { <-found; return answer }, func() { cancel(); <-found }
}

// lists are those of a whole scan, whatever becomes of them meanwhile.
func (s *Scanner) lists() *fuzzer.DomainLists {
	if s.Lists == nil {
		return nil
	}
	return s.Lists()
}

// Names are what a scan asks about for a seed: its look-alikes less the allowed
// ones, or itself. total counts them, allowed those that are left out.
func Names(seed Seed, permute func(fuzzer.Seed) *fuzzer.Permutations, lists *fuzzer.DomainLists) (names iter.Seq[fuzzer.Variant], total, allowed int) {
	if seed.Recheck {
		return func(yield func(fuzzer.Variant) bool) { yield(fuzzer.Variant{FQDN: seed.FQDN}) }, 1, 0
	}
	permutations := permute(seed.Seed)
	if seed.Only != nil {
		return only(permutations, seed.Only, lists), len(seed.Only), 0
	}
	if !lists.Allowing() {
		return permutations.All(), permutations.Len(), 0
	}
	for v := range permutations.All() {
		if lists.Allows(v.FQDN) {
			allowed++
		}
	}
	return func(yield func(fuzzer.Variant) bool) {
		for v := range permutations.All() {
			if !lists.Allows(v.FQDN) && !yield(v) {
				return
			}
		}
	}, permutations.Len() - allowed, allowed
}

// only are those of the permutations that are among the names and not allowed,
// each with all of its ways.
func only(permutations *fuzzer.Permutations, names []string, lists *fuzzer.DomainLists) iter.Seq[fuzzer.Variant] {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = !lists.Allows(name)
	}
	return func(yield func(fuzzer.Variant) bool) {
		for v := range permutations.All() {
			if wanted[v.FQDN] && !yield(v) {
				return
			}
		}
	}
}

// answered counts r, shows it and publishes what there is to publish, which
// keeps it.
func (s *Scanner) answered(summary *Summary, publisher *publisher, r *Result) (kept bool) {
	seed, a, name := r.Seed, &r.Answer, r.Variant.FQDN
	switch a.State {
	case resolver.Registered:
		summary.Registered++
	case resolver.Absent:
		summary.Absent++
	default:
		summary.Unknown++
		if len(summary.UnknownNames) < maxUnknownNames {
			summary.UnknownNames = append(summary.UnknownNames, name)
		}
	}
	if s.Observer.Answered != nil {
		s.Observer.Answered(r)
	}
	// dnstwist's profile asks about the seed too, whose record is out already.
	if s.Emitter == nil || name == seed.FQDN && !seed.Recheck {
		return false
	}
	what := publication{
		candidate: a.State == resolver.Registered, brand: seed.Brand, unanswered: a.Incomplete,
		tracked: a.State == resolver.Absent && s.Track == TrackAll && s.Topics.Inactive != "" && !seed.Recheck,
	}
	switch {
	case what.candidate && seed.Recheck || seed.handedIn(): // who asks about one name wants to hear of it
	case what.candidate:
		what.entry = r.entry()
	case a.State == resolver.Absent && publisher.visit.missed(name):
		what.absent, what.entry = true, r.entry()
	case !what.tracked:
		return false
	}
	what.messages = func(seen sighting) ([]emitter.Message, error) {
		return r.messages(s.Topics, s.Track, seen)
	}
	publisher.publish(what)
	return true
}

func (s *Scanner) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
