package pipeline

import (
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// What is published is a child of the scan, and both say what became of it.
func TestSpansOfAScan(t *testing.T) {
	for name, c := range map[string]struct {
		emitter *memory
		sum     string
		failed  bool
	}{
		"acked":   {&memory{}, "typostream.acked", false},
		"spooled": {&memory{spooling: true}, "typostream.spooled", false},
		"failed":  {&memory{failing: 100}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tracetest.NewInMemoryExporter()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
			scanner := newScanner(t, "bak.com. A 192.0.2.1\n", c.emitter)
			scanner.Tracer = provider.Tracer("test")
			summary, err := scanner.Scan(t.Context(), bank(t, FromCSV))
			if (err != nil) != c.failed {
				t.Fatalf("Scan: %v", err)
			}
			got := spans.GetSpans()
			scan := got[len(got)-1] // ended last
			if scan.Name != "scan" || (scan.Status.Code == codes.Error) != c.failed || scan.Parent.IsValid() {
				t.Errorf("the scan's span: %+v", scan)
			}
			attrs := attribute.NewSet(scan.Attributes...)
			if v, _ := attrs.Value("typostream.seed"); v.AsString() != "bank.com" {
				t.Errorf("seed %q", v.AsString())
			}
			if v, _ := attrs.Value("typostream.registered"); v.AsInt64() != int64(summary.Registered) {
				t.Errorf("registered %d, want %d", v.AsInt64(), summary.Registered)
			}
			sum := int64(0)
			for _, s := range got[:len(got)-1] {
				if s.Name != "publish" || s.Parent.SpanID() != scan.SpanContext.SpanID() || (s.Status.Code == codes.Error) != c.failed {
					t.Errorf("a span %+v", s)
				}
				set := attribute.NewSet(s.Attributes...)
				v, _ := set.Value(attribute.Key(c.sum))
				sum += v.AsInt64()
			}
			if len(got) < 2 || !c.failed && sum != int64(summary.Receipt.Total()) {
				t.Errorf("%d spans, %d records in them, want %d", len(got), sum, summary.Receipt.Total())
			}
		})
	}
}
