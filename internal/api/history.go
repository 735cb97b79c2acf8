package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// History is what is remembered of seeds: *store.Bolt, or *store.Redis of several
// workers.
type History interface {
	Seed(ctx context.Context, seed string) (store.SeedRecord, error)
	Seeds(ctx context.Context, yield func(seed string, record store.SeedRecord)) error
	Candidates(ctx context.Context, seed, after string, limit int) (found []store.Entry, more bool, err error)
	Changes(ctx context.Context, after string, limit int) ([]store.Change, error)
	LastChange(ctx context.Context) (id string, err error)
}

// maxLooked bounds the entries that one page looks at: where few of them pass the
// filters a page has fewer than its limit, or none, and yet a next one.
const maxLooked = 10_000

// seedState is a seed of which a scan was complete.
type seedState struct {
	Seed       string     `json:"seed"`
	Brand      string     `json:"cse_id"`
	Baseline   *time.Time `json:"baseline"` // when its first complete scan ended
	LastScan   *time.Time `json:"last_scan"`
	Registered int        `json:"registered"` // of the last scan
}

type seedList struct {
	Seeds []seedState `json:"seeds"`
	Next  *string     `json:"next"`
}

// candidate is a name known of a seed.
type candidate struct {
	Seed      string        `json:"seed"`
	Brand     string        `json:"cse_id"`
	Name      string        `json:"name"`
	State     string        `json:"state"`
	Event     string        `json:"event"` // id of the event published last
	Published *time.Time    `json:"published"`
	FirstSeen *time.Time    `json:"first_seen"`
	LastSeen  *time.Time    `json:"last_seen"`
	Gone      *time.Time    `json:"gone"`
	Change    *string       `json:"change"` // the last one; null: none is known
	ChangedAt *time.Time    `json:"changed_at"`
	Records   store.Records `json:"records"`
}

// The states of a candidate.
const (
	candidateRegistered = "registered"
	candidateGone       = "gone" // the last scan found it absent
)

type candidateList struct {
	Candidates []candidate `json:"candidates"`
	Next       *string     `json:"next"`
}

type changeList struct {
	Changes []store.Change `json:"changes"`
	Next    string         `json:"next"` // the newest line looked at: what to go on after
	More    bool           `json:"more"` // there are further ones already
}

// changeKinds are those that the journal has lines of.
var changeKinds = []string{"new", "changed", "activated", "gone"}

// filter is what a query asks for; its zero value passes everything.
type filter struct {
	seed, brand, state, change string
	since                      time.Time
}

func filterOf(r *http.Request) (filter, error) {
	q := r.URL.Query()
	f := filter{seed: strings.ToLower(strings.TrimSuffix(q.Get("seed"), ".")), brand: q.Get("cse_id"), state: q.Get("state"), change: q.Get("change")}
	if f.state != "" && f.state != candidateRegistered && f.state != candidateGone {
		return filter{}, &queryError{"state", "must be registered or gone", f.state}
	}
	if f.change != "" && !slices.Contains(changeKinds, f.change) {
		return filter{}, &queryError{"change", "must be " + strings.Join(changeKinds, ", "), f.change}
	}
	if text := q.Get("since"); text != "" {
		var err error
		if f.since, err = time.Parse(time.RFC3339, text); err != nil {
			return filter{}, &queryError{"since", "must be a time such as 2026-01-31T08:00:00Z", text}
		}
	}
	return f, nil
}

func (f *filter) passesChange(c *store.Change) bool {
	return (f.seed == "" || f.seed == c.Seed) && (f.brand == "" || f.brand == c.Brand) && (f.change == "" || f.change == c.Kind) && !c.At.Before(f.since)
}

func (f *filter) passes(c *candidate) bool {
	latest := c.Published
	if c.Gone != nil && c.Gone.After(*latest) {
		latest = c.Gone
	}
	return (f.state == "" || f.state == c.State) && (f.change == "" || c.Change != nil && f.change == *c.Change) && !latest.Before(f.since)
}

func candidateOf(seed, brand string, e store.Entry) candidate {
	c := candidate{
		Seed: seed, Brand: brand, Name: e.Name, State: candidateRegistered, Event: e.ID, Records: e.Records,
		FirstSeen: moment(e.FirstSeen), LastSeen: moment(e.LastSeen), Gone: moment(e.Gone), ChangedAt: moment(e.ChangedAt),
	}
	published := e.Published.UTC().Truncate(time.Millisecond) // of an entry that is known it is not zero
	c.Published = &published
	if c.Gone != nil {
		c.State = candidateGone
	}
	if e.Change != "" {
		c.Change = &e.Change
	}
	return c
}

// seedsAfter are the first of the seeds after one, sorted.
func seedsAfter(ctx context.Context, from History, after, brand string, limit int) (found []seedState, more bool, err error) {
	err = from.Seeds(ctx, func(seed string, r store.SeedRecord) {
		if seed <= after || brand != "" && r.Brand != brand {
			return
		}
		at, twice := slices.BinarySearchFunc(found, seed, func(s seedState, seed string) int { return cmp.Compare(s.Seed, seed) })
		if twice || at == limit {
			more = more || !twice
			return
		}
		found = slices.Insert(found, at, seedStateOf(seed, r))
		if len(found) > limit {
			found, more = found[:limit], true
		}
	})
	return found, more, err
}

// position is where a list of candidates goes on: after a name of a seed. Its
// text is a cursor.
type position struct{ seed, name string }

