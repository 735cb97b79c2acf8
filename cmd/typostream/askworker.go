package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/whereabouts"
)

// askTime is what a worker has for an answer for which it reads files.
const askTime = 30 * time.Second

// httpClientOptions are what it takes to ask the worker of this machine.
func httpClientOptions() []option {
	var options []option
	for _, o := range workerCatalogue() {
		if o.name == "http-addr" || o.name == "http-token" || o.name == "http-token-file" {
			options = append(options, o)
		}
	}
	return options
}

// runningWorker is a worker of this machine, asked over HTTP for what it has the
// file of.
type runningWorker struct {
	addrs []string
	token emitter.Secret
}

func workerOf(s *settings) *runningWorker {
	return &runningWorker{s.HTTPAddrs, s.HTTPToken}
}

// statusError is an answer that is none.
type statusError struct {
	code   int
	detail string
}

func (e *statusError) Error() string { return fmt.Sprintf("it answers %d: %s", e.code, e.detail) }

// get asks for a path with its query, and reads the answer.
func (r *runningWorker) get(ctx context.Context, path string, query url.Values, into any) error {
	addr, err := reachable(r.addrs[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if r.token.Value != "" || r.token.File != "" {
		token, err := r.token.Read()
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// A proxy of the environment must not be asked for the loopback.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
			problem.Detail = http.StatusText(response.StatusCode)
		}
		return &statusError{response.StatusCode, printable(problem.Detail)}
	}
	return json.Unmarshal(body, into)
}

func (r *runningWorker) deliveries(ctx context.Context, texts []string) (found []whereabouts.Sighting, silent bool, err error) {
	var answer struct {
		Found      []whereabouts.Sighting
		Incomplete bool
	}
	err = r.get(ctx, "/api/v1/deliveries", url.Values{"q": texts}, &answer)
	return answer.Found, answer.Incomplete, err
}

// Seed implements history.
func (r *runningWorker) Seed(ctx context.Context, seed string) (store.SeedRecord, error) {
	var answer struct {
		Brand      string    `json:"cse_id"`
		Baseline   time.Time `json:"baseline"`
		LastScan   time.Time `json:"last_scan"`
		Registered int       `json:"registered"`
	}
	err := r.get(ctx, "/api/v1/seeds/"+url.PathEscape(seed), nil, &answer)
	var status *statusError
	if errors.As(err, &status) && status.code == http.StatusNotFound {
		return store.SeedRecord{}, nil
	}
	return store.SeedRecord{Brand: answer.Brand, Baseline: answer.Baseline, LastScan: answer.LastScan, Registered: answer.Registered}, err
}

// Candidates implements history.
func (r *runningWorker) Candidates(ctx context.Context, seed, after string, limit int) (found []store.Entry, more bool, err error) {
	query := url.Values{"seed": {seed}, "limit": {strconv.Itoa(limit)}}
	if after != "" {
		query.Set("after", seed+"/"+after)
	}
	var answer struct {
		Candidates []struct {
			Name      string
			Event     string
			Published time.Time
			FirstSeen time.Time `json:"first_seen"`
			LastSeen  time.Time `json:"last_seen"`
			Gone      time.Time
			Change    string
			ChangedAt time.Time `json:"changed_at"`
			Records   store.Records
		}
		Next *string
	}
	if err := r.get(ctx, "/api/v1/candidates", query, &answer); err != nil {
		return nil, false, err
	}
	for _, c := range answer.Candidates {
		found = append(found, store.Entry{Name: c.Name, ID: c.Event, Records: c.Records, Published: c.Published, FirstSeen: c.FirstSeen, LastSeen: c.LastSeen, Gone: c.Gone, Change: c.Change, ChangedAt: c.ChangedAt})
	}
	return found, answer.Next != nil && len(found) > 0, nil
}

// Changes implements history.
func (r *runningWorker) Changes(ctx context.Context, after string, limit int) ([]store.Change, error) {
	var answer struct{ Changes []store.Change }
	err := r.get(ctx, "/api/v1/changes", url.Values{"after": {after}, "limit": {strconv.Itoa(limit)}}, &answer)
	return answer.Changes, err
}
