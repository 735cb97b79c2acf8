package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

// scanFlags are the options of scan alone.
type scanFlags struct {
	input, output, format, show       string
	registered, unregistered, records bool
	geoip                             bool
}

func scanCommand(t *terminal) *cli.Command {
	var f scanFlags
	intoBool := func(target *bool) func(*settings, string, source) error {
		return toggle(func(*settings) *bool { return target })
	}
	options := join([]option{
		{name: "input", short: "i", usage: "seeds, lines or CSV, from `FILE`; - is standard input", set: into(&f.input)},
		{
			name: "format", short: "f", usage: "`NAME`: table, jsonl (whole events), json, csv, list (default table on a terminal, else jsonl)",
			set: into(&f.format),
		},
		{name: "output", short: "o", usage: "write to `FILE`, which must not exist yet", set: into(&f.output)},
		{name: "registered", short: "r", value: "false", toggle: true, usage: "show registered names only, which is the default", set: intoBool(&f.registered)},
		{name: "unregistered", short: "u", value: "false", toggle: true, usage: "show absent names instead", set: intoBool(&f.unregistered)},
		{name: "show", usage: "show the names of one `STATE`: registered, absent, unknown, or all", set: into(&f.show)},
		{name: "all", short: "a", value: "false", toggle: true, usage: "show all records of a type instead of the first", set: intoBool(&f.records)},
		geoipSwitch(&f.geoip), geoipOption(),
		kafkaOption("false"),
	}, fuzzerOptions(), dnsOptions(), brokerOptions(), []option{cacheOption(), outputDirOption("out")}, emitRateOptions(), spoolOptions(), traceOptions(), logOptions("text"))
	return t.command(&cli.Command{
		Name: "scan", Usage: "find the registered look-alikes of domains", ArgsUsage: "DOMAIN|URL...",
		Description: `EXAMPLES:
   typostream scan example.com
   typostream scan -f csv -o report.csv -i brands.csv
   typostream scan --fuzzers homoglyph,addition --nameservers 127.0.0.1:5335 example.com
   typostream scan --kafka --bootstrap 127.0.0.1:9092 example.com

` + exitCodesHelp,
	}, options, func(ctx context.Context, s *settings, arguments []string) error {
		if err := f.check(isTerminal(t.stdout)); err != nil {
			return err
		}
		collectLess()
		return t.scan(ctx, s, &f, arguments)
	})
}

// check completes the flags and refuses those that contradict each other.
func (f *scanFlags) check(onTerminal bool) error {
	if f.registered && f.unregistered || f.show != "" && (f.registered || f.unregistered) {
		return usagef("--show all shows every name", "-r, -u and --show exclude each other")
	}
	switch {
	case f.unregistered:
		f.show = resolver.Absent.String()
	case f.show == "":
		f.show = resolver.Registered.String()
	case f.show != "all" && f.show != "registered" && f.show != "absent" && f.show != "unknown":
		return usagef("", "--show: must be registered, absent, unknown or all (got %q)", f.show)
	}
	switch f.format {
	case "":
		f.format = "jsonl"
		if onTerminal && (f.output == "" || f.output == "-") {
			f.format = "table"
		}
	case "table", "jsonl", "json", "csv", "list":
	case "cli":
		f.format = "table" // dnstwist's name for it
	default:
		return usagef("", "--format: must be table, jsonl, json, csv or list (got %q)", f.format)
	}
	return nil
}

