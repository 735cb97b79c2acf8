package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/health"
	"github.com/typostream/typostream/internal/httpd"
)

// limits are what the figures of a healthy worker do not exceed; 0 is any.
type limits struct {
	errorRate   float64
	ackP99      time.Duration
	deadLetters int
	memory      float64 // share of the memory limit
}

// figures are what health is judged by.
type figures struct {
	emitter.Numbers
	accounting  emitter.Accounting
	suppressed  int64
	memory      int64
	memoryLimit int64 // 0: none
}

// issueNames are all that there may be, for the metrics.
var issueNames = []string{"ack_latency", "books", "dead_letters", "error_rate", "kafka_consumer", "kafka_producer", "memory", "resolver", "spool_full", "undelivered"}

// errorRateLeast is how many events must have been settled before their error
// rate says something.
const errorRateLeast = 20

// judge names what exceeds the limits.
func (l limits) judge(f *figures) []health.Issue {
	var issues []health.Issue
	add := func(bad bool, name string, state health.State, format string, args ...any) {
		if bad {
			issues = append(issues, health.Issue{Name: name, State: state, Detail: fmt.Sprintf(format, args...)})
		}
	}
	rate := f.ErrorRate()
	add(l.errorRate > 0 && f.Settled >= errorRateLeast && rate > l.errorRate, "error_rate", health.Degraded,
		"%.1f %% of the events of five minutes were not acknowledged, more than %.1f %%", 100*rate, 100*l.errorRate)
	add(l.ackP99 > 0 && f.AckP99 > l.ackP99, "ack_latency", health.Degraded,
		"the p99 of acknowledgements is %v, more than %v", f.AckP99.Round(time.Millisecond), l.ackP99)
	add(l.deadLetters > 0 && f.DeadLetters > int64(l.deadLetters), "dead_letters", health.Degraded,
		"%d dead letters in an hour, more than %d", f.DeadLetters, l.deadLetters)
	used := 0.0
	if f.memoryLimit > 0 {
		used = float64(f.memory) / float64(f.memoryLimit)
	}
	add(l.memory > 0 && used > l.memory, "memory", health.Degraded,
		"%.0f %% of the memory limit is in use, more than %.0f %%", 100*used, 100*l.memory)
	add(f.Spool.Full, "spool_full", health.Unhealthy, "the spool is full, events wait")
	add(f.Returned > 0, "undelivered", health.Unhealthy, "neither Kafka nor the disk took %d events of five minutes", f.Returned)
	a := f.accounting
	add(a.Accepted != a.Acked+a.Spooled+a.DeadLettered+a.InFlight, "books", health.Unhealthy,
		"the books do not balance: accepted %d, acked %d, spooled %d, dead-lettered %d, in flight %d", a.Accepted, a.Acked, a.Spooled, a.DeadLettered, a.InFlight)
	return issues
}

// figures are those of this moment.
func (w *workerRun) figures() *figures {
	f := &figures{accounting: w.emitter.Accounting(), suppressed: w.metrics.Suppressed(), memory: memoryInUse(), memoryLimit: w.memoryLimit}
	if w.kafka != nil {
		f.Numbers = w.kafka.Numbers()
	}
	return f
}

// details are the figures for /readyz?verbose.
func (f *figures) details() map[string]any {
	seconds := func(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }
	return map[string]any{
		"error_rate":  f.ErrorRate(),
		"ack_seconds": map[string]float64{"p50": seconds(f.AckP50), "p95": seconds(f.AckP95), "p99": seconds(f.AckP99)},
		"spool": map[string]any{
			"records": f.Spool.Records, "bytes": f.Spool.Bytes, "limit_bytes": f.Spool.Limit, "files": f.Spool.Files, "oldest_age_seconds": math.Round(f.Spool.Age.Seconds()),
		},
		"dead_letters_last_hour": f.DeadLetters, "retries": f.Retries, "retried_batches": f.Retried, "breakers_open": f.Breakers,
		"duplicates_suppressed": f.suppressed,
		"memory_bytes":          f.memory, "memory_limit_bytes": f.memoryLimit,
	}
}

