package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/typostream/typostream/emitter"
)

// delivery is where events go and what goes with it.
type delivery interface {
	EmitEach(context.Context, ...emitter.Message) ([]emitter.Fate, error)
	Accounting() emitter.Accounting
	Metrics() []prometheus.Collector
	Close(context.Context) error
}

func kafkaConfig(s *settings, log *slog.Logger) emitter.KafkaConfig {
	return emitter.KafkaConfig{
		Brokers: s.Brokers, Attempts: s.SendAttempts, Backoff: s.SendBackoff, CreateTopics: s.CreateTopics,
		Compression: s.Compression, Linger: s.Linger, BatchBytes: s.BatchBytes, QueueBytes: s.QueueBytes,
		RequestTimeout: s.RequestTimeout, DeliveryTimeout: s.DeliveryTimeout, Dial: s.Security.Dial,
		EmitRate: s.EmitRate, EmitBurst: s.EmitBurst, ReplayRate: s.ReplayRate, DeadLetterTopic: s.DeadLetterTopic, Log: log,
	}
}

// newKafka opens the emitter; what is wrong with the settings of its
// connections is found before it connects.
func newKafka(s *settings, spool *emitter.Spool, dead *emitter.DeadLetters, tracer trace.Tracer, log *slog.Logger) (*emitter.Kafka, error) {
	if err := checkSecurity(s); err != nil {
		return nil, err
	}
	cfg := kafkaConfig(s, log)
	cfg.Tracer = tracer
	return emitter.NewKafka(cfg, spool, dead)
}

// checkSecurity finds what is wrong with the settings of connections to Kafka.
func checkSecurity(s *settings) error {
	if err := s.Security.Validate(); err != nil {
		return usagef("see KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_… and KAFKA_SSL_… in the help", "connections to Kafka: %w", err)
	}
	return nil
}

// openDeadLetters touches no file.
func openDeadLetters(s *settings, log *slog.Logger) (*emitter.DeadLetters, error) {
	return emitter.NewDeadLetters(emitter.DeadLettersConfig{Dir: s.OutputDir, MaxBytes: s.DeadLetterBytes, Log: log})
}

// openKafka opens the emitter with its spool. The dead letters are its own
// from then on.
func openKafka(s *settings, dead *emitter.DeadLetters, tracer trace.Tracer, log *slog.Logger) (*emitter.Kafka, error) {
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: s.OutputDir, MaxBytes: s.SpoolBytes, Log: log})
	if err != nil {
		return nil, err
	}
	return newKafka(s, spool, dead, tracer, log)
}

// publishTo makes the scan publish to Kafka. The function it returns closes
// the emitter.
func (r *scanRun) publishTo(s *settings, log *slog.Logger) (func(*error), error) {
	if err := emitter.CheckDir(s.OutputDir); err != nil {
		return nil, err
	}
	dead, err := openDeadLetters(s, log)
	if err != nil {
		return nil, err
	}
	k, err := openKafka(s, dead, r.scanner.Tracer, log)
	if err != nil {
		return nil, err
	}
	known, err := inMemory(s, nil, log)
	if err != nil {
		return nil, err
	}
	r.scanner.Emitter, r.scanner.Dedup, r.kafka = k, known.dedup, k
	return func(err *error) {
		if e := k.Close(context.Background()); e != nil && *err == nil {
			*err = e
		}
	}, nil
}

// drainPatience bounds what a one-shot run does at its end to empty its spool,
// if Kafka is back.
const drainPatience = time.Minute

// drain sends what a one-shot run has spooled, if Kafka takes events by now, and
// returns what became of all its records. before is what the books said when it
// began.
func drain(ctx context.Context, k *emitter.Kafka, before emitter.Accounting) emitter.Receipt {
	if k.Accounting().Spooled > 0 && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, drainPatience)
		defer cancel()
		k.Drain(ctx)
	}
	a := k.Accounting()
	return emitter.Receipt{Acked: int(a.Acked), Spooled: int(a.Spooled), DeadLettered: int(a.DeadLettered - before.DeadLettered)}
}
