package resolver

import (
	"sync/atomic"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// Why a datagram was dropped.
const (
	dropHeader     = "header"     // not a reply at all
	dropUnexpected = "unexpected" // no query with its ID is in flight: late, or forged
	dropQuestion   = "question"   // answers another question than the one with its ID
)

// meter counts. Labels are closed sets, and their counters are looked up once.
type meter struct {
	queryCount, responseCount, droppedCount *prometheus.CounterVec
	retransmissions, timeouts, tcp          prometheus.Counter
	inFlightGauge                           prometheus.GaugeFunc

	byType   map[Type]prometheus.Counter
	byRCode  map[int]prometheus.Counter
	other    prometheus.Counter
	byReason map[string]prometheus.Counter

	queries, responses, dropped atomic.Uint64
	inFlight                    atomic.Int64
}

func newMeter() *meter {
	m := &meter{
		queryCount:      counterVec("queries_total", "Queries sent, retries included, by record type.", "type"),
		responseCount:   counterVec("responses_total", "Answers to our questions, by response code.", "rcode"),
		droppedCount:    counterVec("dropped_responses_total", "Datagrams that answered no question in flight, by what was wrong.", "reason"),
		retransmissions: counter("retransmissions_total", "Tries after an unanswered one."),
		timeouts:        counter("timeouts_total", "Tries without an answer in time."),
		tcp:             counter("tcp_fallbacks_total", "Queries sent over TCP, after a truncated answer or as the last try."),
		byType:          map[Type]prometheus.Counter{},
		byRCode:         map[int]prometheus.Counter{},
		byReason:        map[string]prometheus.Counter{},
	}
	m.inFlightGauge = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "typostream_dns_inflight_queries", Help: "Queries sent over UDP and not yet answered.",
	}, func() float64 { return float64(m.inFlight.Load()) })
	for _, t := range AllTypes() {
		m.byType[t] = m.queryCount.WithLabelValues(t.String())
	}
	for _, rcode := range []int{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeFormatError, dns.RcodeNotImplemented} {
		m.byRCode[rcode] = m.responseCount.WithLabelValues(rcodeName(rcode))
	}
	m.other = m.responseCount.WithLabelValues("other")
	for _, reason := range []string{dropHeader, dropUnexpected, dropQuestion} {
		m.byReason[reason] = m.droppedCount.WithLabelValues(reason)
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "typostream_dns_" + name, Help: help})
}

func counterVec(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "typostream_dns_" + name, Help: help}, []string{label})
}

func (m *meter) query(t Type) {
	m.queries.Add(1)
	m.byType[t].Inc()
}

func (m *meter) response(rcode int) {
	m.responses.Add(1)
	if c, ok := m.byRCode[rcode]; ok {
		c.Inc()
	} else {
		m.other.Inc()
	}
}

func (m *meter) drop(reason string) {
	m.dropped.Add(1)
	m.byReason[reason].Inc()
}

// Metrics returns the resolver's collectors. Register them once for a process;
// two resolvers' would collide.
func (r *Resolver) Metrics() []prometheus.Collector {
	m := r.meter
	return []prometheus.Collector{
		m.queryCount, m.responseCount, m.droppedCount,
		m.retransmissions, m.timeouts, m.tcp, m.inFlightGauge,
	}
}

// Stats are totals since New.
type Stats struct {
	Queries   uint64 // sent, retries and the canaries of Check included
	Responses uint64 // that answered one of them
	Dropped   uint64 // datagrams that answered none
	InFlight  int    // over UDP, now
}

// Stats returns the current totals; cheap enough for a status line.
func (r *Resolver) Stats() Stats {
	m := r.meter
	return Stats{m.queries.Load(), m.responses.Load(), m.dropped.Load(), int(m.inFlight.Load())}
}
