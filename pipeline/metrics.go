package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what goes through the pipeline. All methods may be called on
// nil and then do nothing; they are safe for concurrent use.
type Metrics struct {
	messages *prometheus.CounterVec
	badRows  prometheus.Counter
	lag      prometheus.Gauge
	owned    prometheus.Gauge
	seeds    *prometheus.CounterVec
	names    *prometheus.CounterVec
	allowed  prometheus.Counter
	known    prometheus.CounterFunc
	store    prometheus.Counter
	waits    prometheus.Histogram
	heritage *prometheus.CounterVec
	inWork   prometheus.Gauge
	retries  prometheus.Counter

	suppressed             atomic.Int64
	changes                *prometheus.CounterVec
	accepted, merged, done prometheus.Counter // of the queue
	waiting                *prometheus.GaugeVec
	oldest                 prometheus.Gauge
	stopped                prometheus.Counter

	watchedSeeds  prometheus.Gauge
	rescans       *prometheus.CounterVec
	watchFailures prometheus.Counter
}

// NewMetrics makes the counters; Collectors are what to register.
func NewMetrics() *Metrics {
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "typostream_intake_messages_total", Help: "Messages read from the input topic, by what became of them.",
		}, []string{"verdict"}),
		badRows: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_intake_bad_rows_total", Help: "Rows of the seed file that could not be used.",
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "typostream_intake_lag_messages", Help: "Messages of this worker's partitions of the input topic that are not done.",
		}),
		owned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "typostream_intake_partitions", Help: "Partitions of the input topic that this worker reads.",
		}),
		seeds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "typostream_seeds_scanned_total", Help: "Scans that came to their end, by where the seed came from.",
		}, []string{"origin"}),
		names: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "typostream_names_total", Help: "Names asked about, by what was found out.",
		}, []string{"state"}),
		allowed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_names_allowed_total", Help: "Names that the allow list took out before the DNS was asked.",
		}),
		store: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_store_failures_total", Help: "Questions to the store of known candidates that it could not answer.",
		}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "typostream_lease_wait_seconds", Help: "How long batches waited for another worker that was publishing the same candidates.",
			Buckets: []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30},
		}),
		heritage: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "typostream_inherited_candidates_total", Help: "Candidates of scans that did not come to their end: found on the topic, and so not published again, or published without knowing.",
		}, []string{"known"}),
		inWork: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "typostream_seeds_in_work", Help: "Seeds accepted and not finished.",
		}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_seed_retries_total", Help: "Scans begun again because the one before could not be finished.",
		}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "typostream_changes_total", Help: "Candidates published, by what has changed since they were last seen; baseline are those of a seed's first scan.",
		}, []string{"change"}),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_queue_accepted_total", Help: "Seeds put into the queue.",
		}),
		merged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_queue_merged_total", Help: "Submissions of seeds that were waiting in the queue already.",
		}),
		done: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_queue_done_total", Help: "Seeds taken out of the queue because every event of them is durable.",
		}),
		stopped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "typostream_queue_stopped_total", Help: "Seeds taken out of the queue because somebody stopped their scan.",
		}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "typostream_queue_waiting", Help: "Seeds of the queue that have not begun, by priority.",
		}, []string{"priority"}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "typostream_queue_oldest_timestamp_seconds", Help: "When the seed that waits longest was accepted, in Unix seconds; 0 if none waits.",
		}),
	}
	m.watchedSeeds = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "typostream_watched_seeds", Help: "Seeds on the schedule, in all workers that share it.",
	})
	m.rescans = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "typostream_rescans_total", Help: "Watched seeds put into the queue, by which of their names are asked about.",
	}, []string{"names"})
	m.watchFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "typostream_watch_failures_total", Help: "Questions to the schedule that it could not answer.",
	})
	m.known = prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "typostream_candidates_suppressed_total", Help: "Candidates not published because they are known and have not changed.",
	}, func() float64 { return float64(m.Suppressed()) })
	// A series that begins with its first event hides that one from rate and increase.
	for v := Accepted; v <= Poison; v++ {
		m.messages.WithLabelValues(v.String())
	}
	for _, state := range []string{"registered", "absent", "unknown"} {
		m.names.WithLabelValues(state)
	}
	for _, known := range []string{"yes", "no"} {
		m.heritage.WithLabelValues(known)
	}
	return m
}

