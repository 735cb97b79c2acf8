package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/typostream/typostream/emitter"
)

const (
	testTopic = "raw.hosts"
	testGroup = "dnstwist-runner"
	patience  = 30 * time.Second // before a test that waits for something gives up
)

// broker is an in-process Kafka and a client beside it.
type broker struct {
	t       *testing.T
	cluster *kfake.Cluster
	addrs   []string
	client  *kgo.Client
}

func newBroker(t *testing.T, partitions int32) *broker {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second), kfake.SeedTopics(partitions, testTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &broker{t: t, cluster: cluster, addrs: cluster.ListenAddrs(), client: client}
}

func (b *broker) produce(partition int32, values ...string) {
	b.t.Helper()
	for _, value := range values {
		record := &kgo.Record{Topic: testTopic, Partition: partition, Value: []byte(value)}
		if err := b.client.ProduceSync(b.t.Context(), record).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// committed is the group's offset of a partition, -1 if there is none.
func (b *broker) committed(partition int32) int64 {
	b.t.Helper()
	offsets, err := kadm.NewClient(b.client).FetchOffsets(b.t.Context(), testGroup)
	if err != nil {
		b.t.Fatal(err)
	}
	if o, ok := offsets.Lookup(testTopic, partition); ok {
		return o.At
	}
	return -1
}

func (b *broker) members() int {
	b.t.Helper()
	groups, err := kadm.NewClient(b.client).DescribeGroups(b.t.Context(), testGroup)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(groups[testGroup].Members)
}

// running is a source at work, and what it delivers.
type running struct {
	t      *testing.T
	source *KafkaSource
	meter  *Metrics
	dir    string
	out    chan Delivery
	cancel context.CancelFunc
	ended  chan error
}

func (b *broker) run(t *testing.T) *running {
	t.Helper()
	return b.runWith(t, func(*KafkaSourceConfig) {})
}

func (b *broker) runWith(t *testing.T, change func(*KafkaSourceConfig)) *running {
	t.Helper()
	dir := t.TempDir()
	dead, err := emitter.NewDeadLetters(emitter.DeadLettersConfig{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dead.Close() })
	meter := NewMetrics()
	cfg := KafkaSourceConfig{
		Brokers: b.addrs, Topic: testTopic, Group: testGroup, RetryDelay: 50 * time.Millisecond,
		CommitInterval: 10 * time.Millisecond, DeadLetters: dead, Metrics: meter, Log: slog.New(slog.DiscardHandler),
	}
	change(&cfg)
	source, err := NewKafkaSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, source: source, meter: meter, dir: dir, out: make(chan Delivery), cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- source.Run(ctx, r.out) }()
	return r
}

func (r *running) next() Delivery {
	r.t.Helper()
	select {
	case d := <-r.out:
		return d
	case <-time.After(patience):
		r.t.Fatalf("no seed was delivered; the source says: %v", r.source.Unready())
		panic("unreachable")
	}
}

// stop ends the source; its deliveries must be done.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		r.t.Fatal("the source does not end")
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func submission(domain string) string {
	return fmt.Sprintf(`{"fqdn":%q,"cse_id":"X","is_original_seed":true}`, domain)
}

// Seeds finish out of order; only the gapless prefix is committed, and what is
// skipped counts as done.
func TestKafkaSourceCommitsTheGaplessPrefix(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, submission("a.com"), `{"src":"ct","canonical_fqdn":"ct.com"}`, submission("b.com"), `[]`, submission("c.com"))
	r := b.run(t)
	first, second, third := r.next(), r.next(), r.next()
	if got := first.Seed.FQDN + second.Seed.FQDN + third.Seed.FQDN; got != "a.comb.comc.com" {
		t.Fatalf("delivered %s", got)
	}
	if first.Seed.Scan != "raw.hosts-0-0" || third.Seed.Scan != "raw.hosts-0-4" || first.Seed.Brand != "X" || first.Seed.Origin != FromKafka {
		t.Errorf("delivered %+v and %+v", first.Seed, third.Seed)
	}
	third.Done(nil)
	first.Done(nil)
	eventually(t, "offset 2 committed: a.com and the sighting are done", func() bool { return b.committed(0) == 2 })
	second.Done(nil)
	eventually(t, "offset 5 committed: all are done", func() bool { return b.committed(0) == 5 })
	r.stop()
	if n := b.members(); n != 0 {
		t.Errorf("%d members left in the group", n)
	}
}

