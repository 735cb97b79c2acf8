package emitter

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

type measured interface{ Metrics() []prometheus.Collector }

func TestMetrics(t *testing.T) {
	files, err := NewFiles(FilesConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close(t.Context())
	r := newRig(t, nil)
	for name, m := range map[string]measured{"Kafka": r.Kafka, "Files": files} {
		reg := prometheus.NewPedanticRegistry()
		for _, c := range m.Metrics() {
			if err := reg.Register(c); err != nil {
				t.Fatal(err)
			}
		}
		e := m.(interface {
			measured
			Accounting() Accounting
		})
		if name == "Kafka" {
			if _, err := r.Emit(t.Context(), messages(10)...); err != nil {
				t.Fatal(err)
			}
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
		value := map[string]float64{}
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "typostream_emit_") {
				t.Errorf("%s: metric %s", name, f.GetName())
			}
			for _, p := range f.GetMetric() {
				value[f.GetName()] = p.GetCounter().GetValue() + p.GetGauge().GetValue()
			}
		}
		a := e.Accounting()
		if value["typostream_emit_acked_total"] != float64(a.Acked) || value["typostream_emit_accepted_events"] != float64(a.Accepted) {
			t.Errorf("%s: %v, books %+v", name, value, a)
		}
	}
}
