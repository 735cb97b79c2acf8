package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/urfave/cli/v3"
	"go.opentelemetry.io/otel/trace"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/api"
	"github.com/typostream/typostream/internal/health"
	"github.com/typostream/typostream/internal/httpd"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

func workerCommand(t *terminal) *cli.Command {
	return t.command(&cli.Command{
		Name: "worker", Usage: "take seeds from Kafka and a file, and deliver what is registered, until stopped",
		Description: `EXAMPLES:
   KAFKA_BOOTSTRAP=kafka:9092 typostream worker
   typostream worker --no-kafka --mode oneshot --seeds brands.csv --output-dir out

The first SIGTERM or SIGINT lets seeds in work finish, the second aborts.`,
	}, workerCatalogue(), func(ctx context.Context, s *settings, arguments []string) error {
		if len(arguments) > 0 {
			return usagef("name a file with --seeds, or use typostream scan", "worker takes no arguments (got %q)", arguments[0])
		}
		return t.work(ctx, s)
	})
}

// work runs one worker. What it opens it closes in the opposite order, so that
// the emitter outlives everything that emits.
func (t *terminal) work(ctx context.Context, s *settings) (err error) {
	log, level := t.leveledLogger(s)
	if err := emitter.CheckDir(s.OutputDir); err != nil {
		return err
	}
	permute, err := t.contractPermuter(s)
	if err != nil {
		return err
	}
	for _, from := range s.unused {
		log.Warn("setting accepted and not used by this version", "setting", from.name)
	}
	allow, err := t.openAllowFile(s.Allow, log)
	if err != nil {
		return err
	}
	var feed atomic.Pointer[pipeline.CSVFeed]
	defer onHangup(func() {
		allow.reload()
		if f := feed.Load(); f != nil {
			f.Reload()
		}
	})()
	country, err := openCountries(s, false)
	if err != nil {
		return err
	}
	dead, err := openDeadLetters(s, log)
	if err != nil {
		return err
	}
	tracer, closeTracer, err := openTracer(s, log)
	if err != nil {
		return err
	}
	defer closeTracer()
	w := &workerRun{settings: s, log: log, tracer: tracer, permute: permute, allow: allow, country: country, progress: api.NewProgress(), metrics: pipeline.NewMetrics(), dead: dead, registry: prometheus.NewRegistry()}
	if err := w.openEmitter(); err != nil {
		return err
	}
	defer func() {
		if e := w.emitter.Close(context.Background()); e != nil && err == nil {
			err = e
		}
	}()
	defer func() {
		if e := w.closeMemory(); e != nil && err == nil {
			err = e
		}
	}()
	if err := w.openMemory(); err != nil {
		return err
	}
	if err := w.openSources(); err != nil {
		return err
	}
	feed.Store(w.feed)
	w.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	w.registry.MustRegister(w.metrics.Collectors()...)
	w.registry.MustRegister(w.emitter.Metrics()...)
	if err := w.openHealth(); err != nil {
		return err
	}
	checks, answers := w.checks(), w.openAPI()
	shown := append(checks[:len(checks):len(checks)], httpd.Check{Name: "health", Problem: w.healthProblem})
	server, err := httpd.Listen(httpd.Config{
		Addrs: s.HTTPAddrs, Gatherer: w.registry, Checks: shown, Details: w.details, API: answers, Stopping: answers.Stop, LogLevel: level, Log: log,
	})
	if err != nil {
		return usagef("choose another with --http-addr or HTTP_ADDR; port 0 picks one", "%w", err)
	}
	stopServing := w.serve(ctx, server, checks)
	defer func() {
		if e := stopServing(); e != nil && err == nil {
			err = e
		}
	}()
	if s.LogFormat == "json" {
		t.log.Store(log) // from here on it runs, and programs read what it says
	}
	log.Info("worker started", "version", version(), "http", strings.Join(server.Addrs(), ","), "kafka", s.Kafka, "output_dir", s.OutputDir)
	return w.run(ctx)
}

