package api

import (
	"bufio"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/typostream/typostream/internal/dnstwist"
	"github.com/typostream/typostream/pipeline"
)

// This file answers as dnstwist's own web application does, for its clients:
// their paths, keys and formats. A scan is a submission like any other.

// twistStatus is a scan: total = complete + remaining. Of one that was stopped
// total is what had been asked about by then.
type twistStatus struct {
	ID         string `json:"id"`
	Timestamp  int64  `json:"timestamp"` // Unix seconds: when it was accepted
	URL        string `json:"url"`
	Domain     string `json:"domain"`
	Total      int    `json:"total"`
	Complete   int    `json:"complete"`
	Remaining  int    `json:"remaining"`
	Registered int    `json:"registered"`
}

// twistMessage is an error of these paths.
type twistMessage struct {
	Message string `json:"message"`
}

// droppedHeader says how many registered names an answer lacks, because they
// were too many to be kept.
const droppedHeader = "Typostream-Dropped"

// parseTwist reads the body of POST /api/scans.
func parseTwist(body []byte) (string, error) {
	var request struct {
		URL string `json:"url"`
	}
	if err := parse(body, &request); err != nil {
		return "", err
	}
	if request.URL == "" {
		return "", errors.New("url is missing")
	}
	return request.URL, nil
}

func (h *Handler) twistSubmit(w http.ResponseWriter, r *http.Request) {
	body, ok := h.body(w, r)
	if !ok {
		return
	}
	input, err := parseTwist(body)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	submission, err := pipeline.ParseSubmission(input, "", false)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	submission.Source = "scans"
	scans, ok := h.enqueue(w, r, []pipeline.Submission{submission})
	if !ok {
		return
	}
	h.cfg.Progress.handedIn(scans[0].ID, fullURL(input, submission.Seed.FQDN))
	s, ok := h.cfg.Queue.Scan(scans[0].ID)
	if !ok { // a thousand others were done meanwhile
		s = pipeline.ScanStatus{ID: scans[0].ID, Domain: submission.Seed.FQDN}
	}
	write(w, http.StatusCreated, "application/json", h.twistStatus(s))
}

// fullURL is what was handed in as dnstwist shows it, without user and password.
func fullURL(input, domain string) string {
	if !strings.Contains(input, "://") {
		input = "http://" + input
	}
	u, err := url.Parse(strings.TrimSpace(input))
	if err != nil {
		return ""
	}
	u.User, u.Scheme, u.Host = nil, strings.ToLower(u.Scheme), domain+portOf(u)
	return u.String()
}

func portOf(u *url.URL) string {
	if u.Port() == "" {
		return ""
	}
	return ":" + u.Port()
}

func (h *Handler) twistStatus(s pipeline.ScanStatus) twistStatus {
	p, _ := h.cfg.Progress.look(s.ID, false)
	status := twistStatus{ID: s.ID, Timestamp: s.Accepted.Unix(), URL: p.url, Domain: s.Domain}
	if status.URL == "" {
		status.URL = "http://" + s.Domain
	}
	switch {
	case s.State == pipeline.ScanDone && s.Summary != nil:
		status.Total, status.Complete, status.Registered = s.Summary.Generated, s.Summary.Generated, s.Summary.Registered
		return status
	case s.State == pipeline.ScanDone || s.State == pipeline.ScanStopped:
		status.Total, status.Complete, status.Registered = p.answered, p.answered, p.registered
		return status
	case p.total == 0:
		_, p.total = h.names(s)
		h.cfg.Progress.waits(s.ID, p.total)
	}
	status.Total, status.Complete, status.Registered = max(p.total, p.answered), p.answered, p.registered
	status.Remaining = status.Total - status.Complete
	return status
}

// names are what the scan asks about.
func (h *Handler) names(s pipeline.ScanStatus) (names iter.Seq[string], total int) {
	submission, err := pipeline.ParseSubmission(s.Domain, s.Brand, s.NameOnly)
	if err != nil { // it was one when it was accepted
		return func(func(string) bool) {}, 0
	}
	return h.cfg.Names(submission.Seed)
}

