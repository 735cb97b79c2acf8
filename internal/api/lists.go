package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

const (
	allowPath = "/api/v1/allow"
	denyPath  = "/api/v1/deny"

	maxNote     = 256 // bytes: each domain has its own
	maxMistaken = 100 // domains that cannot be used are named
)

// List is a list of domains. Its methods are those of store.List and
// store.RedisList.
type List interface {
	Add(ctx context.Context, domains []string, at time.Time, note string) (added int, err error)
	Remove(ctx context.Context, domain string) (known bool, err error)
	Page(ctx context.Context, after string, limit int) (found []store.Listed, more bool, err error)
}

// listed is a domain of a list.
type listed struct {
	Domain string    `json:"domain"`
	Added  time.Time `json:"added"`
	Note   string    `json:"note"`
}

// listedPage is a page of a list. Next is what to ask for the next one with, in
// after; null at the end.
type listedPage struct {
	Domains []listed `json:"domains"`
	Next    *string  `json:"next"`
}

// toList is the body of what is added to a list.
type toList struct {
	Domains []string `json:"domains"`
	Note    string   `json:"note"`
}

// enlisted says what became of them: Known were there already, or came twice.
type enlisted struct {
	Added int `json:"added"`
	Known int `json:"known"`
}

// mistakenProblem is a problem that names what is wrong with some of many.
type mistakenProblem struct {
	problem
	Errors []bulkMistaken `json:"errors"` // the first maxMistaken
}

func parseToList(body []byte) (b toList, err error) {
	if err := parse(body, &b); err != nil {
		return toList{}, err
	}
	switch {
	case len(b.Domains) == 0:
		return toList{}, errors.New("domains is missing or empty")
	case len(b.Domains) > maxBulk:
		return toList{}, fmt.Errorf("domains has %d names, more than %d", len(b.Domains), maxBulk)
	case len(b.Note) > maxNote:
		return toList{}, fmt.Errorf("note has %d bytes, more than %d", len(b.Note), maxNote)
	}
	return b, nil
}

// list is that of the path, or answers that there is none.
func (h *Handler) list(w http.ResponseWriter, r *http.Request) (List, bool) {
	l := h.cfg.Allow
	if strings.HasPrefix(r.URL.Path, denyPath) {
		l = h.cfg.Deny
	}
	if l == nil {
		h.unavailable(w, r, "this worker keeps no lists: it is for one run, or another worker has the state file")
		return nil, false
	}
	return l, true
}

func (h *Handler) listed(w http.ResponseWriter, r *http.Request) {
	from, limit, ok := paged(h, w, r, h.list)
	if !ok {
		return
	}
	found, more, err := from.Page(persistent(r), r.URL.Query().Get("after"), limit)
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	answer := listedPage{Domains: make([]listed, 0, len(found))}
	for _, f := range found {
		answer.Domains = append(answer.Domains, listed{f.Domain, f.Added.UTC(), f.Note})
	}
	if more {
		answer.Next = &found[len(found)-1].Domain
	}
	write(w, http.StatusOK, "application/json", answer)
}

// enlist takes all of the body's domains or, if one cannot be used, none.
func (h *Handler) enlist(w http.ResponseWriter, r *http.Request) {
	to, ok := h.list(w, r)
	if !ok {
		return
	}
	body, ok := h.body(w, r)
	if !ok {
		return
	}
	request, err := parseToList(body)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	if !h.listable(w, request.Domains) {
		return
	}
	added, err := to.Add(persistent(r), request.Domains, time.Now(), request.Note)
	switch {
	case errors.Is(err, store.ErrListFull):
		h.refuse(w, r, http.StatusInsufficientStorage, refusedFull, err.Error()+"; nothing was taken")
	case err != nil:
		h.listUnwritten(w, r, err)
	default:
		write(w, http.StatusOK, "application/json", enlisted{added, len(request.Domains) - added})
	}
}

// persistent goes on when the client has gone: a store that was left in the middle
// of a question is not asked for a while, and scans would go by an old list.
func persistent(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }

// listable normalises the domains in place, or answers which cannot be used.
func (h *Handler) listable(w http.ResponseWriter, domains []string) bool {
	var mistaken []bulkMistaken
	for i, input := range domains {
		domain, err := fuzzer.ParseListed(input)
		if err != nil {
			mistaken = append(mistaken, bulkMistaken{i, err.Error()})
		}
		domains[i] = domain
	}
	if mistaken == nil {
		return true
	}
	h.refused.WithLabelValues(refusedInvalid).Inc()
	detail := fmt.Sprintf("%d of %d domains cannot be used, and none was taken; the first: %s", len(mistaken), len(domains), mistaken[0].Error)
	write(w, http.StatusBadRequest, "application/problem+json", mistakenProblem{
		problem{http.StatusText(http.StatusBadRequest), http.StatusBadRequest, detail}, mistaken[:min(len(mistaken), maxMistaken)],
	})
	return false
}

func (h *Handler) unlist(w http.ResponseWriter, r *http.Request) {
	from, ok := h.list(w, r)
	if !ok {
		return
	}
	domain, err := fuzzer.ParseListed(r.PathValue("domain"))
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusedInvalid, err.Error())
		return
	}
	switch known, err := from.Remove(persistent(r), domain); {
	case err != nil:
		h.listUnwritten(w, r, err)
	case !known:
		h.refuse(w, r, http.StatusNotFound, refusedNotFound, "the domain is not on this list")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *Handler) listUnwritten(w http.ResponseWriter, r *http.Request, err error) {
	h.cfg.Log.Error("a list of domains cannot be changed over HTTP", "path", r.URL.Path, "cause", err)
	h.unavailable(w, r, "the list cannot be written, or the answer to that came too late; asking again does no harm")
}