// workerRun is what a worker consists of.
type workerRun struct {
	settings *settings
	log      *slog.Logger
	tracer   trace.Tracer // nil: no spans
	permute  func(fuzzer.Seed) *fuzzer.Permutations
	allow    *allowFile
	country  func(address string) string // nil: not told
	progress *api.Progress               // of scans, for the API
	metrics  *pipeline.Metrics
	dead     *emitter.DeadLetters
	emitter  delivery
	kafka    *emitter.Kafka     // the emitter, when it is Kafka
	found    emitter.Accounting // what it found on disk at the start
	final    emitter.Receipt    // of a one-shot run, at its end
	known    *knownCandidates
	state    *store.File     // nil: none
	first    pipeline.Source // of the queue, what persons wait for; nil without one
	sources  []pipeline.Source
	csv      *pipeline.CSVSource   // one of the sources, when a file of seeds does not go through the queue
	feed     *pipeline.CSVFeed     // one of the sources, when it does
	intake   *pipeline.KafkaSource // one of the sources, when there is Kafka
	queue    *pipeline.QueueSource // two of the sources, when there is a state file
	watch    *pipeline.Watch       // one of the sources; nil: nothing is scanned by the clock
	schedule *store.Redis          // of watch, when it is there
	shared   *store.Redis          // of the next two, when they are there
	allowed  keptList              // nil: none is kept
	denied   keptList              // likewise
	lists    *pipeline.Lists       // those, and the file
	registry *prometheus.Registry

	health      *health.Watch
	webhook     *health.Webhook // nil: nobody is told
	memoryLimit int64           // 0: none

	resolverProblem atomic.Pointer[error] // what was found out last; nil before anything is known
}

func (w *workerRun) openEmitter() error {
	if !w.settings.Kafka {
		files, err := emitter.NewFiles(emitter.FilesConfig{Dir: w.settings.OutputDir, Name: recordFile(w.settings), Log: w.log})
		w.emitter = files
		return err
	}
	kafka, err := openKafka(w.settings, w.dead, w.tracer, w.log)
	if err != nil {
		return err
	}
	w.emitter, w.kafka = kafka, kafka
	if err := kafka.Recover(); err != nil {
		return err
	}
	if w.found = kafka.Accounting(); w.found.Accepted > 0 {
		w.log.Info("events of an earlier run were found", "spooled", w.found.Spooled, "dead_lettered", w.found.DeadLettered)
	}
	if w.settings.Compat != "" {
		both, err := openTwin(w.settings, kafka, w.log)
		if err != nil {
			return err
		}
		w.emitter = both
	}
	return nil
}

// openResolver waits for the resolvers: a worker that is started together with
// them must not die because they come up later.
func (w *workerRun) openResolver(ctx context.Context) (*resolver.Resolver, error) {
	for {
		r, err := newResolver(ctx, w.settings, w.log)
		var silent *resolver.CheckError
		if w.settings.Oneshot || !errors.As(err, &silent) {
			return r, err
		}
		w.resolverProblem.Store(&err)
		w.log.Warn("waiting for the resolvers", "cause", err, "in", w.settings.RetryDelay)
		if !pause(ctx, w.settings.RetryDelay) {
			return nil, ctx.Err()
		}
	}
}

