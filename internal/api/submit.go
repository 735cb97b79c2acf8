package api

import (
	"errors"
	"io"
	"net/http"

	"github.com/typostream/typostream/pipeline"
)

// accepted is the answer to one submission.
type accepted struct {
	Success bool   `json:"success"`
	Domain  string `json:"domain"`
	ScanID  string `json:"scan_id"`
	Merged  bool   `json:"merged"`
}

// acceptedBulk is the answer to many.
type acceptedBulk struct {
	Success bool   `json:"success"`
	JobID   string `json:"job_id"` // the id of its first scan
	acceptedScans
}

// acceptedScans says what became of many: Accepted + Merged + len(Errors) is how
// many there were.
type acceptedScans struct {
	Accepted int            `json:"accepted"`
	Merged   int            `json:"merged"`
	Scans    []bulkScan     `json:"scans"`
	Errors   []bulkMistaken `json:"errors"`
}

type bulkScan struct {
	Index  int    `json:"index"` // in urls
	Domain string `json:"domain"`
	ScanID string `json:"scan_id"`
	Merged bool   `json:"merged"`
}

type bulkMistaken struct {
	Index int    `json:"index"`
	Error string `json:"error"`
}

func (h *Handler) submit(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r)
	if !ok {
		return
	}
	request, input, err := parseSingle(body)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	submission, err := pipeline.ParseSubmission(input, request.Brand, request.nameOnly())
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	submission.Source = "submit"
	scans, ok := h.enqueue(w, r, []pipeline.Submission{submission})
	if ok {
		write(w, http.StatusOK, "application/json", accepted{true, submission.Seed.FQDN, scans[0].ID, scans[0].Merged})
	}
}

// submitBulk takes what can be used of many names, and names the rest.
func (h *Handler) submitBulk(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r)
	if !ok {
		return
	}
	request, err := parseBulk(body)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	if answer, ok := h.take(w, r, "urls", request.URLs, request.common, "submit-bulk"); ok {
		write(w, http.StatusOK, "application/json", answer)
	}
}

// take puts what can be used of the inputs, the body's field, into the queue, or
// answers why not.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, field string, inputs []string, request common, source string) (acceptedBulk, bool) {
	answer := acceptedBulk{Success: true, acceptedScans: acceptedScans{Scans: []bulkScan{}, Errors: []bulkMistaken{}}}
	var submissions []pipeline.Submission
	for i, input := range inputs {
		submission, err := pipeline.ParseSubmission(input, request.Brand, request.nameOnly())
		if err != nil {
			answer.Errors = append(answer.Errors, bulkMistaken{i, err.Error()})
			continue
		}
		submission.Source = source
		submissions = append(submissions, submission)
		answer.Scans = append(answer.Scans, bulkScan{Index: i, Domain: submission.Seed.FQDN})
	}
	if len(submissions) == 0 {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, "none of "+field+" can be used; the first: "+answer.Errors[0].Error)
		return acceptedBulk{}, false
	}
	scans, ok := h.enqueue(w, r, submissions)
	if !ok {
		return acceptedBulk{}, false
	}
	for i, scan := range scans {
		answer.Scans[i].ScanID, answer.Scans[i].Merged = scan.ID, scan.Merged
		if scan.Merged {
			answer.Merged++
		}
	}
	answer.JobID, answer.Accepted = scans[0].ID, len(scans)-answer.Merged
	return answer, true
}

// body reads the whole body, or answers why not.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		h.refuse(w, r, http.StatusRequestEntityTooLarge, refusedTooLarge, "the body has more than 1 MiB")
	case err != nil:
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, "the body cannot be read to its end")
	}
	return body, err == nil
}

// enqueue puts the submissions on disk, or answers why not.
func (h *Handler) enqueue(w http.ResponseWriter, r *http.Request, submissions []pipeline.Submission) ([]pipeline.QueuedScan, bool) {
	from, ok := h.intake(w, r)
	if !ok {
		return nil, false
	}
	if h.cfg.Closed {
		h.unavailable(w, r, "this worker takes no seeds over HTTP")
		return nil, false
	}
	scans, err := from.Submit(submissions)
	switch {
	case err == nil:
		return scans, true
	case errors.Is(err, pipeline.ErrQueueFull):
		w.Header().Set("Retry-After", retryAfter)
		h.refuse(w, r, http.StatusTooManyRequests, refusedFull, err.Error())
	case errors.Is(err, pipeline.ErrQueueStopped):
		h.unavailable(w, r, err.Error())
	default:
		h.cfg.Log.Error("a submission was refused: the queue cannot be written", "cause", err)
		h.unavailable(w, r, "the queue cannot be written")
	}
	return nil, false
}
