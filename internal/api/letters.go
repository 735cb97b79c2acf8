package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/typostream/typostream/emitter"
)

// maxReplayed bounds the letters that one request sends again; they are held in
// memory meanwhile.
const maxReplayed = 1000

// letter is a dead letter, without what it holds.
type letter struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Type     string    `json:"failure_type"`
	Error    string    `json:"error"`
	Topic    string    `json:"topic"`
	Code     int       `json:"code"`
	Attempts int       `json:"attempts"`
	Bytes    int       `json:"bytes"`
	Event    bool      `json:"event"` // it can be sent again
}

type letterList struct {
	Letters []letter `json:"letters"`
	Next    *string  `json:"next"`
}

// replayed says what became of the chosen letters. Sent and Spooled ones are no
// letters any more; of Refused ones a newer letter tells why; Left ones are as they
// were, Others hold no event of ours.
type replayed struct {
	Sent    int  `json:"sent"`
	Spooled int  `json:"spooled"`
	Refused int  `json:"refused"`
	Left    int  `json:"left"`
	Others  int  `json:"others"`
	More    bool `json:"more"` // there are further ones than a request takes
}

// chosen is which letters a body means: those with the ids, of the topic, of the
// type, or all, if it says so.
type chosen struct {
	IDs   []string `json:"ids"`
	Topic string   `json:"topic"`
	Type  string   `json:"type"`
	All   bool     `json:"all"`
}

func parseChosen(body []byte) (func(*emitter.StoredLetter) bool, error) {
	var c chosen
	if err := parse(body, &c); err != nil {
		return nil, err
	}
	if len(c.IDs) == 0 && c.Topic == "" && c.Type == "" && !c.All {
		return nil, errors.New("ids, topic or type is missing; for every letter all must be true")
	}
	ids := map[string]bool{}
	for _, id := range c.IDs {
		ids[id] = true
	}
	return func(l *emitter.StoredLetter) bool {
		return (len(ids) == 0 || ids[l.ID]) && (c.Topic == "" || c.Topic == l.Topic) && (c.Type == "" || c.Type == l.FailureType)
	}, nil
}

func (h *Handler) letters(w http.ResponseWriter, r *http.Request) {
	limit, err := limitOf(r)
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	q := r.URL.Query()
	answer, after := letterList{Letters: []letter{}}, q.Get("after")
	reached, full := after == "", false
	_, err = emitter.ReadDeadLetters(h.cfg.OutputDir, func(l emitter.StoredLetter) bool {
		switch {
		case !reached:
			reached = l.ID == after
			return true
		case q.Get("topic") != "" && q.Get("topic") != l.Topic, q.Get("type") != "" && q.Get("type") != l.FailureType:
			return true
		case len(answer.Letters) == limit:
			full = true
			return false
		}
		_, event := l.Message()
		answer.Letters = append(answer.Letters, letter{l.ID, l.Time, l.FailureType, l.Reason, l.Topic, l.Code, l.Attempts, len(l.Raw), event})
		return true
	})
	if err == nil && !reached {
		err = &queryError{"after", "must be a letter that is still there", after}
	}
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	if full {
		answer.Next = &answer.Letters[limit-1].ID
	}
	write(w, http.StatusOK, "application/json", answer)
}

// letter shows the line of the file, with the id.
func (h *Handler) letter(w http.ResponseWriter, r *http.Request) {
	var line []byte
	_, err := emitter.ReadDeadLetters(h.cfg.OutputDir, func(l emitter.StoredLetter) bool {
		if l.ID == r.PathValue("id") {
			line = fmt.Appendf(nil, "{\"id\":%q,%s", l.ID, l.Line[1:])
		}
		return line == nil
	})
	switch {
	case err != nil:
		h.wrong(w, r, err)
	case line == nil:
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, noLetter)
	default:
		write(w, http.StatusOK, "application/json", json.RawMessage(line))
	}
}

const noLetter = "no dead letter has this id"

func (h *Handler) removeLetter(w http.ResponseWriter, r *http.Request) {
	removed, err := emitter.RemoveDeadLetters(r.Context(), h.cfg.OutputDir, func(l emitter.StoredLetter) bool { return l.ID == r.PathValue("id") })
	switch {
	case err != nil:
		h.wrong(w, r, err)
	case removed == 0:
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, noLetter)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// choice reads which letters are meant, or answers why that cannot be said.
func (h *Handler) choice(w http.ResponseWriter, r *http.Request) (func(*emitter.StoredLetter) bool, bool) {
	body, ok := h.body(w, r)
	if !ok {
		return nil, false
	}
	meant, err := parseChosen(body)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
	}
	return meant, err == nil
}

func (h *Handler) purgeLetters(w http.ResponseWriter, r *http.Request) {
	meant, ok := h.choice(w, r)
	if !ok {
		return
	}
	removed, err := emitter.RemoveDeadLetters(r.Context(), h.cfg.OutputDir, func(l emitter.StoredLetter) bool { return meant(&l) })
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	write(w, http.StatusOK, "application/json", map[string]int{"removed": removed})
}

// replayLetters sends events that Kafka refused to their topics again.
func (h *Handler) replayLetters(w http.ResponseWriter, r *http.Request) {
	meant, ok := h.choice(w, r)
	if !ok {
		return
	}
	if h.cfg.Emit == nil {
		h.unavailable(w, r, "this worker has no Kafka to send letters to")
		return
	}
	if !h.searches(r) { // else the same letter could be sent twice
		return
	}
	defer func() { <-h.searching }()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the request would end this; a test's recorder has none
	var answer replayed
	var ids []string
	var messages []emitter.Message
	_, err := emitter.ReadDeadLetters(h.cfg.OutputDir, func(l emitter.StoredLetter) bool {
		if !meant(&l) {
			return true
		}
		m, event := l.Message()
		switch {
		case !event:
			answer.Others++
		case len(ids) == maxReplayed:
			answer.More = true
		default:
			ids, messages = append(ids, l.ID), append(messages, m)
		}
		return !answer.More
	})
	if err == nil && len(ids) > 0 {
		err = h.sendLetters(r, &answer, ids, messages)
	}
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	_ = control.SetWriteDeadline(time.Now().Add(writeTime)) // Kafka may have taken its time
	write(w, http.StatusOK, "application/json", answer)
}

// sendLetters takes those out of the file that are durable elsewhere.
func (h *Handler) sendLetters(r *http.Request, answer *replayed, ids []string, messages []emitter.Message) error {
	fates, sendErr := h.cfg.Emit(r.Context(), messages...)
	through := map[string]bool{}
	for i, fate := range fates {
		through[ids[i]] = fate != emitter.FateUndelivered
	}
	t := emitter.Tally(fates)
	answer.Sent, answer.Spooled, answer.Refused = t.Acked, t.Spooled, t.DeadLettered
	answer.Left = len(ids) - t.Total()
	if sendErr != nil {
		h.cfg.Log.Warn("dead letters were not all sent again", "left", answer.Left, "cause", sendErr)
	}
	if t.Total() == 0 {
		return nil
	}
	// Whoever asked may have gone: they must not be sent again all the same. A newer
	// letter is another line, with another id; only the first with an id goes.
	_, err := emitter.RemoveDeadLetters(context.WithoutCancel(r.Context()), h.cfg.OutputDir, func(l emitter.StoredLetter) bool {
		goes := through[l.ID]
		delete(through, l.ID)
		return goes
	})
	return err
}
