package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/resolver"
)

// death ends a worker at one of its steps: what it asks for after that has no
// effect, as if its process were gone.
type death struct {
	mu   sync.Mutex
	step string // which are counted; "" for all
	at   int    // the one that it is; 0 for none
	done bool   // that one has its effect, but nobody hears of it
	half bool   // of a batch of messages half of them have theirs
	dead bool
}

var errDead = errors.New("the worker is dead")

func (d *death) do(step string, f func() error) error {
	d.mu.Lock()
	if d.dead {
		d.mu.Unlock()
		return errDead
	}
	if d.step == "" || d.step == step {
		d.at--
		d.dead = d.at == 0
	}
	dying := d.dead
	d.mu.Unlock()
	if !dying {
		return f()
	}
	if d.done {
		_ = f()
	}
	return errDead
}

func (d *death) partly() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead && d.half
}

// readable is a Kafka that can be read, too.
type readable interface {
	Emitter
	Rereader
}

// mortalEmitter and the stores below are those of a worker that may die.
type mortalEmitter struct {
	*death
	readable
}

func (m *mortalEmitter) EmitEach(ctx context.Context, messages ...emitter.Message) (fates []emitter.Fate, err error) {
	fates = make([]emitter.Fate, len(messages))
	err = m.do("emit", func() error {
		if m.partly() {
			messages = messages[:len(messages)/2]
		}
		done, err := m.readable.EmitEach(ctx, messages...)
		copy(fates, done)
		return err
	})
	if err != nil {
		clear(fates)
	}
	return fates, err
}

func (m *mortalEmitter) Reread(ctx context.Context, topic string, since time.Time, yield func(key, value []byte)) error {
	return m.do("reread", func() error { return m.readable.Reread(ctx, topic, since, yield) })
}

// memoryOfAll is a Store with a History.
type memoryOfAll interface {
	Store
	History
}

type mortalStore struct {
	*death
	memoryOfAll
}

func (m *mortalStore) Known(ctx context.Context, seed string, names []string) (known []store.Entry, err error) {
	err = m.do("known", func() (err error) { known, err = m.memoryOfAll.Known(ctx, seed, names); return err })
	return known, err
}

func (m *mortalStore) Remember(ctx context.Context, seed string, entries []store.Entry, changed ...store.Change) error {
	return m.do("remember", func() error { return m.memoryOfAll.Remember(ctx, seed, entries, changed...) })
}

func (m *mortalStore) Begin(ctx context.Context, seed string, at time.Time) (before time.Time, err error) {
	err = m.do("begin", func() (err error) { before, err = m.memoryOfAll.Begin(ctx, seed, at); return err })
	return before, err
}

func (m *mortalStore) End(ctx context.Context, seed string) error {
	return m.do("end", func() error { return m.memoryOfAll.End(ctx, seed) })
}

func (m *mortalStore) Scanned(ctx context.Context, seed string, record store.SeedRecord) error {
	return m.do("scanned", func() error { return m.memoryOfAll.Scanned(ctx, seed, record) })
}

type mortalLeases struct {
	*mortalStore
	leases Leases
}

func (m *mortalLeases) Lease(ctx context.Context, seed string, names []string, token string, life time.Duration) (got []bool, err error) {
	err = m.do("lease", func() (err error) { got, err = m.leases.Lease(ctx, seed, names, token, life); return err })
	return got, err
}

func (m *mortalLeases) Renew(ctx context.Context, seed string, names []string, token string, life time.Duration) error {
	return m.do("renew", func() error { return m.leases.Renew(ctx, seed, names, token, life) })
}

func (m *mortalLeases) Release(ctx context.Context, seed string, names []string, token string) error {
	return m.do("release", func() error { return m.leases.Release(ctx, seed, names, token) })
}

