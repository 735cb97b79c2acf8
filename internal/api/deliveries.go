package api

import (
	"fmt"
	"net/http"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/whereabouts"
)

// maxQueries bounds the events that are looked for at once: the files are read
// whole for each request.
const maxQueries = 100

// deliveryList says where events are. Incomplete: a place could not be asked.
type deliveryList struct {
	Found      []whereabouts.Sighting `json:"found"`
	Incomplete bool                   `json:"incomplete"`
}

// deliveries finds the events of the query's q: ids and names.
func (h *Handler) deliveries(w http.ResponseWriter, r *http.Request) {
	texts := r.URL.Query()["q"]
	if len(texts) == 0 || len(texts) > maxQueries {
		h.wrong(w, r, &queryError{"q", fmt.Sprintf("must be given, up to %d times", maxQueries), fmt.Sprint(len(texts))})
		return
	}
	q, err := whereabouts.Parse(texts)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, "q: "+err.Error())
		return
	}
	if !h.searches(r) {
		return
	}
	defer func() { <-h.searching }()
	_, err = q.Files(h.cfg.OutputDir)
	if err == nil && h.cfg.Find != nil {
		err = q.Store(r.Context(), h.cfg.Find)
	}
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	found, _ := q.Result()
	write(w, http.StatusOK, "application/json", deliveryList{found, q.Silent})
}

// searches waits until nobody else reads the files whole; false if the client
// does not.
func (h *Handler) searches(r *http.Request) bool {
	select {
	case h.searching <- struct{}{}:
		return true
	case <-r.Context().Done():
		return false
	}
}

// seed is what is remembered of one.
func (h *Handler) seed(w http.ResponseWriter, r *http.Request) {
	from, ok := h.history(w, r)
	if !ok {
		return
	}
	name := r.PathValue("seed")
	record, err := from.Seed(r.Context(), name)
	switch {
	case err != nil:
		h.wrong(w, r, err)
	case record.Baseline.IsZero():
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, "no scan of this seed was ever complete")
	default:
		write(w, http.StatusOK, "application/json", seedStateOf(name, record))
	}
}

func seedStateOf(name string, r store.SeedRecord) seedState {
	return seedState{name, r.Brand, moment(r.Baseline), moment(r.LastScan), r.Registered}
}
