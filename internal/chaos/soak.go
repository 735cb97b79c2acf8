//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// schedule says what happens how often in a soak.
type schedule struct {
	length, seed, broker, kill, sample time.Duration
}

// scheduled is the schedule of an hour (a seed each 6 s, a broker restarted
// every 5 minutes, a worker killed every 7, a sample a minute), shrunk to the
// length in proportion; but no further than makes sense: Kafka needs half a
// minute to notice that a worker is dead, and a broker some ten seconds to start.
func scheduled(length time.Duration) schedule {
	return schedule{
		length: length,
		seed:   min(max(length/600, 2*time.Second), 6*time.Second),
		broker: max(length/12, 30*time.Second),
		kill:   max(length*7/60, time.Minute),
		sample: max(length/60, 3*time.Second),
	}
}

// lastKill is how long before the end no worker is killed any more, so that what
// is measured at the end is measured of workers that work.
const lastKill = 50 * time.Second

// warmupSeeds are scanned before the clock starts, as many at once as gather
// while the group is without a member that was killed: what a process needs once
// is no leak.
const warmupSeeds = 40

// quietSeeds are scanned one at a time before the clock starts and after it has
// ended, to see what collections leave where nothing else happens.
const quietSeeds = 12

// soak has two workers share a topic and a Redis for a long time: the steady one
// lives as long as the soak, the mortal one is killed again and again.
type soak struct {
	*suite
	schedule
	topic          string
	steady, mortal *tenant
	brands         []brand
	client         *kgo.Client
	begun          time.Time
	burst          float64 // the largest resident memory before that, bytes

	mu      sync.Mutex
	fed     int
	events  []string // since the last sample
	kills   int
	restart int
	samples []sample
	wrong   []error
}

// runSoak runs it, writes a line a sample to out, and returns what is wrong.
func runSoak(ctx context.Context, o options, length time.Duration, out io.Writer) error {
	return withCluster(ctx, o, func(s *suite) (err error) {
		k := &soak{suite: s, schedule: scheduled(length), topic: "soak"}
		redis, err := startRedis(ctx, s.dir)
		if err != nil {
			return err
		}
		defer redis.stop()
		var zone string
		if k.brands, zone, err = inventBrands(5000, warmupSeeds+2*quietSeeds+int(length/k.seed)); err != nil {
			return err
		}
		dns, err := resolvertest.Start(zone)
		if err != nil {
			return err
		}
		defer dns.Close()
		env, err := s.environment(ctx, k.topic, "", dns.Addr())
		if err != nil {
			return err
		}
		maps.Copy(env, redis.env())
		if k.client, err = kgo.NewClient(kgo.SeedBrokers(s.cluster.Brokers()...), kgo.DefaultProduceTopic(k.topic+".input")); err != nil {
			return err
		}
		defer k.client.Close()
		k.steady, k.mortal = newTenant(s, "steady", env), newTenant(s, "mortal", env)
		defer k.steady.kill()
		defer k.mortal.kill()
		return k.run(ctx, out)
	})
}