// How often health is judged, and how long an issue must be gone before it is
// taken back: a breaker tries every ten seconds.
const (
	healthInterval = time.Second
	healthHold     = 30 * time.Second
)

// watchHealth judges until ctx ends, and tells of changes.
func (w *workerRun) watchHealth(ctx context.Context, checks []httpd.Check) {
	var hook sync.WaitGroup
	defer hook.Wait()
	if w.webhook != nil {
		hook.Go(func() { w.webhook.Run(ctx) })
	}
	failed := map[string]time.Time{}
	for pause(ctx, healthInterval) {
		now := time.Now()
		w.health.Observe(now, append(w.settings.Limits.judge(w.figures()), failing(checks, failed, now)...))
	}
}

// joinPatience is how long a consumer group may be without its partitions, at
// the start and while members come and go, before that is an issue.
const joinPatience = 30 * time.Second

// failing are the checks of /readyz that fail, but for those that have not been
// made yet. failed holds since when each does.
func failing(checks []httpd.Check, failed map[string]time.Time, now time.Time) (issues []health.Issue) {
	for _, check := range checks {
		problem := check.Problem()
		if _, early := errors.AsType[unasked](problem); problem == nil || early {
			delete(failed, check.Name)
			continue
		}
		if _, known := failed[check.Name]; !known {
			failed[check.Name] = now
		}
		if check.Name == consumerCheck && now.Sub(failed[check.Name]) < joinPatience {
			continue
		}
		state := health.Degraded
		if check.Required {
			state = health.Unhealthy
		}
		issues = append(issues, health.Issue{Name: check.Name, State: state, Detail: problem.Error()})
	}
	return issues
}

// healthProblem names the issues that no check of its own shows.
func (w *workerRun) healthProblem() error {
	var said []string
	for _, issue := range w.settings.Limits.judge(w.figures()) {
		said = append(said, issue.Name+": "+issue.Detail)
	}
	if said == nil {
		return nil
	}
	return errors.New(strings.Join(said, "; "))
}

// openHealth prepares the watch, its metrics and its webhook.
func (w *workerRun) openHealth() error {
	w.memoryLimit = memoryLimit(os.ReadFile)
	w.health = &health.Watch{Names: issueNames, Hold: healthHold, Log: w.log}
	w.registry.MustRegister(w.health,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "typostream_memory_bytes", Help: "Memory that the Go runtime holds."}, func() float64 { return float64(memoryInUse()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "typostream_memory_limit_bytes", Help: "GOMEMLIMIT, else the container's limit; 0 if there is none."}, func() float64 { return float64(w.memoryLimit) }))
	if w.settings.Webhook == "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		w.log.Warn("the name of this host is not known, alerts go without it", "cause", err)
	}
	w.webhook, err = health.NewWebhook(w.settings.Webhook, health.Identity{Version: version(), Hostname: host}, nil, w.log)
	if err != nil {
		return err
	}
	w.health.Notify = w.webhook.Notify
	return nil
}

func setWebhook(s *settings, value string, _ source) error {
	if value != "" {
		if _, err := health.NewWebhook(value, health.Identity{}, nil, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
	}
	s.Webhook = value
	return nil
}

// memoryInUse is what counts against GOMEMLIMIT: all that the runtime has from
// the system and did not give back.
func memoryInUse() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// memoryLimit is GOMEMLIMIT if it is set, else that of the control group, else 0.
func memoryLimit(read func(string) ([]byte, error)) int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} { // version 2, version 1
		text, err := read(file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && limit > 0 && limit < 1<<60 { // version 1 says "none" by a huge number, version 2 by a word
			return limit
		}
	}
	return 0
}
