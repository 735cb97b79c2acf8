package resolver

import "github.com/prometheus/client_golang/prometheus"

// What a question to a parent's servers came to.
const (
	parentDelegated = "delegated" // the name is delegated: registered
	parentAbsent    = "absent"    // it does not exist
	parentUnsettled = "unsettled" // no answer, or one that settles nothing
	parentDeclined  = "declined"  // not asked, in order not to burden the server
)

// findings counts what answers turned out to mean. Labels are closed sets.
type findings struct {
	cache, probes, parent *prometheus.CounterVec
	wildcards, disputed   prometheus.Counter

	lookups [len(lookupNames)]prometheus.Counter // of cache: there is one for every name
}

func newFindings() *findings {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "typostream_dns_" + name, Help: help})
	}
	byResult := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "typostream_dns_" + name, Help: help}, []string{"result"})
	}
	f := &findings{
		cache:     byResult("cache_lookups_total", "Names looked up in the cache of answers, by how that ended."),
		probes:    byResult("wildcard_probes_total", "Parents of names asked about random names below them, by what they answer."),
		parent:    byResult("parent_questions_total", "Questions to the servers of a parent zone, by what came of them."),
		wildcards: counter("wildcard_names_total", "Names whose records are those of a wildcard of a parent."),
		disputed:  counter("disputed_names_total", "Registered names that another nameserver says do not exist."),
	}
	for vec, values := range map[*prometheus.CounterVec][]string{
		f.cache:  lookupNames[:],
		f.probes: {probeNone, probeWildcard, probeUnknown},
		f.parent: {parentDelegated, parentAbsent, parentUnsettled, parentDeclined},
	} {
		for _, value := range values {
			vec.WithLabelValues(value)
		}
	}
	for i, name := range lookupNames {
		f.lookups[i] = f.cache.WithLabelValues(name)
	}
	return f
}

func (f *findings) cached(l lookup)      { f.lookups[l].Inc() }
func (f *findings) probed(result string) { f.probes.WithLabelValues(result).Inc() }
func (f *findings) asked(result string)  { f.parent.WithLabelValues(result).Inc() }

func (f *findings) collectors() []prometheus.Collector {
	return []prometheus.Collector{f.cache, f.probes, f.parent, f.wildcards, f.disputed}
}
