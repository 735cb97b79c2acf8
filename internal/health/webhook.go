package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Webhook tells a URL of each change. Make it with NewWebhook.
type Webhook struct {
	url  string
	host string // what may be told of the URL: the rest may be a secret
	who  Identity
	http *http.Client
	log  *slog.Logger

	mu    sync.Mutex
	queue []Report
	woke  chan struct{}
}

// Identity says whose state it is.
type Identity struct {
	Version  string `json:"version"`
	Hostname string `json:"hostname"`
}

// alert is the body that is sent.
type alert struct {
	Report
	Identity
}

// Bounds of an alert's delivery.
const (
	alertQueue   = 16 // changes that wait; the oldest are forgotten
	alertTimeout = 10 * time.Second
	alertTries   = 8
	alertBackoff = time.Second
	alertMaxWait = time.Minute
)

// NewWebhook takes an http or https URL. Requests go through transport, nil for
// http.DefaultTransport; redirects are not followed.
func NewWebhook(address string, who Identity, transport http.RoundTripper, log *slog.Logger) (*Webhook, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("must be a URL that begins with http:// or https://") // without it: it may hold a secret
	}
	client := &http.Client{Transport: transport, Timeout: alertTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return &Webhook{url: address, host: u.Host, who: who, http: client, log: log, woke: make(chan struct{}, 1)}, nil
}

// Notify has the report sent by Run. It never waits.
func (h *Webhook) Notify(r Report) {
	h.mu.Lock()
	if len(h.queue) == alertQueue {
		h.queue = h.queue[1:]
		h.log.Warn("an alert is forgotten, the webhook does not keep up", "host", h.host)
	}
	h.queue = append(h.queue, r)
	h.mu.Unlock()
	select {
	case h.woke <- struct{}{}:
	default:
	}
}

func (h *Webhook) next() (r Report, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return Report{}, false
	}
	r, h.queue = h.queue[0], h.queue[1:]
	return r, true
}

// Run sends what Notify was told, in order, until ctx ends. An alert that is
// not taken is sent again, eight times in about two minutes; one that is
// refused for good is given up at once.
func (h *Webhook) Run(ctx context.Context) {
	for {
		r, ok := h.next()
		if ok {
			h.deliver(ctx, r)
			continue
		}
		select {
		case <-h.woke:
		case <-ctx.Done():
			return
		}
	}
}

func (h *Webhook) deliver(ctx context.Context, r Report) {
	body, err := json.Marshal(alert{r, h.who})
	if err != nil {
		h.log.Error("an alert cannot be written", "cause", err)
		return
	}
	wait := alertBackoff
	for try := 1; ; try++ {
		again, err := h.post(ctx, body)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !again || try == alertTries {
			h.log.Error("an alert is given up, the webhook does not take it", "host", h.host, "state", r.State.String(), "attempts", try, "cause", err)
			return
		}
		h.log.Warn("the webhook does not take an alert; trying again", "host", h.host, "attempt", try, "cause", err)
		if !sleep(ctx, time.Duration(float64(wait)*(0.8+0.4*rand.Float64()))) {
			return
		}
		wait = min(2*wait, alertMaxWait)
	}
}

// post sends the body once; again says whether another try may do better.
func (h *Webhook) post(ctx context.Context, body []byte) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("no request can be made of the URL")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "typostream/"+h.who.Version)
	response, err := h.http.Do(request)
	if err != nil {
		if told, ok := errors.AsType[*url.Error](err); ok {
			err = told.Err // without the URL
		}
		return true, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 4<<10) // so that the connection can be used again
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return false, nil
	default:
		again = code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
		return again, fmt.Errorf("the answer is %d %s", code, http.StatusText(code))
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