func (t *terminal) scan(ctx context.Context, s *settings, f *scanFlags, arguments []string) (err error) {
	permute, err := t.permuter(s)
	if err != nil {
		return err
	}
	allow, err := t.readAllowList(s.Allow)
	if err != nil {
		return err
	}
	country, err := openCountries(s, f.geoip)
	if err != nil {
		return err
	}
	in, closeInput, err := t.openSeeds(arguments, f.input)
	if err != nil {
		return err
	}
	defer closeInput()
	log := t.logger(s)
	resolve, err := newResolver(ctx, s, log)
	if err != nil {
		return err
	}
	defer resolve.Close()
	out, err := t.createOutput(f.output)
	if err != nil {
		return err
	}
	defer closing(out, &err)
	w := newPromptWriter(out)
	defer flushing(w, &err)

	lists := &fuzzer.DomainLists{Allow: []*fuzzer.DomainList{allow}}
	run := &scanRun{t: t, flags: f, settings: s, permute: permute, results: newResultWriter(w, f.format, f.records), resolver: resolve, begun: time.Now(), estimates: map[string]int{}}
	run.scanner = &pipeline.Scanner{
		Resolver: resolve, Lists: func() *fuzzer.DomainLists { return lists }, Topics: pipeline.Topics{Candidates: s.Topics.Candidates},
		Country: country, Observer: pipeline.Observer{Generated: run.generated, Answered: run.answered}, Log: log,
	}
	if !s.Kafka {
		return run.scanAll(ctx, in)
	}
	tracer, closeTracer, err := openTracer(s, log)
	if err != nil {
		return err
	}
	defer closeTracer()
	run.scanner.Tracer = tracer
	closeEmitter, err := run.publishTo(s, log)
	if err != nil {
		return err
	}
	defer closeEmitter(&err)
	return run.scanAll(ctx, in)
}

// collectLess has garbage collected when the heap has grown ninefold, not
// twofold: a scan is over before that pays (a tenth less CPU, for 2 MiB).
// GOGC, if it is set, and GOMEMLIMIT stay as they are.
func collectLess() {
	const usual = 100
	if before := debug.SetGCPercent(800); before != usual {
		debug.SetGCPercent(before)
	}
}

