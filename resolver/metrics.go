package resolver

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// Why a message was dropped.
const (
	dropHeader     = "header"     // not a reply at all
	dropUnexpected = "unexpected" // no query with its ID is in flight, nor was of late
	dropLate       = "late"       // likewise, but as many as that queries were ended before their answer
	dropQuestion   = "question"   // answers another question than the one with its ID
)

// What is counted apart; the rest is "other".
var (
	meteredTypes  = AllTypes()
	meteredRCodes = []int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeFormatError, dns.RcodeNotImplemented}
	meteredDrops  = []string{dropHeader, dropUnexpected, dropLate, dropQuestion}
)

// meter counts for one upstream. Its fields may be read and added to at any
// time.
type meter struct {
	queries         [8]atomic.Uint64 // by place in meteredTypes, then others
	responses       [8]atomic.Uint64 // by place in meteredRCodes, then others
	drops           [5]atomic.Uint64 // by place in meteredDrops
	retransmissions atomic.Uint64
	timeouts        atomic.Uint64
	tcp             atomic.Uint64
	overflows       atomic.Uint64
	forged          atomic.Uint64
	renewed         atomic.Uint64
	opened          atomic.Uint64
	inFlight        atomic.Int64
	window          atomic.Int64
	trips           [24]atomic.Uint64 // round trips below 2^i µs and not below half of that
	tripTime        atomic.Int64      // their sum, in ns
}

func (m *meter) query(t Type) { m.queries[place(meteredTypes, t)].Add(1) }

func (m *meter) response(rcode int) { m.responses[place(meteredRCodes, rcode)].Add(1) }

func (m *meter) drop(reason string) { m.drops[place(meteredDrops, reason)].Add(1) }

// place returns where v is in list, its length for nowhere.
func place[T comparable](list []T, v T) int {
	if i := slices.Index(list, v); i >= 0 {
		return i
	}
	return len(list)
}

func (m *meter) roundTrip(d time.Duration) {
	m.trips[min(bits.Len64(uint64(max(d, 0)/time.Microsecond)), len(m.trips)-1)].Add(1)
	m.tripTime.Add(int64(d))
}

// tripHistogram returns the number of round trips, their sum in seconds and how
// many were at most so many seconds. Buckets from 64 µs to 4 s.
func (m *meter) tripHistogram() (count uint64, sum float64, buckets map[float64]uint64) {
	buckets = map[float64]uint64{}
	for i := range m.trips {
		count += m.trips[i].Load()
		if bound := time.Microsecond << i; i >= 6 && i < len(m.trips)-1 {
			buckets[bound.Seconds()] = count
		}
	}
	return count, time.Duration(m.tripTime.Load()).Seconds(), buckets
}

func sum(counts []atomic.Uint64) (n uint64) {
	for i := range counts {
		n += counts[i].Load()
	}
	return n
}

// metrics shows the meters of all upstreams to Prometheus.
type metrics struct {
	upstreams []*upstream

	queries, responses, drops, roundTrip *prometheus.Desc
	plain                                []plainMetric
}

// plainMetric has one number an upstream.
type plainMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*upstream) float64
}

func newMetrics(upstreams []*upstream) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("typostream_dns_"+name, help, append([]string{"upstream"}, labels...), nil)
	}
	m := &metrics{
		upstreams: upstreams,
		queries:   desc("queries_total", "Queries sent, retries included, by record type.", "type"),
		responses: desc("responses_total", "Answers to our questions, by response code.", "rcode"),
		drops:     desc("dropped_responses_total", "Messages that answered no question in flight, by what was wrong.", "reason"),
		roundTrip: desc("round_trip_seconds", "Time from a query to its answer; over a connection, with the time to open it if it is new."),
	}
	count := func(name, help string, field func(*meter) *atomic.Uint64) {
		m.plain = append(m.plain, plainMetric{desc(name, help), prometheus.CounterValue, func(u *upstream) float64 {
			return float64(field(u.meter).Load())
		}})
	}
	gauge := func(name, help string, value func(*upstream) float64) {
		m.plain = append(m.plain, plainMetric{desc(name, help), prometheus.GaugeValue, value})
	}
	count("retransmissions_total", "Tries after an unanswered one.", func(m *meter) *atomic.Uint64 { return &m.retransmissions })
	count("timeouts_total", "Tries without an answer in time.", func(m *meter) *atomic.Uint64 { return &m.timeouts })
	count("tcp_fallbacks_total", "Queries sent over TCP: after a truncated or a doubtful answer, or as the last try.", func(m *meter) *atomic.Uint64 { return &m.tcp })
	count("buffer_overflows_total", "Answers that the kernel dropped because the receive buffer was full.", func(m *meter) *atomic.Uint64 { return &m.overflows })
	count("suspected_forgeries_total", "Times that answers looked forged and the question went over TCP.", func(m *meter) *atomic.Uint64 { return &m.forged })
	count("renewed_sockets_total", "UDP sockets replaced by one with another port.", func(m *meter) *atomic.Uint64 { return &m.renewed })
	count("breaker_opened_total", "Times that a silent upstream was set aside.", func(m *meter) *atomic.Uint64 { return &m.opened })
	gauge("breaker_state", "0 in use, 1 being tried again, 2 set aside.", func(u *upstream) float64 { return float64(u.breaker.current()) })
	gauge("inflight_queries", "Queries sent over UDP and not yet answered or overdue.", func(u *upstream) float64 { return float64(u.meter.inFlight.Load()) })
	gauge("window_queries", "Queries that may be in flight.", func(u *upstream) float64 { return float64(u.meter.window.Load()) })
	return m
}

// Describe sends the description of every metric.
func (m *metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.queries, m.responses, m.drops, m.roundTrip} {
		descs <- d
	}
	for _, p := range m.plain {
		descs <- p.desc
	}
}

// Collect sends what the meters show now.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	for _, u := range m.upstreams {
		name := u.String()
		count := func(desc *prometheus.Desc, n uint64, label string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), name, label)
		}
		for i, t := range meteredTypes {
			count(m.queries, u.meter.queries[i].Load(), t.String())
		}
		count(m.queries, u.meter.queries[len(meteredTypes)].Load(), "other")
		for i, rcode := range meteredRCodes {
			count(m.responses, u.meter.responses[i].Load(), rcodeName(rcode))
		}
		count(m.responses, u.meter.responses[len(meteredRCodes)].Load(), "other")
		for i, reason := range meteredDrops {
			count(m.drops, u.meter.drops[i].Load(), reason)
		}
		n, sum, buckets := u.meter.tripHistogram()
		out <- prometheus.MustNewConstHistogram(m.roundTrip, n, sum, buckets, name)
		for _, p := range m.plain {
			out <- prometheus.MustNewConstMetric(p.desc, p.kind, p.value(u), name)
		}
	}
}

// Metrics returns the resolver's collectors. Register them once for a process;
// two resolvers' would collide.
func (r *Resolver) Metrics() []prometheus.Collector {
	return append(r.findings.collectors(), newMetrics(r.all))
}

// Stats are totals since New.
type Stats struct {
	Queries   uint64 // sent, retries and the canaries of Check included
	Responses uint64 // that answered one of them
	Dropped   uint64 // messages that answered none
	InFlight  int    // over UDP, now
}

// Stats returns the current totals; cheap enough for a status line.
func (r *Resolver) Stats() (s Stats) {
	for _, u := range r.all {
		s.Queries += sum(u.meter.queries[:])
		s.Responses += sum(u.meter.responses[:])
		s.Dropped += sum(u.meter.drops[:])
		s.InFlight += int(u.meter.inFlight.Load())
	}
	return s
}