func (k *soak) run(ctx context.Context, out io.Writer) error {
	if err := errors.Join(k.steady.start(), k.mortal.start(), k.steady.ready(ctx), k.mortal.ready(ctx)); err != nil {
		return err
	}
	for range warmupSeeds {
		if err := k.feed(ctx); err != nil {
			return err
		}
	}
	before, err := k.quiet(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%v: a seed each %v, a broker restarted every %v, a worker killed every %v\n", k.length, k.seed, k.broker, k.kill)
	printSampleHead(out)
	k.begun = time.Now()
	during, cancel := context.WithTimeout(ctx, k.length)
	defer cancel()
	g, during := errgroup.WithContext(during)
	g.Go(func() error { return every(during, k.seed, func() error { return k.feed(ctx) }) })
	g.Go(func() error { return every(during, k.broker, func() error { return k.restartBroker(ctx) }) })
	g.Go(func() error { return every(during, k.kill, k.killWorker) })
	g.Go(func() error {
		return every(during, k.sample, func() error { k.take(out); return nil })
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if _, err := k.settle(ctx); err != nil {
		return err
	}
	k.take(out)
	after, err := k.quiet(ctx)
	if err != nil {
		return err
	}
	for _, t := range []*tenant{k.steady, k.mortal} {
		if code, err := t.terminate(ctx); err != nil || code != 0 {
			k.fail("%s: exit code %d after SIGTERM (%w)", t.name, code, err)
		}
		if err := noSpool(t.dir); err != nil {
			k.fail("%s: %w", t.name, err)
		}
	}
	k.judge(out, before, after)
	if err := k.checkTopic(ctx, out); err != nil {
		return err
	}
	return errors.Join(k.wrong...)
}

// every does it again and again until ctx ends, which is no error.
func every(ctx context.Context, interval time.Duration, do func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := do(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// feed submits the next seed.
func (k *soak) feed(ctx context.Context) error {
	k.mu.Lock()
	n := k.fed
	if n < len(k.brands) {
		k.fed++
	}
	k.mu.Unlock()
	if n == len(k.brands) {
		return nil
	}
	seed := k.brands[n].seed
	text := fmt.Sprintf(`{"fqdn":%q,"source":"frontend_api","timestamp":1760600000,"cse_id":"BRAND","is_original_seed":true}`, seed)
	return k.client.ProduceSync(ctx, &kgo.Record{Key: []byte(seed), Value: []byte(text)}).FirstErr()
}

// restartBroker stops the brokers in order, one after the other, and starts each again.
func (k *soak) restartBroker(ctx context.Context) error {
	ids := k.cluster.Nodes()
	id := ids[k.restart%len(ids)]
	k.restart++
	k.happened(fmt.Sprintf("broker %d restarted", id))
	if err := errors.Join(k.cluster.Stop(id), k.cluster.StartNode(id)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return k.cluster.WaitReady(ctx)
}

// killWorker kills the mortal worker and starts another in its place.
func (k *soak) killWorker() error {
	if k.length-time.Since(k.begun) < lastKill {
		return nil
	}
	k.mortal.kill()
	k.mu.Lock()
	k.kills++
	k.mu.Unlock()
	k.happened("worker killed")
	return k.mortal.start()
}

func (k *soak) happened(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, what)
}

func (k *soak) fail(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrong = append(k.wrong, fmt.Errorf(format, args...))
}

// settle waits until nothing is left to do, and looks at the workers then.
func (k *soak) settle(ctx context.Context) (idle sample, err error) {
	err = eventually(ctx, "an empty spool", func() (bool, error) {
		return noSpool(k.steady.dir) == nil && noSpool(k.mortal.dir) == nil, nil
	})
	if err := errors.Join(err, k.awaitNoLag(ctx, k.topic), k.mortal.ready(ctx)); err != nil {
		return sample{}, err
	}
	err = eventually(ctx, "workers with nothing to do", func() (bool, error) {
		idle = k.look()
		return idle.steady.up && idle.mortal.up && idle.steady.inWork+idle.mortal.inWork == 0, nil
	})
	return idle, err
}

// quiet scans seeds one at a time, and returns the workers idle after that, with
// the least that a collection left meanwhile.
func (k *soak) quiet(ctx context.Context) (sample, error) {
	idle, err := k.settle(ctx)
	if err != nil {
		return sample{}, err
	}
	steady, mortal := idle.steady.live, idle.mortal.live
	for range quietSeeds {
		if err := errors.Join(k.feed(ctx), pause(ctx, time.Second)); err != nil {
			return sample{}, err
		}
		now, err := k.settle(ctx)
		if err != nil {
			return sample{}, err
		}
		steady, mortal, idle = min(steady, now.steady.live), min(mortal, now.mortal.live), now
	}
	idle.steady.live, idle.mortal.live = steady, mortal
	return idle, nil
}

// checkTopic compares the topic with what was submitted.
func (k *soak) checkTopic(ctx context.Context, out io.Writer) error {
	r := &row{name: "soak"}
	if err := k.checkNames(ctx, r, k.topic, k.brands[:k.fed]); err != nil {
		return err
	}
	if r.err != nil {
		k.fail("%w", r.err)
	}
	records, err := k.cluster.ReadAll(ctx, k.topic)
	if err != nil {
		return err
	}
	expected := map[string]bool{}
	for _, b := range k.brands[:k.fed] {
		for _, name := range b.names {
			expected[name] = true
		}
	}
	for _, record := range records {
		if !expected[string(record.Key)] {
			k.fail("nobody expects %s in the topic", record.Key)
		}
	}
	if limit := int64(k.kills * underWay); r.duplicated > limit {
		k.fail("%d records came again, after %d kills", r.duplicated, k.kills)
	}
	fmt.Fprintf(out, "in: %d seeds. Out: %d records, expected %d names, lost %d, again %d. %d workers killed, %d brokers restarted\n",
		k.fed, len(records), len(expected), r.lost, r.duplicated, k.kills, k.restart)
	return nil
}

// soakGOGC has the workers collect garbage four times as often as they do by
// themselves, so that what is resident is what is held, and not what a burst
// left for a collection that comes when as much again is allocated.
const soakGOGC = 25

// tenant is one place of a worker: a directory, and a process after the other in
// it.
type tenant struct {
	suite *suite
	name  string
	dir   string
	env   map[string]string

	mu    sync.Mutex
	c     *command
	lives int
}

func newTenant(s *suite, name string, env map[string]string) *tenant {
	t := &tenant{suite: s, name: name, dir: filepath.Join(s.dir, name), env: maps.Clone(env)}
	t.env["OUTPUT_DIR"], t.env["GOGC"] = t.dir, strconv.Itoa(soakGOGC)
	return t
}

func (t *tenant) start() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lives++
	c, err := t.suite.startCommand(filepath.Join(t.suite.dir, fmt.Sprintf("%s-%d.log", t.name, t.lives)), t.env, "worker")
	if err == nil {
		t.c = c
	}
	return err
}

// now is the process of this moment, nil before the first.
func (t *tenant) now() *command {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.c
}

func (t *tenant) kill() {
	if c := t.now(); c != nil {
		c.kill()
	}
}

func (t *tenant) ready(ctx context.Context) error {
	c := t.now()
	return c.awaitLog(ctx, "joined the consumer group")
}

func (t *tenant) terminate(ctx context.Context) (int, error) {
	c := t.now()
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // its exit code tells
	return c.wait(ctx)
}

// url is where the process answers, "" while it does not say so.
func (c *command) url() string {
	if m := httpField.FindStringSubmatch(c.text()); m != nil {
		return "http://" + strings.TrimSpace(m[1])
	}
	return ""
}