// newResolver opens the resolver that the options describe and lets it find
// out which of its upstreams answer. No types means all.
func newResolver(ctx context.Context, s *settings, log *slog.Logger, types ...resolver.Type) (*resolver.Resolver, error) {
	upstreams, err := readNameservers(s.Nameservers)
	if err != nil {
		return nil, err
	}
	r, err := resolver.New(resolver.Config{
		AskParent: s.AskParent, CacheEntries: s.CacheEntries, CanaryExists: s.CanaryExists, CanaryAbsent: s.CanaryAbsent,
		Upstreams: upstreams, Types: types, Concurrency: s.Threads, Attempts: s.DNSAttempts, Timeout: s.DNSTimeout, QPS: s.QPS, Log: log,
	})
	if err != nil {
		return nil, s.resolverFault(err)
	}
	if err := r.Check(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// resolverFault names the option or variable that a fault of the resolver's
// configuration came from.
func (s *settings) resolverFault(err error) error {
	var fault *resolver.ConfigError
	if !errors.As(err, &fault) {
		return err
	}
	names := map[string]string{
		"Upstreams": "nameservers", "Concurrency": "threads", "Attempts": "dns-retries", "Timeout": "dns-timeout", "QPS": "qps", "Types": "types",
		"CanaryExists": "canary-exists", "CanaryAbsent": "canary-absent", "CacheEntries": "dns-cache",
	}
	from, known := s.sources[names[fault.Field]]
	if !known || from.kind == "default" {
		return usagef("", "%w", err)
	}
	return usagef(fault.Hint(), "%s: %q %s", from.name, fault.Value, fault.Rule)
}

// scanRun is one run of the command over all its seeds.
type scanRun struct {
	t        *terminal
	flags    *scanFlags
	settings *settings
	permute  permuteFunc
	scanner  *pipeline.Scanner // but for Permute, which each seed has its own of
	kafka    *emitter.Kafka    // nil: nothing is published
	resolver *resolver.Resolver
	begun    time.Time

	mu       sync.Mutex // guards all below
	results  resultWriter
	progress progress
	// estimates of the names of the seeds in work, by scan: a ranked profile
	// without a limit knows only at its end how many it makes.
	estimates map[string]int
	total     pipeline.Summary
	writeErr  error
}

// parallelSeeds hides the last, slow names of a seed behind the next seed's.
const parallelSeeds = 4

func (r *scanRun) scanAll(ctx context.Context, in seedInput) error {
	scanCtx, stop := context.WithCancel(ctx)
	defer stop()
	stopStatus := startStatus(r.t.stderr, r.now)
	var tally inputTally
	var scans errgroup.Group
	scans.SetLimit(parallelSeeds)
	id := 0
	for plan := range r.t.plans(in, &tally, r.settings, r.permute) {
		if scanCtx.Err() != nil {
			break
		}
		id++
		seed, scanner := plan.seed, *r.scanner
		scanner.Permute = plan.permute
		seed.Scan = fmt.Sprintf("scan-%d-%d", r.begun.UnixMilli(), id)
		scans.Go(func() error {
			summary, err := scanner.Scan(scanCtx, seed)
			r.mu.Lock()
			r.total.Add(summary)
			r.progress.names += summary.Generated - r.estimates[seed.Scan]
			delete(r.estimates, seed.Scan)
			if err == nil {
				err = r.writeErr
			}
			r.mu.Unlock()
			if err != nil {
				stop()
			}
			return err
		})
	}
	err := scans.Wait()
	stopStatus()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if ctx.Err() == nil {
		if err := tally.err(in.name); err != nil {
			return err
		}
	}
	// What an interrupted run found is printed too.
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kafka != nil {
		r.total.Receipt = drain(ctx, r.kafka, emitter.Accounting{})
	}
	if err := r.results.end(); err != nil {
		return err
	}
	r.report(tally)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.incomplete()
}

func (r *scanRun) generated(seed pipeline.Seed, names int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.names += names
	r.estimates[seed.Scan] = names
}

func (r *scanRun) answered(result *pipeline.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.asked++
	switch result.Answer.State {
	case resolver.Registered:
		r.progress.found++
	case resolver.Unknown:
		r.progress.unknown++
	}
	if r.writeErr == nil && (r.flags.show == "all" || r.flags.show == result.Answer.State.String()) {
		r.writeErr = r.results.add(result)
	}
}

func (r *scanRun) now() progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.progress
	p.queries, p.elapsed = r.resolver.Stats().Queries, time.Since(r.begun)
	return p
}

// report is the tally at the end.
func (r *scanRun) report(tally inputTally) {
	p := r.progress
	p.queries, p.elapsed = r.resolver.Stats().Queries, time.Since(r.begun)
	line := fmt.Sprintf("%s of %s: %d registered, %d absent, %d unknown; %.1f s, %.0f qps",
		plural(p.asked, "name"), plural(tally.good, "seed"), p.found, p.asked-p.found-p.unknown, p.unknown, p.elapsed.Seconds(), p.rate())
	line += leftOut(tally.bad, r.total.Allowed)
	if left := p.names - p.asked; left > 0 {
		line += fmt.Sprintf("; %d not asked", left)
	}
	r.t.say("%s", line)
	if r.settings.Kafka {
		r.t.say("%s", published(r.total.Receipt, r.settings.Topics.Candidates))
	}
}

// published says what became of the records of a run.
func published(r emitter.Receipt, topic string) string {
	text := fmt.Sprintf("%s acknowledged on %s", plural(r.Acked, "record"), topic)
	if r.Spooled > 0 {
		text += fmt.Sprintf("; %d in the spool", r.Spooled)
	}
	if r.DeadLettered > 0 {
		text += fmt.Sprintf("; %d among the dead letters", r.DeadLettered)
	}
	return text
}

// incomplete is the error of a run that is not all done and delivered.
func (r *scanRun) incomplete() error {
	if err := tooManyUnknown(r.progress.unknown, r.progress.asked, r.settings.MaxUnknown); err != nil {
		return err
	}
	return undelivered(r.total.Receipt, r.settings.OutputDir)
}

// undelivered is the error of a run whose records are durable, but not all in
// their topics.
func undelivered(r emitter.Receipt, dir string) error {
	switch {
	case r.Spooled > 0:
		return &incompleteError{fmt.Sprintf("incomplete: %s in the spool in %s; typostream replay sends them", plural(r.Spooled, "record"), dir)}
	case r.DeadLettered > 0:
		return &incompleteError{fmt.Sprintf("incomplete: %s among the dead letters in %s: Kafka refuses them for good", plural(r.DeadLettered, "record"), dir)}
	}
	return nil
}

func tooManyUnknown(unknown, asked int, limit float64) error {
	if float64(unknown) <= limit*float64(asked) {
		return nil
	}
	return &incompleteError{fmt.Sprintf("incomplete: %d of %d names unknown, more than --max-unknown %.4g%%", unknown, asked, 100*limit)}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