// lives are workers, one after the other, that scan one seed.
type lives struct {
	broker  readable
	metrics *Metrics
	memory  func(*death) Store // as a worker has it
	history *store.Redis       // nil on bolt
	buried  func()             // lets the leases of the dead run out
	lived   int
}

func onRedis(t testing.TB, server *miniredis.Miniredis, b readable) *lives {
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: 24 * time.Hour, Timeout: time.Minute})
	t.Cleanup(func() { r.Close() })
	return &lives{
		broker: b, metrics: NewMetrics(), history: r, buried: func() { server.FastForward(leaseLife) },
		memory: func(d *death) Store { return &mortalLeases{&mortalStore{d, r}, r} },
	}
}

func onBolt(t testing.TB, b readable) *lives {
	file, _, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	bolt := file.Published(24 * time.Hour)
	return &lives{broker: b, metrics: NewMetrics(), buried: func() {}, memory: func(d *death) Store { return &mortalStore{d, bolt} }}
}

// finding is what a scan finds of one name.
type finding struct {
	name, ns  string
	addressed bool
}

// scan is one life: it finds all of that, and publishes, so many at a time, until
// it dies.
func (l *lives) scan(t testing.TB, seed Seed, size int, d *death, all []finding) (outcome, error) {
	e := &mortalEmitter{d, l.broker}
	s := &Scanner{Emitter: e, Topics: testTopics, Dedup: NewDedup(l.memory(d), time.Hour, false, l.metrics, slog.New(slog.DiscardHandler))}
	v := s.Dedup.begin(t.Context(), seed, s.inheritance())
	p := newPublisher(t.Context(), v, e, s.Dedup, nil)
	at := time.Now().Add(time.Duration(l.lived) * time.Millisecond) // no two scans of a seed are in one, but here
	l.lived++
	var err error
	var batch []publication
	for i, f := range all {
		r := &Result{Seed: &seed, Variant: fuzzer.Variant{FQDN: f.name}, at: at}
		r.Answer = resolver.Answer{State: resolver.Registered, NS: []string{f.ns}}
		if f.addressed {
			r.Answer.A = []string{"192.0.2.1"}
		}
		batch = append(batch, publication{
			candidate: true, brand: seed.Brand, entry: r.entry(),
			messages: func(seen sighting) ([]emitter.Message, error) { return r.messages(s.Topics, s.Track, seen) },
		})
		if len(batch) == size || i == len(all)-1 {
			if err = p.emit(t.Context(), batch); err != nil {
				break
			}
			batch = nil
		}
	}
	out, _ := p.close()
	if err == nil {
		s.Dedup.end(t.Context(), v, seed, Summary{Receipt: out.receipt}, time.Now())
	}
	l.buried()
	return out, err
}

// copies are the candidates published without knowing whether they were.
func (l *lives) copies() float64 { return testutil.ToFloat64(l.metrics.heritage.WithLabelValues("no")) }

// journaled is a broker in memory.
type journaled struct {
	mu         sync.Mutex
	messages   []emitter.Message
	unreadable bool
}

func (j *journaled) EmitEach(_ context.Context, messages ...emitter.Message) ([]emitter.Fate, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.messages = append(j.messages, messages...)
	return slices.Repeat([]emitter.Fate{emitter.FateAcked}, len(messages)), nil
}

func (j *journaled) Reread(_ context.Context, topic string, _ time.Time, yield func(key, value []byte)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range j.messages {
		if m.Topic == topic {
			yield([]byte(m.Key), m.Value)
		}
	}
	if j.unreadable {
		return errors.New("the topic cannot be read to its end")
	}
	return nil
}

