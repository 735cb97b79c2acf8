package api

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/typostream/typostream/pipeline"
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

// intake is the queue, or answers that there is none.
func (h *Handler) intake(w http.ResponseWriter, r *http.Request) (Queue, bool) {
	if h.cfg.Queue == nil {
		h.unavailable(w, r, noQueue)
		return nil, false
	}
	return h.cfg.Queue, true
}

func (h *Handler) scans(w http.ResponseWriter, r *http.Request) {
	state, stateErr := scanStateOf(r.URL.Query().Get("state"))
	from, limit, ok := paged(h, w, r, h.intake, stateErr)
	if !ok {
		return
	}
	list, more := from.Scans(state, r.URL.Query().Get("before"), limit)
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
