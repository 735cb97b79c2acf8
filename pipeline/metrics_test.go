package pipeline

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsAreLintFree(t *testing.T) {
	m := NewMetrics()
	for v := Accepted; v <= Poison; v++ {
		m.message(v)
	}
	m.badRow()
	m.begin()
	m.end()
	m.retry()
	m.scanned(Seed{Origin: FromKafka}, Summary{Registered: 1, Absent: 2, Unknown: 3})
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.Collectors()...)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if got := testutil.ToFloat64(m.names.WithLabelValues("unknown")); got != 3 {
		t.Errorf("%v unknown names counted, want 3", got)
	}
}