// Workers die at whatever step; the last one does not. Nothing is lost: of every
// name the last event says what was found last, and a name without an address
// has its second record. Nothing comes twice but a name without an address, of
// which the topic does not tell all, and what was found when the topic could not
// be read; and no more than is counted.
func TestWorkersThatDieAnywhere(t *testing.T) {
	server := miniredis.RunT(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		topic := &journaled{unreadable: rapid.IntRange(0, 4).Draw(rt, "unreadable") == 0}
		l := onRedis(t, server, topic)
		if rapid.IntRange(0, 3).Draw(rt, "bolt") == 0 {
			l = onBolt(t, topic)
		}
		seed := bank(t, FromKafka)
		seed.FQDN = fmt.Sprintf("bank%d.com", n)
		all := make([]finding, rapid.IntRange(1, 15).Draw(rt, "names"))
		states := make([]int, len(all)) // that each name was in
		for i := range all {
			all[i] = finding{name: fmt.Sprintf("name%d.com", i), addressed: rapid.IntRange(0, 5).Draw(rt, "addressed") > 0}
		}
		var out outcome
		size := rapid.IntRange(1, len(all)).Draw(rt, "size")
		for life := rapid.IntRange(0, 4).Draw(rt, "deaths"); life >= 0; life-- {
			for i := range all {
				if states[i] == 0 || rapid.IntRange(0, 9).Draw(rt, "changed") == 0 {
					states[i]++
					all[i].ns = fmt.Sprintf("ns%d.example", states[i])
				}
			}
			d := &death{}
			if life > 0 {
				d.step = rapid.SampledFrom([]string{"", "emit", "remember", "release"}).Draw(rt, "step")
				d.at, d.done = rapid.IntRange(1, 4).Draw(rt, "at"), rapid.Bool().Draw(rt, "done")
				d.half = rapid.Bool().Draw(rt, "half")
			}
			var err error
			if out, err = l.scan(t, seed, size, d, all); err != nil && !d.dead {
				rt.Fatal(err)
			}
		}
		if out.candidates+out.suppressed != len(all) || out.receipt.Total() != out.receipt.Acked {
			rt.Fatalf("%d published, %d suppressed of %d; %+v", out.candidates, out.suppressed, len(all), out.receipt)
		}
		events, last, inactive := map[string]int{}, map[string]string{}, map[string]bool{}
		for _, m := range topic.messages {
			var e emitter.Event // an inactive name's record has that field too
			if err := json.Unmarshal(m.Value, &e); err != nil {
				rt.Fatal(err)
			}
			if m.Topic == testTopics.Inactive {
				inactive[e.CanonicalFQDN] = true
				continue
			}
			events[m.Key]++
			last[m.Key] = e.Detail.NS[0]
		}
		copies := 0
		for i, f := range all {
			if last[f.name] != f.ns || !f.addressed && !inactive[f.name] {
				rt.Fatalf("%+v is lost: the last event says %q", f, last[f.name])
			}
			more := max(0, events[f.name]-states[i])
			if copies += more; more > 0 && f.addressed && !topic.unreadable {
				rt.Fatalf("%d copies of %s", more, f.name)
			}
		}
		if float64(copies) > l.copies() {
			rt.Fatalf("%d copies, %v counted", copies, l.copies())
		}
	})
}

