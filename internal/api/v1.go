package api

import (
	"net/http"
	"time"

	"github.com/typostream/typostream/pipeline"
)

// queueState is the answer of /api/v1/queue.
type queueState struct {
	Length     int            `json:"length"` // waiting and in work
	Waiting    int            `json:"waiting"`
	InWork     int            `json:"in_work"`
	Limit      int            `json:"limit"`
	Accepted   int            `json:"accepted"` // since the start, what was found then too
	Done       int            `json:"done"`
	Stopped    int            `json:"stopped"`
	ByPriority map[string]int `json:"by_priority"` // of those that wait
	Oldest     *time.Time     `json:"oldest"`      // when it was accepted
}

// scanState is the answer of /api/v1/scans/{id}.
type scanState struct {
	ID         string        `json:"id"`
	Domain     string        `json:"domain"`
	Brand      string        `json:"cse_id"`
	Full       bool          `json:"use_full_pipeline"`
	Priority   string        `json:"priority"`
	State      string        `json:"state"`
	AcceptedAt time.Time     `json:"accepted_at"`
	BeganAt    *time.Time    `json:"began_at"`
	EndedAt    *time.Time    `json:"ended_at"`
	Progress   *scanProgress `json:"progress"` // null before it begins, or where it is no longer known
	Summary    *scanSummary  `json:"summary"`
}

type scanSummary struct {
	Generated    int `json:"generated"`
	Registered   int `json:"registered"`
	Absent       int `json:"absent"`
	Unknown      int `json:"unknown"`
	Allowed      int `json:"allowed"`
	Candidates   int `json:"candidates"`
	Suppressed   int `json:"suppressed"`
	Acked        int `json:"acked"`
	Spooled      int `json:"spooled"`
	DeadLettered int `json:"dead_lettered"`
}

func (h *Handler) queue(w http.ResponseWriter, r *http.Request) {
	from, ok := h.intake(w, r)
	if !ok {
		return
	}
	s := from.Stats()
	waiting := map[string]int{}
	for _, p := range pipeline.Priorities() {
		waiting[p.String()] = s.ByPriority[p]
	}
	write(w, http.StatusOK, "application/json", queueState{
		Length: s.Waiting() + s.InWork, Waiting: s.Waiting(), InWork: s.InWork, Limit: s.Limit, Accepted: s.Accepted, Done: s.Done, Stopped: s.Stopped,
		ByPriority: waiting, Oldest: moment(s.Oldest),
	})
}

func (h *Handler) scan(w http.ResponseWriter, r *http.Request) {
	from, ok := h.intake(w, r)
	if !ok {
		return
	}
	s, ok := from.Scan(r.PathValue("id"))
	if !ok {
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, noScan)
		return
	}
	write(w, http.StatusOK, "application/json", h.scanState(s))
}

func (h *Handler) scanState(s pipeline.ScanStatus) scanState {
	state := scanState{
		ID: s.ID, Domain: s.Domain, Brand: s.Brand, Full: !s.NameOnly, Priority: s.Priority.String(), State: s.State.String(),
		AcceptedAt: s.Accepted.UTC(), BeganAt: moment(s.Began), EndedAt: moment(s.Ended),
	}
	if t := s.Summary; t != nil {
		state.Summary = &scanSummary{
			t.Generated, t.Registered, t.Absent, t.Unknown, t.Allowed, t.Candidates, t.Suppressed,
			t.Receipt.Acked, t.Receipt.Spooled, t.Receipt.DeadLettered,
		}
	}
	if p, _ := h.cfg.Progress.look(s.ID, false); p.begun {
		state.Progress = &scanProgress{max(p.total, p.answered), p.answered, p.registered}
	}
	return state
}

// moment is null in JSON where t is zero.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}
