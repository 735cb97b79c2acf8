package api

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// writeTime is how long a client has to take a part of a long answer.
const writeTime = 30 * time.Second

var exportColumns = []string{"cse_id", "seed", "name", "state", "first_seen", "last_seen", "gone", "published", "event", "ns", "a", "aaaa", "mx", "cname", "change", "changed_at"}

func (c *candidate) cells() []string {
	at := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	change := ""
	if c.Change != nil {
		change = *c.Change
	}
	join := func(values []string) string { return strings.Join(values, ";") }
	return []string{
		c.Brand, c.Seed, c.Name, c.State, at(c.FirstSeen), at(c.LastSeen), at(c.Gone), at(c.Published), c.Event,
		join(c.Records.NS), join(c.Records.A), join(c.Records.AAAA), join(c.Records.MX), join(c.Records.CNAME), change, at(c.ChangedAt),
	}
}

func (h *Handler) exportLines(w http.ResponseWriter, r *http.Request) {
	encoder := json.NewEncoder(w)
	h.export(w, r, "application/x-ndjson", "candidates.jsonl", func() error { return nil }, func(page []candidate) error {
		for i := range page {
			if err := encoder.Encode(&page[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *Handler) exportCSV(w http.ResponseWriter, r *http.Request) {
	out := csv.NewWriter(w)
	h.export(w, r, "text/csv", "candidates.csv", func() error { return out.Write(exportColumns) }, func(page []candidate) error {
		for i := range page {
			if err := out.Write(guarded(page[i].cells())); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	})
}

// guarded keeps a spreadsheet from taking a cell, which a stranger may have
// chosen, for a formula.
func guarded(cells []string) []string {
	for i, c := range cells {
		if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
			cells[i] = "'" + c
		}
	}
	return cells
}

// export writes all candidates that pass the query's filters, a page at a time,
// so that memory does not grow with their number. An answer that is cut off by an
// error ends without its end, which HTTP clients notice.
func (h *Handler) export(w http.ResponseWriter, r *http.Request, kind, name string, begin func() error, print func([]candidate) error) {
	from, ok := h.history(w, r)
	if !ok {
		return
	}
	f, err := filterOf(r)
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the request would end the answer
	for at := (&position{}); at != nil; {
		var found []candidate
		next, err := candidatesAfter(r.Context(), from, &f, *at, maxPage, func(c candidate) { found = append(found, c) })
		first := *at == position{}
		switch {
		case err != nil && first:
			h.wrong(w, r, err)
			return
		case err != nil:
			h.cfg.Log.Error("an export is cut off: the history cannot be read", "cause", err)
			panic(http.ErrAbortHandler)
		case first:
			w.Header().Set("Content-Type", kind)
			attach(w, name)
			err = begin()
		}
		_ = control.SetWriteDeadline(time.Now().Add(writeTime)) // a test's recorder has none
		if err != nil || print(found) != nil {
			panic(http.ErrAbortHandler) // the client has gone: nobody to tell
		}
		at = next
	}
}
