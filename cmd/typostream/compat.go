package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/typostream/typostream/emitter"
)

// This file holds what --compat ps02 changes besides defaults: the names of
// files, and that there are such files although Kafka has the records.

// recordFile names the file of a topic's records. With --compat that of the
// candidates is named after the service that is stood in for; other topics keep
// the emitter's own names.
func recordFile(s *settings) func(topic string, at time.Time) string {
	return func(topic string, at time.Time) string {
		if s.Compat != "" && topic == s.Topics.Candidates {
			if topic = "dnstwist_variants"; s.Oneshot {
				topic = "dnstwist_candidates"
			}
		}
		return emitter.RecordFile(topic, at)
	}
}

// twin writes each durable record of one topic to a file too. The file is a
// copy: what happens to it changes neither what becomes of a record nor the
// books.
type twin struct {
	delivery
	topic string
	files *emitter.Files
	log   *slog.Logger
}

// openTwin gives the delivery of a worker with Kafka its copies.
func openTwin(s *settings, to delivery, log *slog.Logger) (*twin, error) {
	files, err := emitter.NewFiles(emitter.FilesConfig{Dir: s.OutputDir, Name: recordFile(s), Log: log})
	if err != nil {
		return nil, err
	}
	return &twin{delivery: to, topic: s.Topics.Candidates, files: files, log: log}, nil
}

func (t *twin) EmitEach(ctx context.Context, messages ...emitter.Message) ([]emitter.Fate, error) {
	fates, err := t.delivery.EmitEach(ctx, messages...)
	var copies []emitter.Message
	for i, fate := range fates {
		if messages[i].Topic == t.topic && fate != emitter.FateUndelivered {
			copies = append(copies, messages[i])
		}
	}
	if len(copies) == 0 {
		return fates, err
	}
	if _, e := t.files.EmitEach(context.WithoutCancel(ctx), copies...); e != nil {
		t.log.Error("copies of records could not be written to their file; the records themselves are safe", "records", len(copies), "cause", e)
	}
	return fates, err
}

func (t *twin) Close(ctx context.Context) error {
	return errors.Join(t.delivery.Close(ctx), t.files.Close(ctx))
}
