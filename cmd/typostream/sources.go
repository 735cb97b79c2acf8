package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/typostream/typostream/pipeline"
)

// sourceSet says where seeds are taken from.
type sourceSet struct{ csv, kafka, http bool }

func setSources(s *settings, value string, _ source) error {
	var set sourceSet
	for _, name := range splitList(value) {
		switch name {
		case "csv":
			set.csv = true
		case "kafka":
			set.kafka = true
		case "http":
			set.http = true
		default:
			return errors.New("must be some of csv, kafka, http")
		}
	}
	s.Sources = set
	return nil
}

// openSources opens where seeds come from.
func (w *workerRun) openSources() error {
	s := w.settings
	if err := w.openQueue(); err != nil {
		return err
	}
	if err := w.openFile(); err != nil {
		return err
	}
	w.openWatch()
	switch {
	case s.Oneshot && len(w.sources) == 0:
		return usagef("name one with --seeds or SEEDS_CSV", "mode oneshot needs a file of seeds, and %s does not exist", s.SeedsCSV)
	case s.Oneshot:
	case s.Kafka && s.Sources.kafka:
		source, err := pipeline.NewKafkaSource(pipeline.KafkaSourceConfig{
			Brokers: s.Brokers, Topic: s.InputTopic, Group: s.Group, FuzzSources: s.FuzzSources, RetryDelay: s.RetryDelay, Dial: s.Security.Dial,
			DeadLetters: w.dead, Metrics: w.metrics, Log: w.log,
		})
		if err != nil {
			return err
		}
		w.intake = source
		w.sources = append(w.sources, source)
	case w.queue == nil && w.watch == nil:
		w.sources = append(w.sources, idle{})
	}
	return nil
}

// openFile makes a source of the file of seeds: by way of the queue, if there is
// one, else directly.
func (w *workerRun) openFile() error {
	s := w.settings
	if !s.Sources.csv || s.SeedsCSV == "" || w.queue == nil && !s.ReadCSV {
		return nil
	}
	exists, err := w.seedsExist()
	if err != nil {
		return err
	}
	switch {
	case w.queue != nil:
		w.feed = pipeline.NewCSVFeed(pipeline.CSVFeedConfig{
			Path: s.SeedsCSV, AtStart: s.ReadCSV && exists, Optional: !exists, Queue: w.queue, Rows: w.state.Rows(), Metrics: w.metrics, Log: w.log,
		})
		w.sources = append(w.sources, w.feed)
	case exists:
		w.csv = &pipeline.CSVSource{
			Name: s.SeedsCSV, Open: func() (io.ReadCloser, error) { return os.Open(s.SeedsCSV) },
			Metrics: w.metrics, Log: w.log,
		}
		w.sources = append(w.sources, w.csv)
	}
	return nil
}

// seedsExist reports whether there is a file of seeds, which the default one need
// not be. One that was named and is to be read must be readable.
func (w *workerRun) seedsExist() (bool, error) {
	path := w.settings.SeedsCSV
	_, err := os.Stat(path)
	switch {
	case !w.settings.ReadCSV:
		return err == nil, nil
	case w.settings.sources["seeds"].kind == "default" && errors.Is(err, os.ErrNotExist):
		w.log.Info("there is no file of seeds", "file", path)
		return false, nil
	}
	file, err := openFile(path)
	if err != nil {
		return false, err
	}
	return true, file.Close()
}

// idle keeps a worker with neither Kafka nor a queue alive after its file of
// seeds.
type idle struct{}

func (idle) Run(ctx context.Context, _ chan<- pipeline.Delivery) error {
	<-ctx.Done()
	return nil
}
