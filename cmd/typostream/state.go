package main

import (
	"errors"
	"iter"
	"log/slog"

	"github.com/typostream/typostream/internal/api"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
)

// openState opens the file of what a worker remembers: known candidates, and the
// queue of seeds. A one-shot run has none, nor has a worker whose file another
// one has open: nil then, which is no reason to stop.
func openState(s *settings, log *slog.Logger) (*store.File, error) {
	if s.Oneshot {
		return nil, nil
	}
	path := statePath(s)
	file, setAside, err := store.Open(path)
	if setAside != "" {
		log.Error("the state file was damaged; a new one begins. Seeds that were queued in it must be handed in again", "file", path, "set_aside", setAside)
	}
	if errors.Is(err, store.ErrInUse) {
		log.Warn("another worker has the state file; this one takes no submissions over HTTP, and without Redis remembers known candidates until it ends. Give each a STATE_DIR", "file", path)
		return nil, nil
	}
	return file, err
}

// openMemory opens what the worker remembers; closeMemory closes it, or as much
// of it as is open.
func (w *workerRun) openMemory() (err error) {
	if w.state, err = openState(w.settings, w.log); err != nil {
		return err
	}
	w.openLists()
	w.known, err = openKnown(w.settings, w.state, w.metrics, w.log)
	return err
}

func (w *workerRun) closeMemory() error {
	var errs []error
	if w.known != nil {
		errs = append(errs, w.known.close())
	}
	if w.schedule != nil {
		errs = append(errs, w.schedule.Close())
	}
	if w.shared != nil {
		errs = append(errs, w.shared.Close())
	}
	if w.state != nil {
		errs = append(errs, w.state.Close())
	}
	return errors.Join(errs...)
}

// openQueue makes a source of the queue in the file, if there is one.
func (w *workerRun) openQueue() error {
	if w.state == nil {
		return nil
	}
	kept, err := w.state.Queue()
	if err != nil {
		return err
	}
	w.queue, err = pipeline.NewQueueSource(pipeline.QueueConfig{Store: kept, Limit: w.settings.QueueMax, Metrics: w.metrics, Log: w.log})
	if err != nil {
		return err
	}
	if waiting := w.queue.Stats().Waiting(); waiting > 0 {
		w.log.Info("the queue goes on where it was", "seeds", waiting)
	}
	w.first = w.queue.Persons()
	w.sources = append(w.sources, w.queue.Others())
	return nil
}

// names are what a scan of the seed would ask about now.
func (w *workerRun) names(seed pipeline.Seed) (iter.Seq[string], int) {
	variants, total, _ := pipeline.Names(seed, w.permute, w.lists.Current())
	return func(yield func(string) bool) {
		for v := range variants {
			if !yield(v.FQDN) {
				return
			}
		}
	}, total
}

// openAPI makes what answers below /api/.
func (w *workerRun) openAPI() *api.Handler {
	cfg := api.Config{
		Closed: !w.settings.Sources.http, Progress: w.progress, Names: w.names, OutputDir: w.settings.OutputDir, Find: w.known.find, Allow: w.allowed, Deny: w.denied, Log: w.log,
	}
	if w.queue != nil { // an interface of a nil pointer would not be nil
		cfg.Queue = w.queue
	}
	if w.watch != nil {
		cfg.Watched = w.watch
	}
	if w.kafka != nil {
		cfg.Emit, cfg.Spool, cfg.Drain, cfg.Kafka = w.kafka.EmitEach, w.kafka.SpoolState, w.kafka.DrainNow, w.kafka.Health
	}
	if w.known.history != nil {
		cfg.History = w.known.history
	}
	if token := w.settings.HTTPToken; token.Value != "" || token.File != "" {
		cfg.Token = token.Read
	}
	handler := api.New(cfg)
	w.registry.MustRegister(handler.Metrics()...)
	return handler
}
