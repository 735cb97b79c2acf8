package api

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
)

// The entries of a page: unless the query says limit, and at most.
const (
	defaultPage = 100
	maxPage     = 1000
)

// queryError says what is wrong with the query of a URL.
type queryError struct{ name, rule, got string }

func (e *queryError) Error() string { return fmt.Sprintf("%s: %s (got %q)", e.name, e.rule, e.got) }

// limitOf is the query's limit.
func limitOf(r *http.Request) (int, error) {
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

// paged is what a list is read from and how long a page of it may be. Where ok is
// false it has answered: that there is nothing to ask, or what is wrong with the
// limit, or the first of the faults that the caller found in the query.
func paged[T any](h *Handler, w http.ResponseWriter, r *http.Request, open func(http.ResponseWriter, *http.Request) (T, bool), faults ...error) (from T, limit int, ok bool) {
	if from, ok = open(w, r); !ok {
		return from, 0, false
	}
	limit, err := limitOf(r)
	if err = cmp.Or(err, cmp.Or(faults...)); err != nil {
		h.wrong(w, r, err)
		return from, 0, false
	}
	return from, limit, true
}
