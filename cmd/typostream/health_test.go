package main

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/health"
	"github.com/typostream/typostream/internal/httpd"
)

// TestJudge: each figure at its limit is well, above it an issue by name, and
// without a limit never one.
func TestJudge(t *testing.T) {
	limit := limits{errorRate: 0.05, ackP99: time.Second, deadLetters: 100, memory: 0.8}
	for _, test := range []struct {
		name  string
		f     figures
		state health.State
		limit bool // an issue only where there is a limit
	}{
		{"", figures{}, health.Healthy, false},
		{"", figures{Numbers: emitter.Numbers{Settled: 100, Failed: 5, AckP99: time.Second, DeadLetters: 100}, memory: 80, memoryLimit: 100}, health.Healthy, false},
		{"", figures{Numbers: emitter.Numbers{Settled: 19, Failed: 19}, memory: 1 << 40}, health.Healthy, false},
		{"error_rate", figures{Numbers: emitter.Numbers{Settled: 100, Failed: 6}}, health.Degraded, true},
		{"ack_latency", figures{Numbers: emitter.Numbers{AckP99: time.Second + 1}}, health.Degraded, true},
		{"dead_letters", figures{Numbers: emitter.Numbers{DeadLetters: 101}}, health.Degraded, true},
		{"memory", figures{memory: 81, memoryLimit: 100}, health.Degraded, true},
		{"spool_full", figures{Numbers: emitter.Numbers{Spool: emitter.SpoolStats{Full: true}}}, health.Unhealthy, false},
		{"undelivered", figures{Numbers: emitter.Numbers{Returned: 1}}, health.Unhealthy, false},
		{"books", figures{accounting: emitter.Accounting{Accepted: 2, Acked: 1}}, health.Unhealthy, false},
		{"", figures{accounting: emitter.Accounting{Accepted: 10, Acked: 1, Spooled: 2, DeadLettered: 3, InFlight: 4}}, health.Healthy, false},
	} {
		got := limit.judge(&test.f)
		switch {
		case test.name == "" && len(got) > 0, test.name != "" && (len(got) != 1 || got[0].Name != test.name || got[0].State != test.state || got[0].Detail == ""):
			t.Errorf("%+v: %+v, want %q", test.f, got, test.name)
		case test.name != "" && !slices.Contains(issueNames, test.name):
			t.Errorf("%s is not among the names", test.name)
		}
		if got := (limits{}).judge(&test.f); test.limit && len(got) > 0 {
			t.Errorf("without a limit: %+v", got)
		}
	}
}

func TestFailingChecks(t *testing.T) {
	said := func(err error) func() error { return func() error { return err } }
	failed, now := map[string]time.Time{}, time.Now()
	checks := []httpd.Check{
		{Name: "a", Problem: said(nil)},
		{Name: "b", Problem: said(unasked("not yet")), Required: true},
		{Name: "kafka", Problem: said(errors.New("away"))},
		{Name: "dns", Problem: said(errors.New("gone")), Required: true},
		{Name: consumerCheck, Problem: said(errors.New("not joined"))},
	}
	got := failing(checks, failed, now)
	want := []health.Issue{{Name: "kafka", State: health.Degraded, Detail: "away"}, {Name: "dns", State: health.Unhealthy, Detail: "gone"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	want = append(want, health.Issue{Name: consumerCheck, State: health.Degraded, Detail: "not joined"})
	if got := failing(checks, failed, now.Add(joinPatience)); !slices.Equal(got, want) {
		t.Errorf("later: %+v, want %+v", got, want)
	}
}

func TestMemoryLimit(t *testing.T) {
	for text, want := range map[string]int64{"max\n": 0, "536870912\n": 512 << 20, "9223372036854771712\n": 0, "-1": 0} {
		got := memoryLimit(func(name string) ([]byte, error) {
			if strings.HasSuffix(name, "memory.max") {
				return nil, os.ErrNotExist
			}
			return []byte(text), nil
		})
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if memoryInUse() < 1<<20 {
		t.Errorf("%d bytes in use", memoryInUse())
	}
}