func (w *workerRun) run(ctx context.Context) error {
	s := w.settings
	resolve, err := w.openResolver(ctx)
	if err != nil {
		if ctx.Err() != nil && !s.Oneshot {
			return nil // stopped while it waited; nothing was begun
		}
		return err
	}
	defer resolve.Close()
	w.registry.MustRegister(resolve.Metrics()...)
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() { w.watchResolver(watching, resolve) })
	defer watch.Wait()
	defer stopWatching()

	sent := "sent"
	if !s.Kafka {
		sent = "written"
	}
	watcher, stopShowing := w.showScans()
	defer stopShowing()
	worker := &pipeline.Worker{
		Scanner: &pipeline.Scanner{
			Resolver: resolve, Permute: w.permute, Lists: w.lists.Current, Country: w.country, Emitter: w.emitter, Dedup: w.known.dedup, Topics: s.Topics, Track: s.Track, Metrics: w.metrics, Tracer: w.tracer, Log: w.log,
			Observer: w.progress.Observer(),
		},
		First: w.first, Sources: w.sources, Schedule: w.watch, Parallel: s.Parallel, DrainTimeout: s.DrainTimeout, GiveUp: w.giveUp, RetryDelay: s.RetryDelay,
		Sent: sent, Watcher: watcher, Metrics: w.metrics, Log: w.log,
	}
	err = worker.Run(ctx)
	if s.Oneshot && w.kafka != nil {
		w.final = drain(ctx, w.kafka, w.found)
	}
	w.reportEnd(worker.Total())
	if err != nil || !s.Oneshot {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if w.csv.Seeds() == 0 {
		return usagef(seedFileHint, "%s holds no domain that can be used", s.SeedsCSV)
	}
	return w.incomplete(worker.Total())
}

// giveUp sends what waits for Kafka to the spool: the time to drain is over.
func (w *workerRun) giveUp() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.emitter.Close(over); err != nil {
		w.log.Error("the emitter was not closed as it should be", "cause", err)
	}
}

// reportEnd logs the accounts of the whole run, the events in all their states:
// accepted = acked + spooled + dead_lettered + in_flight. Of the other figures
// those of trouble are named only where there is some.
func (w *workerRun) reportEnd(total pipeline.Summary) {
	a := w.emitter.Accounting()
	attrs := []any{
		"generated", total.Generated, "registered", total.Registered, "absent", total.Absent,
		"accepted", a.Accepted, "acked", a.Acked, "spooled", a.Spooled, "dead_lettered", a.DeadLettered, "in_flight", a.InFlight,
	}
	for _, trouble := range []struct {
		name  string
		count int64
	}{{"unknown", int64(total.Unknown)}, {"allowed", int64(total.Allowed)}, {"replayed", a.Replayed}, {"returned", a.Returned}, {"ambiguous", a.Ambiguous}} {
		if trouble.count > 0 {
			attrs = append(attrs, trouble.name, trouble.count)
		}
	}
	w.log.Info("worker stopped", attrs...)
}

func (w *workerRun) incomplete(total pipeline.Summary) error {
	if err := tooManyUnknown(total.Unknown, total.Generated, w.settings.MaxUnknown); err != nil {
		return err
	}
	return undelivered(w.final, w.settings.OutputDir)
}

// contractPermuter generates the union of the contract's three passes, with
// the lists of DICT_DIR where they exist.
func (t *terminal) contractPermuter(s *settings) (func(fuzzer.Seed) *fuzzer.Permutations, error) {
	var lists fuzzer.Lists
	for _, list := range []struct {
		file  string
		field *[]string
		read  func(...string) ([]string, error)
	}{
		{"common_tlds.dict", &lists.Common, t.readSuffixes},
		{"india_tlds.dict", &lists.Home, t.readSuffixes},
		{"english.dict", &lists.Words, t.readWords},
		{"high_risk.dict", &lists.HighRisk, t.readWords},
	} {
		path, exists := maybeFile(s.DictDir, list.file)
		if !exists {
			continue
		}
		var err error
		if *list.field, err = list.read(path); err != nil {
			return nil, err
		}
	}
	if s.Country != "" && lists.Home == nil {
		lists.Home = fuzzer.HomeSuffixes(s.Country)
	}
	ranking := fuzzer.RankOptions{Words: fuzzer.MergeLists(lists.Words, lists.HighRisk), Suffixes: fuzzer.MergeLists(lists.Common, lists.Home)}
	return func(seed fuzzer.Seed) *fuzzer.Permutations {
		return fuzzer.Likeliest(fuzzer.Permute(seed, fuzzer.ContractPasses(seed, lists)...), s.Limit, ranking)
	}, nil
}
