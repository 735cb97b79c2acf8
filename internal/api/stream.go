package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/typostream/typostream/internal/store"
)

const (
	maxStreams = 64 // at a time
	lookEvery  = time.Second
	heartbeat  = 15 * time.Second
	streamPage = 100 // lines read at a time; what a slow client has not taken stays in the journal
)

// stream sends the changes as they come (server-sent events), from the one after
// Last-Event-ID or the query's after, else from now on. It ends when the client
// goes, does not take a part within writeTime, or the worker stops; the client
// goes on with the id it had last.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request) {
	from, ok := h.history(w, r)
	if !ok {
		return
	}
	f, err := filterOf(r)
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	if h.streams.Add(1) > maxStreams {
		h.streams.Add(-1)
		w.Header().Set("Retry-After", retryAfter)
		h.refuse(w, r, http.StatusTooManyRequests, refusedFull, fmt.Sprintf("%d streams are open", maxStreams))
		return
	}
	defer h.streams.Add(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.stopped, cancel)()
	s := &eventStream{w: w, control: http.NewResponseController(w), from: from, filter: &f, after: r.Header.Get("Last-Event-ID")}
	if s.after == "" {
		s.after = r.URL.Query().Get("after")
	}
	if s.after == "" {
		s.after, err = from.LastChange(ctx)
	} else {
		_, err = from.Changes(ctx, s.after, 1)
	}
	if err != nil {
		h.wrong(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	if r.Method == http.MethodHead {
		return
	}
	_ = s.control.SetReadDeadline(time.Time{}) // that of the request would end the stream
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		h.cfg.Log.Warn("a stream of changes has ended", "cause", err)
	}
}

// eventStream is one client's.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	from    History
	filter  *filter
	after   string
}

// run sends until ctx ends, or the client or the history fails.
func (s *eventStream) run(ctx context.Context) error {
	if err := s.send(": the changes as they come\n\n"); err != nil {
		return err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	silent := time.NewTimer(heartbeat)
	defer silent.Stop()
	for {
		sent, more, err := s.news(ctx)
		switch {
		case err != nil:
			return err
		case sent:
			silent.Reset(heartbeat)
		}
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-silent.C:
			if err := s.send(": still here\n\n"); err != nil {
				return err
			}
			silent.Reset(heartbeat)
		case <-look.C:
		}
	}
}

// news sends what has been added to the journal; more says that it may not be all.
func (s *eventStream) news(ctx context.Context) (sent, more bool, err error) {
	lines, err := s.from.Changes(ctx, s.after, streamPage)
	if err != nil {
		return false, false, err
	}
	text := ""
	for i := range lines {
		s.after = lines[i].ID
		if s.filter.passesChange(&lines[i]) {
			line, err := frame(&lines[i])
			if err != nil {
				return false, false, err
			}
			text += line
		}
	}
	if text == "" {
		return false, len(lines) == streamPage, nil
	}
	return true, len(lines) == streamPage, s.send(text)
}

// frame is one event; JSON has no line breaks of its own.
func frame(c *store.Change) (string, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("id: %s\nevent: change\ndata: %s\n\n", c.ID, data), nil
}

func (s *eventStream) send(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTime)) // a test's recorder has none
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