// Collectors are all of the pipeline's metrics.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.messages, m.badRows, m.lag, m.owned, m.seeds, m.names, m.allowed, m.known, m.store, m.waits, m.heritage, m.inWork, m.retries, m.accepted, m.merged, m.done, m.stopped, m.waiting, m.oldest, m.changes, m.watchedSeeds, m.rescans, m.watchFailures}
}

func (m *Metrics) message(v Verdict) {
	if m != nil {
		m.messages.WithLabelValues(v.String()).Inc()
	}
}

func (m *Metrics) badRow() {
	if m != nil {
		m.badRows.Inc()
	}
}

// intake tells of the input topic what is this worker's.
func (m *Metrics) intake(partitions int, lag int64) {
	if m != nil {
		m.owned.Set(float64(partitions))
		m.lag.Set(float64(lag))
	}
}

func (m *Metrics) scanned(seed Seed, s Summary) {
	if m == nil {
		return
	}
	m.seeds.WithLabelValues(seed.Origin.String()).Inc()
	m.names.WithLabelValues("registered").Add(float64(s.Registered))
	m.names.WithLabelValues("absent").Add(float64(s.Absent))
	m.names.WithLabelValues("unknown").Add(float64(s.Unknown))
	m.allowed.Add(float64(s.Allowed))
	m.suppressed.Add(int64(s.Suppressed))
}

// Suppressed is how many candidates were not published because they are known
// and have not changed, in all scans that came to their end.
func (m *Metrics) Suppressed() int64 { return m.suppressed.Load() }

func (m *Metrics) change(s sighting) {
	switch {
	case m == nil || s.change == "":
	case s.baseline:
		m.changes.WithLabelValues("baseline").Inc()
	default:
		m.changes.WithLabelValues(s.change).Inc()
	}
}

func (m *Metrics) storeFailed() {
	if m != nil {
		m.store.Inc()
	}
}

func (m *Metrics) leaseWait(d time.Duration) {
	if m != nil {
		m.waits.Observe(d.Seconds())
	}
}

// inherited counts candidates of a scan that was cut off.
func (m *Metrics) inherited(known bool, n int) {
	if m == nil {
		return
	}
	label := "no"
	if known {
		label = "yes"
	}
	m.heritage.WithLabelValues(label).Add(float64(n))
}

func (m *Metrics) begin() {
	if m != nil {
		m.inWork.Inc()
	}
}

func (m *Metrics) end() {
	if m != nil {
		m.inWork.Dec()
	}
}

func (m *Metrics) retry() {
	if m != nil {
		m.retries.Inc()
	}
}

// queued counts submissions.
func (m *Metrics) queued(accepted, merged int) {
	if m != nil {
		m.accepted.Add(float64(accepted))
		m.merged.Add(float64(merged))
	}
}

func (m *Metrics) dequeued() {
	if m != nil {
		m.done.Inc()
	}
}

func (m *Metrics) stop() {
	if m != nil {
		m.stopped.Inc()
	}
}

func (m *Metrics) queue(s QueueStats) {
	if m == nil {
		return
	}
	for p := range priorities {
		m.waiting.WithLabelValues(p.String()).Set(float64(s.ByPriority[p]))
	}
	oldest := 0.0
	if !s.Oldest.IsZero() {
		oldest = float64(s.Oldest.UnixMilli()) / 1000
	}
	m.oldest.Set(oldest)
}

func (m *Metrics) watched(seeds int) {
	if m != nil {
		m.watchedSeeds.Set(float64(seeds))
	}
}

func (m *Metrics) rescanned(partly bool) {
	if m == nil {
		return
	}
	names := "all"
	if partly {
		names = "unknown"
	}
	m.rescans.WithLabelValues(names).Inc()
}

func (m *Metrics) watchFailed() {
	if m != nil {
		m.watchFailures.Inc()
	}
}
