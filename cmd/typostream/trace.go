package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// traceFlush bounds what the spans left at the end may take.
const traceFlush = 2 * time.Second

func traceOptions() []option {
	return []option{{
		name: "otlp-endpoint", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT"},
		usage: "`URL` of an OpenTelemetry collector that takes spans over HTTP, such as http://127.0.0.1:4318; none are made without",
		set:   setOTLPEndpoint,
	}}
}

func setOTLPEndpoint(s *settings, value string, _ source) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("must be a URL, such as http://127.0.0.1:4318")
	}
	s.OTLPEndpoint = value
	return nil
}

// openTracer returns nil without an endpoint. close flushes, within traceFlush;
// nothing that a collector does or does not do is an error of ours.
func openTracer(s *settings, log *slog.Logger) (tracer trace.Tracer, close func(), err error) {
	if s.OTLPEndpoint == "" {
		return nil, func() {}, nil
	}
	endpoint, err := url.JoinPath(s.OTLPEndpoint, "v1", "traces") // as the variable's meaning is defined
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		cancel()
		return nil, nil, err
	}
	// The later wins: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "typostream"), attribute.String("service.version", version())), resource.WithFromEnv())
	if err != nil {
		log.Warn("a variable of OpenTelemetry cannot be used", "cause", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about),
		sdktrace.WithBatcher(&quietExporter{SpanExporter: exporter, ctx: ctx, log: log}))
	return provider.Tracer("github.com/typostream/typostream"), func() {
		limit, stop := context.WithTimeout(ctx, traceFlush)
		defer stop()
		if err := provider.Shutdown(limit); err != nil {
			log.Warn("the collector has not taken the last spans; they are dropped", "cause", err)
		}
		cancel()
	}, nil
}

// quietExporter logs when exports begin to fail and when they work again, and
// keeps their errors from the SDK, whose error handler is one for the whole
// process and would print a line each time.
type quietExporter struct {
	sdktrace.SpanExporter
	ctx     context.Context // ends exports under way
	log     *slog.Logger
	failing atomic.Bool
}

func (q *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.ctx, cancel)()
	err := q.SpanExporter.ExportSpans(ctx, spans)
	switch was := q.failing.Swap(err != nil); {
	case err != nil && !was:
		q.log.Warn("the collector does not take spans; they are dropped until it does", "cause", err)
	case err == nil && was:
		q.log.Info("the collector takes spans again")
	}
	return nil
}
