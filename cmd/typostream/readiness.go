package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/httpd"
	"github.com/typostream/typostream/resolver"
)

// serve answers HTTP, watches Kafka and replays the spool until the function that it returns is
// called, through the drain too. The end of ctx makes /readyz say that the
// worker is stopping.
func (w *workerRun) serve(ctx context.Context, server *httpd.Server, checks []httpd.Check) (stop func() error) {
	undrain := context.AfterFunc(ctx, server.Drain)
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	go func() { served <- server.Run(serving) }()
	var watch sync.WaitGroup
	watch.Go(func() { w.watchHealth(serving, checks) })
	if w.kafka != nil {
		watch.Go(func() { w.watchKafka(serving) })
		watch.Go(func() { w.ensureTopics(serving) })
		watch.Go(func() { w.kafka.Run(serving) })
	}
	if w.known.tend != nil {
		watch.Go(func() { w.known.tend(serving) })
	}
	return func() error {
		undrain()
		cancel()
		watch.Wait()
		return <-served
	}
}

// details are for /readyz?verbose: health with its figures, and the books:
// accepted = acked + spooled + dead_lettered + in_flight, at one moment.
func (w *workerRun) details() any {
	f := w.figures()
	a := f.accounting
	return map[string]any{"events": map[string]int64{
		"accepted": a.Accepted, "acked": a.Acked, "spooled": a.Spooled, "dead_lettered": a.DeadLettered, "in_flight": a.InFlight,
		"returned": a.Returned, "replayed": a.Replayed, "ambiguous": a.Ambiguous,
	}, "health": w.health.Report(), "numbers": f.details()}
}

// consumerCheck is the name of the check of the consumer group.
const consumerCheck = "kafka_consumer"

// checks are what /readyz looks at. Kafka away is no reason to be taken out of
// service: events go to the spool.
func (w *workerRun) checks() []httpd.Check {
	checks := []httpd.Check{{Name: "resolver", Required: true, Problem: func() error {
		if problem := w.resolverProblem.Load(); problem != nil {
			return *problem
		}
		return unasked("no resolver has answered yet")
	}}}
	if w.kafka != nil {
		checks = append(checks, httpd.Check{Name: "kafka_producer", Problem: w.producerProblem})
	}
	if w.known.dedup != nil {
		checks = append(checks, httpd.Check{Name: "store", Problem: w.known.dedup.Problem})
	}
	if w.intake != nil {
		checks = append(checks, httpd.Check{Name: consumerCheck, Problem: w.intake.Unready})
	}
	return checks
}

// unasked is said of a thing before anything is known of it: no reason for an alarm.
type unasked string

func (u unasked) Error() string { return string(u) }

// producerProblem is why events do not reach Kafka, as far as is known.
func (w *workerRun) producerProblem() error {
	health := w.kafka.Health()
	switch {
	case !health.Known:
		return unasked("not asked yet")
	case !health.Reachable:
		return health.Cause
	case len(health.Problems) > 0:
		return errors.New(strings.Join(health.Problems, "; "))
	}
	return nil
}

// How often a worker asks after what it depends on, so that /readyz is true of
// one that has nothing to do.
const (
	kafkaInterval    = 10 * time.Second
	resolverInterval = 30 * time.Second
)

// ensureTopics makes the topics ready before they are written to, as far as
// Kafka is there and lets it; the emitter sees to them again when it writes.
func (w *workerRun) ensureTopics(ctx context.Context) {
	topics := []string{w.settings.Topics.Candidates, w.settings.Topics.Crawl, w.settings.Topics.Inactive}
	for _, topic := range topics {
		err := w.kafka.EnsureTopics(ctx, topic)
		var told *emitter.KafkaError
		if ctx.Err() != nil || !errors.As(err, &told) || told.Code == 0 {
			continue // well, or Kafka is not there at all, which watchKafka tells
		}
		w.log.Warn("a topic is not ready; what is for it goes to the spool until it is", "topic", topic, "cause", err, "hint", told.Hint())
	}
}

func (w *workerRun) watchKafka(ctx context.Context) {
	for known := error(nil); ; {
		err := w.kafka.Check(ctx, w.settings.Topics.Candidates)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && known == nil:
			w.log.Warn("Kafka does not answer for the candidates; they go to the spool until it does", "brokers", w.settings.Brokers, "cause", err)
		case err == nil && known != nil:
			w.log.Info("Kafka answers again")
		}
		known = err
		if !pause(ctx, kafkaInterval) {
			return
		}
	}
}

// watchResolver begins with a resolver that has just answered.
func (w *workerRun) watchResolver(ctx context.Context, r *resolver.Resolver) {
	var known error
	for {
		problem := known
		w.resolverProblem.Store(&problem)
		if !pause(ctx, resolverInterval) {
			return
		}
		err := r.Check(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && known == nil:
			w.log.Warn("no resolver answers; seeds wait until one does", "cause", err)
		case err == nil && known != nil:
			w.log.Info("the resolvers answer again")
		}
		known = err
	}
}

// pause waits for d and reports whether it did, rather than ctx ending first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
