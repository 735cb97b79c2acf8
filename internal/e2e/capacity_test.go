//go:build e2e && capacity

package e2e

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// What a worker needs for a seed with all of its names, in its default settings
// and with one seed at a time: the figures of docs/SCALE.md. They are printed,
// not judged; the nameserver is in the test's process and may be the limit.
func TestCapacity(t *testing.T) {
	const size = 40
	w := newWorld(t)
	var seeds []string
	expected := map[string]candidate{}
	for i, parallel := range []string{"4", "1"} {
		more, names, zone := brands(t, 5000+i*size, size)
		seeds = append(seeds, more...)
		maps.Copy(expected, names)
		worker := start(t, map[string]string{
			"KAFKA_BOOTSTRAP": strings.Join(w.cluster.Brokers(), ","), "NAMESERVERS": startDNS(t, zone).Addr(), "OUTPUT_DIR": t.TempDir(), "SEEDS_IN_PARALLEL": parallel,
		}, "worker")
		worker.awaitLog("joined the consumer group")
		w.submit(submissions(more)...)
		eventually(t, "the first seed is done", func() bool { return len(worker.completed()) > 0 })
		from, begun := worker.work(), time.Now()
		resident := 0.0
		eventually(t, "every seed is done", func() bool {
			resident = max(resident, worker.metric("process_resident_memory_bytes"))
			return len(worker.completed()) == size
		})
		to, took := worker.work(), time.Since(begun).Seconds()
		w.awaitNoLag()
		if code := worker.terminate(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0", code)
		}
		d := load{to.seeds - from.seeds, to.names - from.names, to.queries - from.queries, to.events - from.events, to.cpu - from.cpu}
		t.Logf("%s seeds at a time: %.0f seeds of %.0f names in %.1f s: %.1f seeds/s, %.0f names/s, %.0f queries/s, %.0f events/s; %.2f queries a name, %.1f events a seed",
			parallel, d.seeds, d.names/d.seeds, took, d.seeds/took, d.names/took, d.queries/took, d.events/took, d.queries/d.names, d.events/d.seeds)
		t.Logf("%s seeds at a time: processor %.0f ms a seed, %.1f µs a name; resident at most %.0f MiB", parallel, 1e3*d.cpu/d.seeds, 1e6*d.cpu/d.names, resident/(1<<20))
	}
	n := w.checkTopic(seeds, expected)
	records, err := w.cluster.ReadAll(t.Context(), candidateTopic)
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, r := range records {
		bytes += len(r.Key) + len(r.Value)
	}
	t.Logf("a record of the topic has %d bytes on average, before compression", bytes/len(records))
	t.Logf("in the topic: %d candidates and %d seeds, missing %d, again %d", n.variants, n.seeds, n.missing, n.repeats())
}

// load is what a worker's metrics say that it has done.
type load struct{ seeds, names, queries, events, cpu float64 }

func (p *process) work() load {
	p.t.Helper()
	series := p.series()
	sum := func(prefix string) (sum float64) {
		for name, value := range series {
			if strings.HasPrefix(name, prefix) {
				sum += value
			}
		}
		return sum
	}
	return load{
		seeds: sum("typostream_seeds_scanned_total{"), names: sum("typostream_names_total{"), queries: sum("typostream_dns_queries_total{"),
		events: series["typostream_emit_acked_total"], cpu: series["process_cpu_seconds_total"],
	}
}
