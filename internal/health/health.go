// Package health keeps the state of a worker: healthy, degraded or unhealthy,
// with the issues by name. It tells of changes, at once when things get worse
// and after a quiet time when they get better.
package health

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is how well a worker is.
type State uint8

const (
	Healthy State = iota
	// Degraded: slower, later or with more failures than should be; nothing is
	// lost.
	Degraded
	// Unhealthy: it cannot go on until somebody does something.
	Unhealthy
)

func (s State) String() string { return [...]string{"healthy", "degraded", "unhealthy"}[s] }

// MarshalJSON writes the state's name.
func (s State) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// Issue is what makes a worker less than healthy.
type Issue struct {
	// Name is one of a closed set, for machines: "error_rate".
	Name string `json:"name"`
	// State is what this issue alone makes of the worker.
	State State `json:"state"`
	// Detail is a sentence with its figures, for people.
	Detail string `json:"detail"`
}

// Report is a state, since when, and why.
type Report struct {
	State  State     `json:"state"`
	Since  time.Time `json:"since"`
	Issues []Issue   `json:"issues,omitempty"`
}

// Watch holds the state. Its methods are safe for concurrent use, except that
// one goroutine calls Observe.
type Watch struct {
	// Names are those of all issues, for the metrics.
	Names []string
	// Hold is how long an issue must be gone before it is taken back, so that
	// what comes and goes does not raise an alarm each time.
	Hold time.Duration
	// Notify is called with each report whose state, or the names of whose
	// issues, differ from the one before; it must not block. May be nil.
	Notify func(Report)
	Log    *slog.Logger

	mu   sync.Mutex
	last Report
	seen map[string]time.Time // when an issue was observed last
}

// Report is the state as it was observed last.
func (w *Watch) Report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.last
	r.Issues = slices.Clone(r.Issues)
	return r
}

// Observe takes the issues that there are now. An issue that is missing counts
// on, with its last detail, until it was gone for Hold.
func (w *Watch) Observe(now time.Time, issues []Issue) {
	w.mu.Lock()
	if w.seen == nil {
		w.seen, w.last.Since = map[string]time.Time{}, now
	}
	current := slices.Clone(issues)
	for _, issue := range issues {
		w.seen[issue.Name] = now
	}
	for _, old := range w.last.Issues {
		gone := !slices.ContainsFunc(issues, func(i Issue) bool { return i.Name == old.Name })
		if gone && now.Sub(w.seen[old.Name]) < w.Hold {
			current = append(current, old)
		}
	}
	slices.SortFunc(current, func(a, b Issue) int { return strings.Compare(a.Name, b.Name) })
	before := w.last
	w.last.Issues, w.last.State = current, Healthy
	for _, issue := range current {
		w.last.State = max(w.last.State, issue.State)
	}
	if w.last.State != before.State {
		w.last.Since = now
	}
	report := w.last
	w.mu.Unlock()
	if report.State != before.State || !slices.Equal(names(report.Issues), names(before.Issues)) {
		w.tell(before, report)
	}
}

func (w *Watch) tell(before, report Report) {
	attrs := []any{"state", report.State.String(), "before", before.State.String()}
	for _, issue := range report.Issues {
		attrs = append(attrs, issue.Name, issue.Detail)
	}
	if report.State == Healthy {
		w.Log.Info("health is good again", attrs...)
	} else {
		w.Log.Warn("health has changed", attrs...)
	}
	if w.Notify != nil {
		w.Notify(report)
	}
}

func names(issues []Issue) []string {
	list := make([]string, len(issues))
	for i, issue := range issues {
		list[i] = issue.Name
	}
	return list
}

var (
	stateDesc = prometheus.NewDesc("typostream_health_state", "0 healthy, 1 degraded, 2 unhealthy.", nil, nil)
	issueDesc = prometheus.NewDesc("typostream_health_issue", "What is wrong: 1 degrades, 2 is unhealthy, 0 is not the case.", []string{"issue"}, nil)
)

// Describe and Collect make a Watch a prometheus.Collector.
func (w *Watch) Describe(ch chan<- *prometheus.Desc) { ch <- stateDesc; ch <- issueDesc }

func (w *Watch) Collect(ch chan<- prometheus.Metric) {
	r := w.Report()
	ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, float64(r.State))
	for _, name := range w.Names {
		var state State
		for _, issue := range r.Issues {
			if issue.Name == name {
				state = issue.State
			}
		}
		ch <- prometheus.MustNewConstMetric(issueDesc, prometheus.GaugeValue, float64(state), name)
	}
}
