package api

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"time"

	"github.com/typostream/typostream/emitter"
)

const (
	// drainTime is what one request has to send what is in the spool.
	drainTime = 20 * time.Second
	// maxSegments bounds the files that are named.
	maxSegments = 1000
)

// spoolState is the answer of /api/v1/spool.
type spoolState struct {
	Waiting  int64          `json:"waiting"` // events that Kafka does not have
	Held     int            `json:"held"`    // of those: whether it has is being found out
	Damaged  int64          `json:"damaged"` // lines that were, since the start
	Bytes    int64          `json:"bytes"`
	Limit    int64          `json:"limit_bytes"`
	Full     bool           `json:"full"` // events wait for room
	Files    int            `json:"files"`
	Oldest   *time.Time     `json:"oldest"` // when its first file was begun
	Age      float64        `json:"oldest_age_seconds"`
	Segments []spoolSegment `json:"segments"` // the oldest first
	Kafka    kafkaState     `json:"kafka"`
}

type spoolSegment struct {
	File    string     `json:"file"`
	Begun   *time.Time `json:"begun"`
	Bytes   int64      `json:"bytes"`
	Records int        `json:"records"` // lines, those that are through too
	Waiting int        `json:"waiting"`
	Held    int        `json:"held"`
	Open    bool       `json:"open"` // lines are added
}

// kafkaState is what is known of Kafka, and what its breakers keep from it.
type kafkaState struct {
	Reachable *bool      `json:"reachable"` // null: nobody has asked yet
	Since     *time.Time `json:"since"`
	Cause     *string    `json:"cause"`
	Problems  []string   `json:"problems"`
}

// drained is the answer of /api/v1/spool/replay.
type drained struct {
	Sent         int        `json:"sent"`
	DeadLettered int        `json:"dead_lettered"`
	Left         int64      `json:"left"`
	More         bool       `json:"more"` // the time was over before all had their turn
	Kafka        kafkaState `json:"kafka"`
}

const noSpool = "this worker has no Kafka, and so no spool"

func (h *Handler) kafkaState() kafkaState {
	k := h.cfg.Kafka()
	state := kafkaState{Problems: append([]string{}, k.Problems...)}
	if k.Known {
		state.Reachable, state.Since = &k.Reachable, moment(k.Since)
	}
	if k.Cause != nil {
		cause := k.Cause.Error()
		state.Cause = &cause
	}
	return state
}

func (h *Handler) spool(w http.ResponseWriter, r *http.Request) {
	if h.cfg.Spool == nil {
		h.unavailable(w, r, noSpool)
		return
	}
	s := h.cfg.Spool()
	answer := spoolState{
		Waiting: s.Records, Held: s.Held, Damaged: s.Damaged, Bytes: s.Bytes, Limit: s.Limit, Full: s.Full, Files: s.Files,
		Age: math.Round(s.Age.Seconds()), Segments: []spoolSegment{}, Kafka: h.kafkaState(),
	}
	for _, f := range s.Segments[:min(len(s.Segments), maxSegments)] {
		answer.Segments = append(answer.Segments, segmentOf(f))
	}
	if len(answer.Segments) > 0 {
		answer.Oldest = answer.Segments[0].Begun
	}
	write(w, http.StatusOK, "application/json", answer)
}

func segmentOf(s emitter.Segment) spoolSegment {
	return spoolSegment{s.File, moment(s.Begun), s.Bytes, s.Records, s.Waiting, s.Held, s.Open}
}

// replaySpool sends what is in the spool now, instead of when the replay looks
// after it next. It ends with the request, with the worker, or when its time is
// over.
func (h *Handler) replaySpool(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r)
	if !ok {
		return
	}
	if len(bytes.TrimSpace(body)) > 0 { // it may be left out
		if err := parse(body, &struct{}{}); err != nil {
			h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
			return
		}
	}
	if h.cfg.Drain == nil {
		h.unavailable(w, r, noSpool)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the request would end this; a test's recorder has none
	ctx, cancel := context.WithTimeout(r.Context(), drainTime)
	defer cancel()
	defer context.AfterFunc(h.stopped, cancel)()
	d := h.cfg.Drain(ctx)
	_ = control.SetWriteDeadline(time.Now().Add(writeTime)) // Kafka may have taken its time
	write(w, http.StatusOK, "application/json", drained{d.Sent, d.DeadLettered, d.Left, d.More, h.kafkaState()})
}
