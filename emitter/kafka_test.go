package emitter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestEmitQuietly(t *testing.T) {
	r := newRig(t, nil)
	want := messages(1000)
	got, err := r.Emit(t.Context(), want...)
	if err != nil || got != (Receipt{Acked: 1000}) {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	r.exactly(t, testTopic, want)
	if s := r.log.String(); s != "" {
		t.Errorf("a run without trouble logged:\n%s", s)
	}
	if h := r.Health(); !h.Known || !h.Reachable || h.Cause != nil || len(h.Problems) != 0 {
		t.Errorf("health: %+v", h)
	}
	if a := r.Accounting(); a.Sessions != 1 || a.Retries != 0 || a.Ambiguous != 0 {
		t.Errorf("books: %+v", a)
	}
}

// Another client's default partitioner, which follows the Java client's, must
// choose the same partitions.
func TestPartitionsAsOtherClients(t *testing.T) {
	const other = "other"
	r := newRig(t, nil, kfake.SeedTopics(7, testTopic, other))
	want := messages(200)
	if _, err := r.Emit(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	theirs := map[string]int32{}
	for _, m := range want {
		rec, err := c.ProduceSync(t.Context(), &kgo.Record{Topic: other, Key: []byte(m.Key), Value: m.Value}).First()
		if err != nil {
			t.Fatal(err)
		}
		theirs[m.Key] = rec.Partition
	}
	for _, rec := range r.read(t, testTopic) {
		if want := theirs[string(rec.Key)]; rec.Partition != want {
			t.Errorf("%s is in partition %d, another client puts it into %d", rec.Key, rec.Partition, want)
		}
	}
}

func TestMessagesWithoutKey(t *testing.T) {
	r := newRig(t, nil)
	var want []Message
	for n := range 40 {
		want = append(want, msg("", n))
	}
	if _, err := r.Emit(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	parts := map[int32]int{}
	for _, rec := range r.read(t, testTopic) {
		if rec.Key != nil {
			t.Errorf("key %q, want none", rec.Key)
		}
		parts[rec.Partition]++
	}
	if len(parts) != 4 {
		t.Errorf("spread over %v, want all four partitions", parts)
	}
}

func TestCompressions(t *testing.T) {
	for _, c := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(c, func(t *testing.T) {
			r := newRig(t, func(cfg *KafkaConfig) { cfg.Compression = c; cfg.Linger = time.Millisecond })
			want := messages(50)
			if got, err := r.Emit(t.Context(), want...); err != nil || got.Acked != 50 {
				t.Fatalf("Emit = %+v, %v", got, err)
			}
			r.exactly(t, testTopic, want)
		})
	}
}

func TestThousandCallers(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.QueueBytes = 64 << 10 }) // less than they bring
	want := messages(1000)
	var wg sync.WaitGroup
	for i := range want {
		wg.Go(func() {
			if got, err := r.Emit(t.Context(), want[i]); err != nil || got.Acked != 1 {
				t.Errorf("Emit = %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
	r.exactly(t, testTopic, want)
}

// One call may bring more than the queue holds.
func TestQueueSmallerThanOneCall(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.QueueBytes = 1000; cfg.BatchBytes = 300 })
	want := messages(200)
	if got, err := r.Emit(t.Context(), want...); err != nil || got.Acked != 200 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	r.exactly(t, testTopic, want)
}

// Cancelling hands back what waits in the queue, and waits for what is sent.
func TestCancelWhileABatchIsOut(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	if _, err := r.Emit(t.Context(), msg("first.example", 0)); err != nil {
		t.Fatal(err)
	}
	sent, release := make(chan struct{}), make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(sent)
		r.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	out := make(chan error, 1)
	go func() {
		_, err := r.Emit(t.Context(), msg("out.example", 1))
		out <- err
	}()
	<-sent
	ctx, cancel := context.WithCancel(t.Context())
	queued := make(chan error, 1)
	go func() {
		got, err := r.Emit(ctx, msg("queued.example", 2))
		if got.Total() != 0 {
			t.Errorf("receipt of the cancelled call: %+v", got)
		}
		queued <- err
	}()
	waitFor(t, func() bool { return r.Accounting().InFlight == 2 })
	cancel()
	err := <-queued
	if ue, ok := errors.AsType[*UndeliveredError](err); !ok || ue.Count != 1 || ue.Unknown != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call returned %v", err)
	}
	if a := r.Accounting(); a.InFlight != 1 || a.Returned != 1 {
		t.Errorf("books: %+v", a)
	}
	close(release)
	if err := <-out; err != nil {
		t.Error(err)
	}
	r.exactly(t, testTopic, []Message{msg("first.example", 0), msg("out.example", 1)})
}

// A caller whose batch is out is told the truth even when its context ends.
func TestCancelOfTheBatchItself(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	sent, release := make(chan struct{}), make(chan struct{})
	r.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(sent)
		r.cluster.SleepControl(func() { <-release })
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(t.Context())
	out := make(chan error, 1)
	go func() {
		_, err := r.Emit(ctx, msg("out.example", 1))
		out <- err
	}()
	<-sent
	cancel()
	close(release)
	if err := <-out; err != nil {
		t.Errorf("Emit = %v, want nil: the message was delivered", err)
	}
	r.exactly(t, testTopic, []Message{msg("out.example", 1)})
}

// Close with an ended context cuts attempts short; the spool has the messages.
func TestCloseCutsShort(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.RequestTimeout = time.Hour }, kfake.SeedTopics(1, testTopic))
	r.plug.hang.Store(true)
	out := make(chan Receipt, 1)
	go func() {
		got, err := r.Emit(t.Context(), msg("out.example", 1))
		if err != nil {
			t.Error(err)
		}
		out <- got
	}()
	waitFor(t, func() bool { return r.cluster.PartitionInfo(testTopic, 0).HighWatermark == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Close(ctx); err != nil {
		t.Error(err)
	}
	if got := <-out; got != (Receipt{Spooled: 1}) {
		t.Errorf("receipt %+v, want one spooled", got)
	}
	if a := r.Accounting(); a.Ambiguous != 1 {
		t.Errorf("books: %+v, want one ambiguous", a)
	}
	if lines := r.lines(t, "spool_*.jsonl"); len(lines) != 1 || !strings.Contains(lines[0], `"unknown":true`) {
		t.Errorf("spool: %q, want one line marked unknown", lines)
	}
}

func TestEnsureTopics(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.CreateTopics = true })
	if err := r.EnsureTopics(t.Context(), testTopic, "phish.urls.inactive"); err != nil {
		t.Fatal(err)
	}
	info := r.cluster.TopicInfo("phish.urls.inactive")
	if info == nil || info.NumReplicas != 3 || *info.Configs["min.insync.replicas"] != "2" || *info.Configs["retention.ms"] != "604800000" {
		t.Fatalf("created topic: %+v", info)
	}
	if n := len(r.cluster.PartitionInfos("phish.urls.inactive")); n != 12 {
		t.Errorf("%d partitions, want 12", n)
	}
	strict := r.connect(t, func(cfg *KafkaConfig) { cfg.TopicWait = -1 })
	err := strict.EnsureTopics(t.Context(), testTopic, "phish.urls.crawl")
	ke, ok := errors.AsType[*KafkaError](err)
	if !ok || ke.Topic != "phish.urls.crawl" || ke.Code != 3 || !strings.Contains(ke.Hint(), "kafka-topics --create --topic phish.urls.crawl") {
		t.Errorf("EnsureTopics of a missing topic: %v", err)
	}
}