// twistScan is the scan of the path, or answers that there is none.
func (h *Handler) twistScan(w http.ResponseWriter, r *http.Request) (pipeline.ScanStatus, bool) {
	from, ok := h.intake(w, r)
	if !ok {
		return pipeline.ScanStatus{}, false
	}
	s, ok := from.Scan(r.PathValue("id"))
	if !ok {
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, noScan)
	}
	return s, ok
}

func (h *Handler) twistShow(w http.ResponseWriter, r *http.Request) {
	if s, ok := h.twistScan(w, r); ok {
		write(w, http.StatusOK, "application/json", h.twistStatus(s))
	}
}

// rows are the registered names of the scan of the path, found so far, or
// answers why there are none.
func (h *Handler) rows(w http.ResponseWriter, r *http.Request) ([]*dnstwist.Row, bool) {
	s, ok := h.twistScan(w, r)
	if !ok {
		return nil, false
	}
	p, known := h.cfg.Progress.look(s.ID, true)
	ended := s.State == pipeline.ScanDone || s.State == pipeline.ScanStopped && !s.Began.IsZero()
	if p.released || !known && ended {
		h.refuse(w, r, http.StatusGone, refusedGone, "the names that this scan found are no longer kept; its events are where they were published")
		return nil, false
	}
	if p.dropped > 0 {
		w.Header().Set(droppedHeader, strconv.Itoa(p.dropped))
	}
	return p.rows, true
}

// twistDomains has names in their own script.
func (h *Handler) twistDomains(w http.ResponseWriter, r *http.Request) {
	rows, ok := h.rows(w, r)
	if !ok {
		return
	}
	for i := range rows {
		if shown, err := idna.Punycode.ToUnicode(rows[i].Domain); err == nil {
			rows[i].Domain = shown
		}
	}
	printRows(w, "application/json", dnstwist.PrintJSON, rows)
}

func (h *Handler) twistJSON(w http.ResponseWriter, r *http.Request) {
	if rows, ok := h.rows(w, r); ok {
		attach(w, "dnstwist.json")
		printRows(w, "application/json", dnstwist.PrintJSON, rows)
	}
}

func (h *Handler) twistCSV(w http.ResponseWriter, r *http.Request) {
	if rows, ok := h.rows(w, r); ok {
		attach(w, "dnstwist.csv")
		printRows(w, "text/csv", dnstwist.PrintCSV, rows)
	}
}

// twistList has all names that the scan asks about, registered or not.
func (h *Handler) twistList(w http.ResponseWriter, r *http.Request) {
	s, ok := h.twistScan(w, r)
	if !ok {
		return
	}
	attach(w, "dnstwist.txt")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	names, _ := h.names(s)
	out := bufio.NewWriter(w)
	for name := range names {
		if _, err := fmt.Fprintln(out, name); err != nil {
			return // the client has gone: nobody to tell
		}
	}
	_ = out.Flush() // likewise
}

func attach(w http.ResponseWriter, name string) {
	w.Header().Set("Content-Disposition", "attachment; filename="+name)
}

func printRows(w http.ResponseWriter, kind string, rows func(*bufio.Writer, []*dnstwist.Row) error, all []*dnstwist.Row) {
	w.Header().Set("Content-Type", kind)
	out := bufio.NewWriter(w)
	if rows(out, all) == nil {
		_ = out.Flush() // the client has gone: nobody to tell
	}
}

func (h *Handler) twistStop(w http.ResponseWriter, r *http.Request) {
	if h.stop(w, r) {
		write(w, http.StatusOK, "application/json", struct{}{})
	}
}

// stop stops the scan of the path, or answers why not.
func (h *Handler) stop(w http.ResponseWriter, r *http.Request) bool {
	from, ok := h.intake(w, r)
	if !ok {
		return false
	}
	known, err := from.Stop(r.PathValue("id"))
	switch {
	case err != nil:
		h.cfg.Log.Error("a scan cannot be stopped: the queue cannot be written", "scan", r.PathValue("id"), "cause", err)
		h.unavailable(w, r, "the queue cannot be written")
	case !known:
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, noScan)
	}
	return known && err == nil
}
