package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/typostream/typostream/emitter"
)

// outputDirError says that the output directory cannot be used.
type outputDirError struct {
	dir string
	err error
}

func (e *outputDirError) Error() string {
	return fmt.Sprintf("cannot write to the output directory %s: %v", e.dir, e.err)
}
func (e *outputDirError) Unwrap() error { return e.err }
func (e *outputDirError) Hint() string {
	return "make it writable or name another with --output-dir or OUTPUT_DIR"
}

// checkOutputDir creates the directory and proves that a file can be written
// there: without it nothing could be kept when Kafka is gone.
func checkOutputDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return &outputDirError{dir, cause(err)}
	}
	probe, err := os.CreateTemp(dir, ".typostream-probe-*")
	if err != nil {
		return &outputDirError{dir, cause(err)}
	}
	_, err = probe.WriteString("typostream\n")
	if e := probe.Close(); err == nil {
		err = e
	}
	if e := os.Remove(probe.Name()); err == nil {
		err = e
	}
	if err != nil {
		return &outputDirError{dir, cause(err)}
	}
	return nil
}

// delivery is where events go and what goes with it.
type delivery interface {
	Emit(context.Context, ...emitter.Message) (emitter.Receipt, error)
	Accounting() emitter.Accounting
	Metrics() []prometheus.Collector
	Close(context.Context) error
}

func kafkaConfig(s *settings, log *slog.Logger) emitter.KafkaConfig {
	return emitter.KafkaConfig{Brokers: s.Brokers, Attempts: s.SendAttempts, Backoff: s.SendBackoff, Log: log}
}

// openKafka opens the emitter with its spool. The dead letters are its own
// from then on.
func openKafka(s *settings, dead *emitter.DeadLetters, log *slog.Logger) (*emitter.Kafka, error) {
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: s.OutputDir, Log: log})
	if err != nil {
		return nil, err
	}
	return emitter.NewKafka(kafkaConfig(s, log), spool, dead)
}

// publishTo makes the scan publish to Kafka. The function it returns closes
// the emitter.
func (r *scanRun) publishTo(s *settings, log *slog.Logger) (func(*error), error) {
	if err := checkOutputDir(s.OutputDir); err != nil {
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