// A message that cannot be used is on disk before its offset is committed.
func TestKafkaSourceBuriesPoison(t *testing.T) {
	b := newBroker(t, 1)
	poison := []string{`[]`, `"x"`, `1`, ``, "\xff\xfe", `{"cse_id":"SBI"}`, `{"fqdn":"co.uk"}`}
	b.produce(0, poison...)
	b.produce(0, submission("a.com"))
	r := b.run(t)
	r.next().Done(nil)
	eventually(t, "everything committed", func() bool { return b.committed(0) == int64(len(poison))+1 })
	r.stop()
	letters, err := os.ReadFile(filepath.Join(r.dir, "dead_letters.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(letters), "\n"); got != len(poison) {
		t.Errorf("%d dead letters, want %d:\n%s", got, len(poison), letters)
	}
	for offset := range poison {
		if want := fmt.Sprintf(`"partition":0,"offset":%d,`, offset); !strings.Contains(string(letters), want) {
			t.Errorf("no dead letter with %s", want)
		}
	}
}

// A seed that was not finished is delivered again, and so is what came after.
func TestKafkaSourceRedeliversWhatWasNotFinished(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, submission("a.com"), submission("b.com"), submission("c.com"))
	r := b.run(t)
	a, second, c := r.next(), r.next(), r.next()
	a.Done(nil)
	r.cancel()
	c.Done(nil)
	second.Done(errors.New("time is up"))
	r.stop()
	if got := b.committed(0); got != 1 {
		t.Errorf("offset %d committed, want 1: b.com is not done", got)
	}
	again := b.run(t)
	for _, want := range []string{"b.com", "c.com"} {
		d := again.next()
		if d.Seed.FQDN != want {
			t.Errorf("delivered %s, want %s", d.Seed.FQDN, want)
		}
		d.Done(nil)
	}
	again.stop()
	if got := b.committed(0); got != 3 {
		t.Errorf("offset %d committed, want 3", got)
	}
}

// While seeds are in work the source stays in the group, however long they
// take after the end of the context.
func TestKafkaSourceDrains(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, submission("a.com"), submission("b.com"))
	r := b.run(t)
	d := r.next()
	r.cancel()
	select {
	case err := <-r.ended:
		t.Fatalf("the source ended with a seed in work: %v", err)
	case extra := <-r.out:
		t.Fatalf("%s delivered after the end of the context", extra.Seed.FQDN)
	case <-time.After(100 * time.Millisecond): // nothing must happen; a longer wait finds no more
	}
	if n := b.members(); n != 1 {
		t.Errorf("%d members in the group while draining, want 1", n)
	}
	d.Done(nil)
	r.stop()
	if got := b.committed(0); got != 1 {
		t.Errorf("offset %d committed, want 1", got)
	}
}

// A second member takes one of two partitions: its seeds in work are cancelled
// and delivered by the other, those of the partition that stays go on.
func TestKafkaSourceRebalance(t *testing.T) {
	b := newBroker(t, 2)
	b.produce(0, submission("p0.com"))
	b.produce(1, submission("p1.com"))
	first := b.run(t)
	mine := map[string]Delivery{}
	for range 2 {
		d := first.next()
		mine[d.Seed.FQDN] = d
	}
	second := b.run(t)
	taken := second.next()
	lost := mine[taken.Seed.FQDN]
	if lost.Context == nil {
		t.Fatalf("%s was delivered to nobody before", taken.Seed.FQDN)
	}
	select {
	case <-lost.Context.Done():
	case <-time.After(patience):
		t.Fatal("the lost seed was not cancelled")
	}
	lost.Done(context.Canceled)
	delete(mine, taken.Seed.FQDN)
	for name, kept := range mine {
		if kept.Context.Err() != nil {
			t.Errorf("%s was cancelled though its partition stayed", name)
		}
		kept.Done(nil)
	}
	taken.Done(nil)
	eventually(t, "both partitions committed", func() bool { return b.committed(0) == 1 && b.committed(1) == 1 })
	first.stop()
	second.stop()
}