// On a Kafka in the process: killed between the acknowledgement and the mark a
// candidate is published once; killed before it was sent, by the heir; and where
// the topic cannot be read again, and counted.
func TestKilledBetweenAcknowledgementAndMark(t *testing.T) {
	for name, c := range map[string]struct {
		step               string
		half               bool
		unreadable         bool
		first, then, twice int
	}{
		"before the mark":         {step: "remember", first: 20},
		"before it was sent":      {step: "emit", then: 20},
		"half of it was sent":     {step: "emit", half: true, first: 10, then: 10},
		"the topic is unreadable": {step: "remember", unreadable: true, first: 20, then: 20, twice: 20},
	} {
		for kind, on := range map[string]func(readable) *lives{
			"redis": func(b readable) *lives { return onRedis(t, miniredis.RunT(t), b) },
			"bolt":  func(b readable) *lives { return onBolt(t, b) },
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				kafka, k := fakeKafka(t)
				if c.unreadable {
					denyFetches(kafka)
				}
				l := on(k)
				var all []finding
				for _, name := range someNames(20) {
					all = append(all, finding{name, "ns.example", true})
				}
				d := &death{step: c.step, at: 1, done: c.half, half: c.half}
				first, err := l.scan(t, bank(t, FromKafka), len(all), d, all)
				if err == nil && d.step == "emit" || !d.dead {
					t.Fatalf("it lives: %v, %+v", err, first)
				}
				if n := ends(kafka); n != c.first {
					t.Errorf("the dead published %d, want %d", n, c.first)
				}
				out, err := l.scan(t, bank(t, FromKafka), len(all), &death{}, all)
				if err != nil {
					t.Fatal(err)
				}
				if out.candidates != c.then || out.suppressed != len(all)-c.then || ends(kafka) != c.first+c.then || l.copies() != float64(c.twice) {
					t.Errorf("the heir published %d and suppressed %d; %d on the topic; %v counted", out.candidates, out.suppressed, ends(kafka), l.copies())
				}
				if a := k.Accounting(); a.Accepted != a.Acked || a.Acked != int64(c.first+c.then) {
					t.Errorf("the books: %+v", a)
				}
				if again, err := l.scan(t, bank(t, FromKafka), len(all), &death{}, all); err != nil || again.candidates != 0 {
					t.Errorf("the next scan published %d, %v", again.candidates, err)
				}
			})
		}
	}
}

// Who dies after an alert was published and before it was in the journal has it
// there all the same, once; as has who dies after both.
func TestJournalOfTheDead(t *testing.T) {
	for _, step := range []string{"remember", "release"} {
		t.Run(step, func(t *testing.T) {
			l := onRedis(t, miniredis.RunT(t), &journaled{})
			var lines []string
			for i, d := range []*death{{}, {step: step, at: 1}, {}} { // the first scan is the baseline
				found := finding{"name.com", fmt.Sprintf("ns%d.example", i), true}
				if _, err := l.scan(t, bank(t, FromKafka), 1, d, []finding{found}); err != nil {
					t.Fatal(err)
				}
			}
			changes, err := l.history.Changes(t.Context(), "", 100)
			for _, c := range changes {
				lines = append(lines, fmt.Sprint(c.Name, " ", c.Kind, " ", c.Changed, c.Records.NS))
			}
			if want := []string{"name.com changed [ns] [ns1.example]", "name.com changed [ns] [ns2.example]"}; !slices.Equal(lines, want) || err != nil {
				t.Errorf("the journal has %q, %v; want %q", lines, err, want)
			}
			entries, err := l.history.Known(t.Context(), "bank.com", []string{"name.com"})
			if last := changes[len(changes)-1]; err != nil || entries[0].Change != last.Kind || entries[0].ChangedAt.UnixMilli() != last.At.UnixMilli() {
				t.Errorf("the entry is %+v, %v; the journal's last line %+v", entries[0], err, last)
			}
		})
	}
}

func fakeKafka(t *testing.T) (*kfake.Cluster, *emitter.Kafka) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, testTopics.Candidates))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k, err := emitter.NewKafka(emitter.KafkaConfig{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close(context.Background()) })
	return cluster, k
}

// denyFetches takes the right to read from everybody.
func denyFetches(cluster *kfake.Cluster) {
	cluster.ControlKey(kmsg.Fetch.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		res := r.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range r.(*kmsg.FetchRequest).Topics {
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				partition := kmsg.NewFetchResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				topic.Partitions = append(topic.Partitions, partition)
			}
			res.Topics = append(res.Topics, topic)
		}
		return res, nil, true
	})
}

// ends is how many records the topic of candidates has.
func ends(cluster *kfake.Cluster) (n int) {
	for _, p := range cluster.PartitionInfos(testTopics.Candidates) {
		n += int(p.HighWatermark)
	}
	return n
}
