package emitter

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// maxLinks bounds the links of a batch's span: a batch may carry the events of
// thousands of callers.
const maxLinks = 32

// trace begins the span of a batch on its way to its partition, named as
// OpenTelemetry's conventions for messaging have it. The batch mixes callers, so
// it is nobody's child: it is linked to the spans that its callers were in.
// Without a tracer it is nil.
func (d *delivery) trace() trace.Span {
	l := d.l
	if l.k.cfg.Tracer == nil {
		return nil
	}
	_, span := l.k.cfg.Tracer.Start(context.Background(), "send "+l.t.name,
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(linksOf(d.items)...),
		trace.WithAttributes(
			attribute.String("messaging.system", "kafka"),
			attribute.String("messaging.operation.name", "send"),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.name", l.t.name),
			attribute.String("messaging.destination.partition.id", strconv.Itoa(l.partition)),
			attribute.Int("messaging.batch.message_count", d.records),
		))
	return span
}

// linksOf are those to the callers of the items, each once, the first maxLinks.
func linksOf(items []*item) []trace.Link {
	var (
		links []trace.Link
		last  *call
		seen  = map[trace.SpanID]bool{}
	)
	for _, it := range items {
		if it.call == nil || it.call == last || len(links) == maxLinks {
			continue
		}
		last = it.call
		if from := it.call.span; from.IsValid() && !seen[from.SpanID()] {
			seen[from.SpanID()] = true
			links = append(links, trace.Link{SpanContext: from})
		}
	}
	return links
}

// traced ends the batch's span with the verdict of the last attempt.
func (d *delivery) traced(span trace.Span, v verdict) {
	if span == nil {
		return
	}
	outcome := "undelivered"
	switch {
	case v.class == classAcked:
		outcome = "acked"
	case v.class == classRecord && d.records > 1:
		outcome = "split" // each half has a span of its own
	case v.class == classRecord:
		outcome = "rejected"
	case d.ambiguous:
		outcome = "unknown"
	}
	span.SetAttributes(
		attribute.Int("typostream.batch.bytes", d.bytes), attribute.Int("typostream.batch.attempts", d.attempts),
		attribute.String("typostream.batch.outcome", outcome))
	if v.class != classAcked {
		kind := "_OTHER"
		if v.code != 0 {
			kind = strconv.Itoa(int(v.code))
		}
		span.SetAttributes(attribute.String("error.type", kind))
		span.SetStatus(codes.Error, brief(v.err))
	}
	span.End()
}