func (p position) String() string { return p.seed + "/" + p.name }

func positionOf(cursor string) (position, error) {
	seed, name, ok := strings.Cut(cursor, "/")
	if cursor != "" && (!ok || seed == "") {
		return position{}, &queryError{"after", "must be next of the page before", cursor}
	}
	return position{seed, name}, nil
}

// candidatesAfter yields what passes the filter, in order, until limit has passed
// or maxLooked were looked at. next is where to go on; nil at the end.
func candidatesAfter(ctx context.Context, from History, f *filter, at position, limit int, yield func(candidate)) (next *position, err error) {
	seeds, more, err := candidateSeeds(ctx, from, f, at)
	if err != nil {
		return nil, err
	}
	passed, looked := 0, 0
	for _, s := range seeds {
		after := ""
		if s.Seed == at.seed {
			after = at.name
		}
		for again := true; again; {
			var entries []store.Entry
			if entries, again, err = from.Candidates(ctx, s.Seed, after, min(maxPage, maxLooked-looked)); err != nil {
				return nil, err
			}
			for _, e := range entries {
				after = e.Name
				looked++
				if c := candidateOf(s.Seed, s.Brand, e); f.passes(&c) {
					yield(c)
					passed++
				}
				if passed == limit || looked == maxLooked {
					return &position{s.Seed, after}, nil
				}
			}
		}
	}
	if more {
		return &position{seeds[len(seeds)-1].Seed, "~"}, nil // behind all of its names
	}
	return nil, nil
}

// candidateSeeds are some seeds to list candidates of: the named one, or those
// from the position on.
func candidateSeeds(ctx context.Context, from History, f *filter, at position) (seeds []seedState, more bool, err error) {
	if f.seed != "" {
		record, err := from.Seed(ctx, f.seed)
		if err != nil || f.brand != "" && record.Brand != f.brand || f.seed < at.seed {
			return nil, false, err
		}
		return []seedState{{Seed: f.seed, Brand: record.Brand}}, false, nil
	}
	seeds, more, err = seedsAfter(ctx, from, at.seed, f.brand, maxPage)
	if err != nil || at.seed == "" {
		return seeds, more, err
	}
	record, err := from.Seed(ctx, at.seed)
	return append([]seedState{{Seed: at.seed, Brand: record.Brand}}, seeds...), more, err
}

// history is what there is to ask, or answers that there is nothing.
func (h *Handler) history(w http.ResponseWriter, r *http.Request) (History, bool) {
	if h.cfg.History == nil {
		h.unavailable(w, r, "this worker remembers nothing: it is for one run, DEDUP_TTL_SECS is 0, or another worker has the state file")
		return nil, false
	}
	return h.cfg.History, true
}

// wrong answers a query that cannot be used, or a store that cannot be asked.
func (h *Handler) wrong(w http.ResponseWriter, r *http.Request, err error) {
	var query *queryError
	var id *store.ChangeIDError
	if errors.As(err, &query) || errors.As(err, &id) {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	if r.Context().Err() == nil {
		h.cfg.Log.Error("what was asked for over HTTP cannot be read", "path", r.URL.Path, "cause", err)
	}
	h.unavailable(w, r, "what was asked for cannot be read")
}

func (h *Handler) seeds(w http.ResponseWriter, r *http.Request) {
	from, limit, ok := paged(h, w, r, h.history)
	if !ok {
		return
	}
	q := r.URL.Query()
	found, more, err := seedsAfter(r.Context(), from, q.Get("after"), q.Get("cse_id"), limit)
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	answer := seedList{Seeds: append([]seedState{}, found...)}
	if more {
		answer.Next = &found[len(found)-1].Seed
	}
	write(w, http.StatusOK, "application/json", answer)
}

func (h *Handler) candidates(w http.ResponseWriter, r *http.Request) {
	f, filterErr := filterOf(r)
	at, positionErr := positionOf(r.URL.Query().Get("after"))
	from, limit, ok := paged(h, w, r, h.history, filterErr, positionErr)
	if !ok {
		return
	}
	answer := candidateList{Candidates: []candidate{}}
	next, err := candidatesAfter(r.Context(), from, &f, at, limit, func(c candidate) { answer.Candidates = append(answer.Candidates, c) })
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	if next != nil {
		cursor := next.String()
		answer.Next = &cursor
	}
	write(w, http.StatusOK, "application/json", answer)
}

func (h *Handler) changes(w http.ResponseWriter, r *http.Request) {
	f, filterErr := filterOf(r)
	from, limit, ok := paged(h, w, r, h.history, filterErr)
	if !ok {
		return
	}
	answer := changeList{Changes: []store.Change{}, Next: r.URL.Query().Get("after")}
	for looked := 0; looked < maxLooked && len(answer.Changes) < limit; {
		lines, err := from.Changes(r.Context(), answer.Next, maxPage)
		if err != nil {
			h.wrong(w, r, fmt.Errorf("after: %w", err))
			return
		}
		answer.More = len(lines) == maxPage
		for i := range lines {
			looked++
			answer.Next = lines[i].ID
			if f.passesChange(&lines[i]) {
				answer.Changes = append(answer.Changes, lines[i])
			}
			if len(answer.Changes) == limit {
				answer.More = answer.More || i+1 < len(lines)
				break
			}
		}
		if len(lines) < maxPage {
			break
		}
	}
	write(w, http.StatusOK, "application/json", answer)
}
