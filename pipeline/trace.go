package pipeline

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/typostream/typostream/emitter"
)

// traced is scan in a span of its own.
func (s *Scanner) traced(ctx context.Context, seed Seed) (Summary, error) {
	ctx, span := s.Tracer.Start(ctx, "scan", trace.WithAttributes(
		attribute.String("typostream.seed", seed.FQDN), attribute.String("typostream.brand", seed.Brand),
		attribute.String("typostream.scan", seed.Scan)))
	defer span.End()
	summary, err := s.scan(ctx, seed)
	span.SetAttributes(
		attribute.Int("typostream.generated", summary.Generated), attribute.Int("typostream.registered", summary.Registered),
		attribute.Int("typostream.absent", summary.Absent), attribute.Int("typostream.unknown", summary.Unknown),
		attribute.Int("typostream.candidates", summary.Candidates), attribute.Int("typostream.suppressed", summary.Suppressed))
	switch {
	case err != nil:
		span.SetStatus(codes.Error, err.Error())
	case summary.answered() != nil:
		span.SetStatus(codes.Error, ErrUnanswered.Error())
	}
	return summary, err
}

// emitTraced hands messages to the emitter, in a span of their own if there is
// a tracer: the emitter's batches are linked to it.
func (p *publisher) emitTraced(ctx context.Context, messages []emitter.Message) ([]emitter.Fate, error) {
	if p.tracer == nil {
		return p.emitter.EmitEach(ctx, messages...)
	}
	ctx, span := p.tracer.Start(ctx, "publish", trace.WithAttributes(attribute.Int("typostream.events", len(messages))))
	defer span.End()
	fates, err := p.emitter.EmitEach(ctx, messages...)
	r := emitter.Tally(fates)
	span.SetAttributes(attribute.Int("typostream.acked", r.Acked), attribute.Int("typostream.spooled", r.Spooled),
		attribute.Int("typostream.dead_lettered", r.DeadLettered))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return fates, err
}