// A seed that takes several times the session's time-out does not cost its member
// the partition: signs of life go on, nobody else gets the seed, and its offset is
// committed at its end.
func TestKafkaSourceLivesThroughALongSeed(t *testing.T) {
	b := newBroker(t, 1)
	var beats, joins atomic.Int32
	for key, count := range map[int16]*atomic.Int32{kmsg.Heartbeat.Int16(): &beats, kmsg.JoinGroup.Int16(): &joins} {
		b.cluster.ControlKey(key, func(kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			count.Add(1)
			return nil, nil, false
		})
	}
	b.produce(0, submission("long.com"), submission("next.com"))
	r := b.runWith(t, func(c *KafkaSourceConfig) { c.SessionTimeout = 3 * time.Second })
	long := r.next()
	r.next().Done(nil)
	before, joined := beats.Load(), joins.Load()
	eventually(t, "three sessions' worth of heartbeats", func() bool { return beats.Load() >= before+30 })
	select {
	case d := <-r.out:
		t.Errorf("%s was delivered again", d.Seed.FQDN)
	case <-long.Context.Done():
		t.Error("the seed was taken away")
	default:
	}
	if n := joins.Load(); n != joined {
		t.Errorf("%d joins of the group, want %d", n, joined)
	}
	if got := b.committed(0); got > 0 {
		t.Errorf("offset %d committed, with offset 0 in work", got)
	}
	long.Done(nil)
	eventually(t, "both committed", func() bool { return b.committed(0) == 2 })
	r.stop()
}

// A partition whose leader answers with errors, or not at all, is tried until
// it can be read, and the source says so meanwhile.
func TestKafkaSourceOutlastsFetchErrors(t *testing.T) {
	b := newBroker(t, 1)
	var failing atomic.Bool
	failing.Store(true)
	b.cluster.ControlKey(kmsg.Fetch.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		if !failing.Load() {
			return nil, nil, false
		}
		fetch := request.(*kmsg.FetchRequest)
		response := fetch.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range fetch.Topics {
			answer := kmsg.NewFetchResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				failed := kmsg.NewFetchResponseTopicPartition()
				failed.Partition, failed.ErrorCode = partition.Partition, 56 // KAFKA_STORAGE_ERROR
				answer.Partitions = append(answer.Partitions, failed)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	b.produce(0, submission("a.com"))
	r := b.run(t)
	eventually(t, "the source says which partition it cannot read", func() bool {
		err := r.source.Unready()
		return err != nil && strings.Contains(err.Error(), "partition 0 of topic raw.hosts is not read")
	})
	failing.Store(false)
	r.next().Done(nil)
	if err := r.source.Unready(); err != nil {
		t.Errorf("healthy again, but %v", err)
	}
	r.stop()
	if got := b.committed(0); got != 1 {
		t.Errorf("offset %d committed, want 1", got)
	}
}

// A committed offset past the end of the log is no reason to wait for ever.
func TestKafkaSourceWithAnOffsetThatTheLogDoesNotHold(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, submission("a.com"), submission("b.com"))
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: testTopic, Partition: 0, At: 1000})
	if _, err := kadm.NewClient(b.client).CommitOffsets(t.Context(), testGroup, offsets); err != nil {
		t.Fatal(err)
	}
	r := b.run(t)
	for _, want := range []string{"a.com", "b.com"} {
		d := r.next()
		if d.Seed.FQDN != want {
			t.Errorf("delivered %s, want %s", d.Seed.FQDN, want)
		}
		d.Done(nil)
	}
	r.stop()
	if got := b.committed(0); got != 2 {
		t.Errorf("offset %d committed, want 2", got)
	}
}

// A topic that is deleted and made anew under a running source is read from
// its beginning; what is in work of the old one commits nothing in the new.
func TestKafkaSourceReadsATopicMadeAnew(t *testing.T) {
	b := newBroker(t, 1)
	b.produce(0, submission("a.com"), submission("b.com"), submission("c.com"))
	r := b.run(t)
	old := []Delivery{r.next(), r.next(), r.next()}
	old[0].Done(nil)
	eventually(t, "offset 1 committed", func() bool { return b.committed(0) == 1 })
	admin := kadm.NewClient(b.client)
	if _, err := admin.DeleteTopics(t.Context(), testTopic); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, testTopic); err != nil {
		t.Fatal(err)
	}
	b.client.PurgeTopicsFromClient(testTopic)
	b.produce(0, submission("new.com"))
	d := r.next()
	if d.Seed.FQDN != "new.com" || d.Seed.Scan != "raw.hosts-0-0" {
		t.Errorf("delivered %+v", d.Seed)
	}
	for _, o := range old[1:] {
		o.Done(nil)
	}
	d.Done(nil)
	r.stop()
	if got := b.committed(0); got != 1 {
		t.Errorf("offset %d committed, want 1: the new topic has one message", got)
	}
}

// Without Kafka the source says why it is not ready, and ends when told.
func TestKafkaSourceWithoutKafka(t *testing.T) {
	b := &broker{t: t, addrs: []string{"127.0.0.1:1"}}
	r := b.run(t)
	eventually(t, "the refused connection is told", func() bool {
		return strings.Contains(fmt.Sprint(r.source.Unready()), "refused")
	})
	r.stop()
}
