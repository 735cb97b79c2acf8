package emitter

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// bookCollector shows the ledger: all numbers of a scrape are of one moment,
// so that accepted = acked + spooled + dead_lettered + in_flight holds in it.
type bookCollector struct{ books *ledger }

type bookMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Accounting) int64
}

func bookMetrics() []bookMetric {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("typostream_emit_"+name, help, nil, nil)
	}
	const count, gauge = prometheus.CounterValue, prometheus.GaugeValue
	return []bookMetric{
		{d("accepted_events", "Events taken over and not handed back: acked + spooled + dead_lettered + in flight."), gauge, func(a *Accounting) int64 { return a.Accepted }},
		{d("in_flight_events", "Events that wait for their outcome."), gauge, func(a *Accounting) int64 { return a.InFlight }},
		{d("acked_total", "Events acknowledged by all in-sync replicas, or fsynced in file-only mode."), count, func(a *Accounting) int64 { return a.Acked }},
		{d("spooled_events", "Events that are in the spool now."), gauge, func(a *Accounting) int64 { return a.Spooled }},
		{d("replayed_total", "Events among the acknowledged that a replay sent from the spool."), count, func(a *Accounting) int64 { return a.Replayed }},
		{d("dead_lettered_events", "Events refused for good and fsynced in the dead letters, those found there at start included."), gauge, func(a *Accounting) int64 { return a.DeadLettered }},
		{d("returned_total", "Events handed back to the caller, durable nowhere."), count, func(a *Accounting) int64 { return a.Returned }},
		{d("ambiguous_total", "Events that may be in a topic twice because an answer was lost."), count, func(a *Accounting) int64 { return a.Ambiguous }},
		{d("retries_total", "Attempts after the first, by batch."), count, func(a *Accounting) int64 { return a.Retries }},
		{d("retried_batches_total", "Batches acknowledged after more than one attempt."), count, func(a *Accounting) int64 { return a.Retried }},
		{d("producer_sessions_total", "Producer ids taken from Kafka."), count, func(a *Accounting) int64 { return a.Sessions }},
	}
}

func (c *bookCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range bookMetrics() {
		ch <- m.desc
	}
}

func (c *bookCollector) Collect(ch chan<- prometheus.Metric) {
	a := c.books.snapshot()
	for _, m := range bookMetrics() {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.value(&a)))
	}
}

// spoolCollector shows what the spool needs of the disk.
type spoolCollector struct{ spool *Spool }

type spoolMetric struct {
	desc  *prometheus.Desc
	value func(SpoolStats) float64
}

func spoolMetrics() []spoolMetric {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("typostream_emit_spool_"+name, help, nil, nil)
	}
	return []spoolMetric{
		{d("size_bytes", "Size of the spool's files."), func(s SpoolStats) float64 { return float64(s.Bytes) }},
		{d("limit_bytes", "Size at which events wait for room in the spool."), func(s SpoolStats) float64 { return float64(s.Limit) }},
		{d("files", "Files of the spool."), func(s SpoolStats) float64 { return float64(s.Files) }},
		{d("oldest_age_seconds", "Age of the spool's oldest file, 0 if there is none."), func(s SpoolStats) float64 { return s.Age.Seconds() }},
	}
}

func (c *spoolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range spoolMetrics() {
		ch <- m.desc
	}
}

func (c *spoolCollector) Collect(ch chan<- prometheus.Metric) {
	if c.spool == nil {
		return
	}
	s := c.spool.Stats()
	for _, m := range spoolMetrics() {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value(s))
	}
}

// numbersCollector shows the figures of the sliding windows.
type numbersCollector struct{ k *Kafka }

type numbersMetric struct {
	desc  *prometheus.Desc
	value func(*Numbers) float64
}

func numbersMetrics() []numbersMetric {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("typostream_emit_recent_"+name, help, nil, nil)
	}
	return []numbersMetric{
		{d("error_ratio", "Share of the new events settled in the last five minutes that were not acknowledged."), (*Numbers).ErrorRate},
		{d("ack_p50_seconds", "Median time from sending a batch to its acknowledgement, of the last five minutes."), func(n *Numbers) float64 { return n.AckP50.Seconds() }},
		{d("ack_p95_seconds", "The time that 95 % of them did not exceed."), func(n *Numbers) float64 { return n.AckP95.Seconds() }},
		{d("ack_p99_seconds", "The time that 99 % of them did not exceed."), func(n *Numbers) float64 { return n.AckP99.Seconds() }},
		{d("dead_letters", "Dead letters written in the last hour, inputs too."), func(n *Numbers) float64 { return float64(n.DeadLetters) }},
	}
}

func (c *numbersCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range numbersMetrics() {
		ch <- m.desc
	}
}

func (c *numbersCollector) Collect(ch chan<- prometheus.Metric) {
	n := c.k.Numbers()
	for _, m := range numbersMetrics() {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value(&n))
	}
}

// meters are the distributions of what was acknowledged.
type meters struct {
	ack  prometheus.Histogram
	size prometheus.Histogram
}

func newMeters() meters {
	return meters{
		ack: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "typostream_emit_ack_seconds", Help: "Time from sending a batch to its acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "typostream_emit_batch_events", Help: "Events in an acknowledged batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
	}
}

func (m meters) batch(n int, d time.Duration) {
	m.ack.Observe(d.Seconds())
	m.size.Observe(float64(n))
}

func (m meters) all() []prometheus.Collector { return []prometheus.Collector{m.ack, m.size} }

func (m meters) breakerGauge(k *Kafka) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "typostream_emit_breakers_open", Help: "Parts of Kafka (cluster, topics, partitions) whose events go to the spool at once.",
	}, func() float64 { return float64(len(k.openBreakers())) })
}
