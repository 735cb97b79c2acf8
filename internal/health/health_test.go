package health

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	slow = Issue{"ack_p99", Degraded, "slow"}
	full = Issue{"spool_full", Unhealthy, "full"}
)

// TestWatch: worse is told at once, better after the hold, the same not at all.
func TestWatch(t *testing.T) {
	var told []string
	var log bytes.Buffer
	w := &Watch{Names: []string{"ack_p99", "spool_full"}, Hold: 30 * time.Second, Log: slog.New(slog.NewTextHandler(&log, nil)), Notify: func(r Report) {
		told = append(told, fmt.Sprint(r.State, names(r.Issues)))
	}}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, step := range []struct {
		at     int
		issues []Issue
		state  State
		since  int
		told   string
	}{
		{0, nil, Healthy, 0, ""},
		{1, []Issue{slow}, Degraded, 1, "degraded [ack_p99]"},
		{2, []Issue{slow}, Degraded, 1, ""},
		{3, nil, Degraded, 1, ""},
		{31, nil, Degraded, 1, ""},
		{31, []Issue{slow}, Degraded, 1, ""}, // came back within the hold: no news
		{40, []Issue{full, slow}, Unhealthy, 40, "unhealthy [ack_p99 spool_full]"},
		{69, []Issue{slow}, Unhealthy, 40, ""},
		{70, []Issue{slow}, Degraded, 70, "degraded [ack_p99]"},
		{100, nil, Healthy, 100, "healthy []"},
		{101, nil, Healthy, 100, ""},
	} {
		told = nil
		w.Observe(start.Add(time.Duration(step.at)*time.Second), step.issues)
		r := w.Report()
		if got := strings.Join(told, ";"); got != step.told || r.State != step.state || !r.Since.Equal(start.Add(time.Duration(step.since)*time.Second)) {
			t.Errorf("at %d: %+v, told %q; want %v since %d, told %q", step.at, r, got, step.state, step.since, step.told)
		}
	}
	if got := strings.Count(log.String(), "health has changed"); got != 3 || strings.Count(log.String(), "health is good again") != 1 {
		t.Errorf("the log has %d changes:\n%s", got, log.String())
	}
}

func TestMetrics(t *testing.T) {
	w := &Watch{Names: []string{"ack_p99", "spool_full"}, Log: slog.New(slog.DiscardHandler)}
	w.Observe(time.Now(), []Issue{full})
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(w)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	want := `
# HELP typostream_health_issue What is wrong: 1 degrades, 2 is unhealthy, 0 is not the case.
# TYPE typostream_health_issue gauge
typostream_health_issue{issue="ack_p99"} 0
typostream_health_issue{issue="spool_full"} 2
# HELP typostream_health_state 0 healthy, 1 degraded, 2 unhealthy.
# TYPE typostream_health_state gauge
typostream_health_state 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
