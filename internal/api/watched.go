package api

import (
	"context"
	"net/http"
	"time"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
)

// Watched are the seeds that are scanned again by the clock. Its methods are
// those of pipeline.Watch.
type Watched interface {
	List(ctx context.Context, cursor string, limit int) (page []store.Watched, next string, err error)
	Stop(ctx context.Context, domain, brand string) (watched bool, err error)
}

// watchedSeed is a seed that is scanned again.
type watchedSeed struct {
	Seed     string     `json:"seed"`
	Brand    string     `json:"cse_id"`
	Origin   string     `json:"origin"`
	LastScan *time.Time `json:"last_scan"` // of all of its names
	NextScan *time.Time `json:"next_scan"`
	Unknown  int        `json:"unknown"`  // names of which nothing was found out
	NextAsk  *time.Time `json:"next_ask"` // about those; null: not before the next scan
}

type watchedList struct {
	Watched []watchedSeed `json:"watched"`
	Next    *string       `json:"next"`
}

// schedule is what there is to ask, or answers that there is nothing.
func (h *Handler) schedule(w http.ResponseWriter, r *http.Request) (Watched, bool) {
	if h.cfg.Watched == nil {
		h.unavailable(w, r, "this worker watches no seeds: RESCAN_INTERVAL is 0, or another worker has the state file")
		return nil, false
	}
	return h.cfg.Watched, true
}

func (h *Handler) watched(w http.ResponseWriter, r *http.Request) {
	from, limit, ok := paged(h, w, r, h.schedule)
	if !ok {
		return
	}
	found, next, err := from.List(r.Context(), r.URL.Query().Get("after"), limit)
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	answer := watchedList{Watched: make([]watchedSeed, 0, len(found))}
	for _, s := range found {
		answer.Watched = append(answer.Watched, watchedSeed{
			Seed: s.Domain, Brand: s.Brand, Origin: s.Origin, LastScan: moment(s.Last), NextScan: moment(s.Next), Unknown: len(s.Unknown), NextAsk: moment(s.Ask),
		})
	}
	if next != "" {
		answer.Next = &next
	}
	write(w, http.StatusOK, "application/json", answer)
}

// unwatch ends the watching of a seed of the brand that the query names.
func (h *Handler) unwatch(w http.ResponseWriter, r *http.Request) {
	from, ok := h.schedule(w, r)
	if !ok {
		return
	}
	seed, err := fuzzer.ParseSeed(r.PathValue("seed"))
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	brand := r.URL.Query().Get("cse_id")
	if brand == "" {
		brand = pipeline.UnknownBrand
	}
	switch known, err := from.Stop(r.Context(), seed.FQDN, brand); {
	case err != nil:
		h.wrong(w, r, err)
	case !known:
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, "this seed is not watched for this cse_id")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