// Events sent the moment their topic is created all arrive.
func TestCreatesTopicOnTheWay(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.CreateTopics = true }, kfake.SeedTopics(1, "unrelated"))
	want := messages(500)
	if got, err := r.Emit(t.Context(), want...); err != nil || got.Acked != 500 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	r.exactly(t, testTopic, want)
}

func TestProducerIDLoading(t *testing.T) {
	r := newRig(t, nil)
	r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, Err: kerr.CoordinatorLoadInProgress, Count: 4, TopLevel: true})
	want := messages(3)
	if got, err := r.Emit(t.Context(), want...); err != nil || got.Acked != 3 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if a := r.Accounting(); a.Retries != 0 {
		t.Errorf("books: %+v, want no attempt used up", a)
	}
	r.exactly(t, testTopic, want)
}

func TestConfigFaults(t *testing.T) {
	_, err := NewKafka(KafkaConfig{Brokers: []string{"kafka"}, Attempts: -1, Compression: "brotli", Backoff: -time.Second}, nil, nil)
	ce, ok := errors.AsType[*ConfigError](err)
	if !ok || len(ce.Faults) != 4 || ce.Hint() == "" {
		t.Fatalf("NewKafka: %v, want four faults", err)
	}
	for _, want := range []string{`Brokers: host:port (got kafka)`, `Attempts: 1 to 100 (got -1)`, `Backoff: positive (got -1s)`, `Compression: none, gzip, snappy, lz4 or zstd (got brotli)`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if _, err := NewKafka(KafkaConfig{}, nil, nil); err == nil {
		t.Error("no brokers, no error")
	}
}

// waitFor polls a condition that another goroutine brings about.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("waited 20 s in vain")
		}
	}
}

func BenchmarkEmit(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			r := newRig(b, nil, kfake.SeedTopics(12, testTopic))
			value := []byte(`{"canonical_fqdn":"name.example","pad":"` + strings.Repeat("x", 560) + `"}`)
			b.ReportAllocs()
			var wg sync.WaitGroup
			next := make(chan int)
			for range callers {
				wg.Go(func() {
					for i := range next {
						m := Message{Topic: testTopic, Key: fmt.Sprintf("name%d.example", i), Value: value}
						if got, err := r.Emit(context.Background(), m); err != nil || got.Acked != 1 {
							b.Errorf("Emit = %+v, %v", got, err)
						}
					}
				})
			}
			b.ResetTimer()
			for i := range b.N {
				next <- i
			}
			close(next)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
