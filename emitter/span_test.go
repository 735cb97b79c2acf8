package emitter

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// A batch's span says what became of it, and is linked to its caller's.
func TestSpanOfABatch(t *testing.T) {
	for name, c := range map[string]struct {
		fault   *kerr.Error
		want    Receipt
		outcome string
	}{
		"acked":         {nil, Receipt{Acked: 1}, "acked"},
		"spooled":       {kerr.PolicyViolation, Receipt{Spooled: 1}, "undelivered"},
		"dead-lettered": {kerr.MessageTooLarge, Receipt{DeadLettered: 1}, "rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tracetest.NewInMemoryExporter()
			tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test")
			r := newRig(t, func(cfg *KafkaConfig) { cfg.Tracer = tracer }, kfake.SeedTopics(1, testTopic))
			if c.fault != nil {
				r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: c.fault, Count: -1})
			}
			ctx, caller := tracer.Start(t.Context(), "caller")
			got, err := r.Emit(ctx, messages(1)...)
			caller.End()
			if err != nil || got != c.want {
				t.Fatalf("Emit = %+v, %v", got, err)
			}
			all := spans.GetSpans()
			i := slices.IndexFunc(all, func(s tracetest.SpanStub) bool { return s.Name == "send "+testTopic })
			if i < 0 {
				t.Fatalf("no span of the batch among %d", len(all))
			}
			span := all[i]
			if span.Parent.IsValid() || span.SpanKind != trace.SpanKindClient || (span.Status.Code == codes.Error) != (c.fault != nil) {
				t.Errorf("span %+v", span)
			}
			if len(span.Links) != 1 || span.Links[0].SpanContext.SpanID() != caller.SpanContext().SpanID() {
				t.Errorf("links %+v, want one to the caller", span.Links)
			}
			attrs := attribute.NewSet(span.Attributes...)
			for key, want := range map[attribute.Key]string{
				"messaging.system": "kafka", "messaging.destination.name": testTopic, "messaging.destination.partition.id": "0",
				"messaging.batch.message_count": "1", "typostream.batch.attempts": "1", "typostream.batch.outcome": c.outcome,
			} {
				if v, _ := attrs.Value(key); v.String() != want {
					t.Errorf("%s = %s, want %s", key, v.String(), want)
				}
			}
			if v, _ := attrs.Value("typostream.batch.bytes"); v.AsInt64() < headerEnd {
				t.Errorf("%d bytes", v.AsInt64())
			}
		})
	}
}

func TestLinksAreBounded(t *testing.T) {
	tracer := sdktrace.NewTracerProvider().Tracer("test")
	var items []*item
	for range 2 * maxLinks {
		_, span := tracer.Start(context.Background(), "caller")
		c := &call{span: span.SpanContext()}
		items = append(items, &item{call: c}, &item{call: c})
	}
	if n := len(linksOf(items)); n != maxLinks {
		t.Errorf("%d links, want %d", n, maxLinks)
	}
	if n := len(linksOf([]*item{{}, items[0], items[2], items[1], {call: &call{}}})); n != 2 {
		t.Errorf("%d links for two callers", n)
	}
}

func TestNoTracerAllocatesNothing(t *testing.T) {
	d := &delivery{l: &lane{k: &Kafka{}, t: &topic{name: testTopic}}}
	if n := testing.AllocsPerRun(100, func() { d.traced(d.trace(), verdict{}) }); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
