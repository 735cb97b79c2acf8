package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/typostream/typostream/pipeline"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// scanList is a page of scans. Next is what to ask for the next one with, in
// before; null at the end.
type scanList struct {
	Scans []scanState `json:"scans"`
	Next  *string     `json:"next"`
}

// scanProgress is how far a scan is that has begun.
type scanProgress struct {
	Total      int `json:"total"` // at most
	Answered   int `json:"answered"`
	Registered int `json:"registered"`
}

// several is the body of POST /api/v1/scans.
type several struct {
	common
	Domains []string `json:"domains"`
}

func parseSeveral(body []byte) (s several, err error) {
	if err := parse(body, &s); err != nil {
		return several{}, err
	}
	switch {
	case len(s.Domains) == 0:
		return several{}, errors.New("domains is missing or empty")
	case len(s.Domains) > maxBulk:
		return several{}, fmt.Errorf("domains has %d names, more than %d", len(s.Domains), maxBulk)
	}
	return s, s.check()
}

// queryError says what is wrong with the query of a URL.
type queryError struct{ name, rule, got string }

func (e *queryError) Error() string { return fmt.Sprintf("%s: %s (got %q)", e.name, e.rule, e.got) }

// page is the query's limit.
func page(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, &queryError{"limit", fmt.Sprintf("must be a number from 1 to %d", maxPage), text}
	}
	return n, nil
}

func scanStateOf(text string) (*pipeline.ScanState, error) {
	if text == "" {
		return nil, nil
	}
	for _, s := range []pipeline.ScanState{pipeline.ScanWaiting, pipeline.ScanRunning, pipeline.ScanDone, pipeline.ScanStopped} {
		if s.String() == text {
			return &s, nil
		}
	}
	return nil, &queryError{"state", "must be queued, running, done or stopped", text}
}

func (h *Handler) scans(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Queue == nil {
		h.unavailable(w, r, noQueue)
		return
	}
	limit, err := page(r)
	state, stateErr := scanStateOf(r.URL.Query().Get("state"))
	if err = errors.Join(err, stateErr); err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	list, more := h.cfg.Queue.Scans(state, r.URL.Query().Get("before"), limit)
	answer := scanList{Scans: []scanState{}}
	for _, s := range list {
		answer.Scans = append(answer.Scans, h.scanState(s))
	}
	if more {
		answer.Next = &list[len(list)-1].ID
	}
	write(w, http.StatusOK, "application/json", answer)
}

// submitScans takes what can be used of several names, and names the rest.
func (h *Handler) submitScans(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r)
	if !ok {
		return
	}
	request, err := parseSeveral(body)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	if answer, ok := h.take(w, r, "domains", request.Domains, request.common, "scans"); ok {
		write(w, http.StatusAccepted, "application/json", answer.acceptedScans)
	}
}

func (h *Handler) stopScan(w http.ResponseWriter, r *http.Request) {
	if h.stop(w, r) {
		w.WriteHeader(http.StatusNoContent)
	}
}
