package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/typostream/typostream/emitter"
)

// delivery is where events go and what goes with it.
type delivery interface {
	Emit(context.Context, ...emitter.Message) (emitter.Receipt, error)
	Accounting() emitter.Accounting
	Metrics() []prometheus.Collector
	Close(context.Context) error
}

func kafkaConfig(s *settings, log *slog.Logger) emitter.KafkaConfig {
	return emitter.KafkaConfig{
		Brokers: s.Brokers, Attempts: s.SendAttempts, Backoff: s.SendBackoff, CreateTopics: s.CreateTopics,
		Compression: s.Compression, Linger: s.Linger, BatchBytes: s.BatchBytes, QueueBytes: s.QueueBytes,
		RequestTimeout: s.RequestTimeout, DeliveryTimeout: s.DeliveryTimeout, Dial: s.Security.Dial, Log: log,
	}
}

// newKafka opens the emitter; what is wrong with the settings of its
// connections is found before it connects.
func newKafka(s *settings, spool *emitter.Spool, dead *emitter.DeadLetters, log *slog.Logger) (*emitter.Kafka, error) {
	if err := s.Security.Validate(); err != nil {
		return nil, usagef("see KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_… and KAFKA_SSL_… in the help", "connections to Kafka: %w", err)
	}
	return emitter.NewKafka(kafkaConfig(s, log), spool, dead)
}

// openKafka opens the emitter with its spool. The dead letters are its own
// from then on.
func openKafka(s *settings, dead *emitter.DeadLetters, log *slog.Logger) (*emitter.Kafka, error) {
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: s.OutputDir, Log: log})
	if err != nil {
		return nil, err
	}
	return newKafka(s, spool, dead, log)
}

// publishTo makes the scan publish to Kafka. The function it returns closes
// the emitter.
func (r *scanRun) publishTo(s *settings, log *slog.Logger) (func(*error), error) {
	if err := emitter.CheckDir(s.OutputDir); err != nil {
		return nil, err
	}
	dead, err := emitter.NewDeadLetters(emitter.DeadLettersConfig{Dir: s.OutputDir, Log: log})
	if err != nil {
		return nil, err
	}
	k, err := openKafka(s, dead, log)
	if err != nil {
		return nil, err
	}
	r.scanner.Emitter = k
	return func(err *error) {
		if e := k.Close(context.Background()); e != nil && *err == nil {
			*err = e
		}
	}, nil
}
