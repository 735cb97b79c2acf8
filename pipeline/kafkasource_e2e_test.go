//go:build e2e

package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/kafkatest"
)

// BenchmarkCoordinatorRestart stops or kills the broker that coordinates the
// group of a source, on three real ones, and starts it again, while a seed comes
// every 50 ms. It tells the time from the start of the source to the first seed
// on a cluster that has yet to make the topic of the groups' offsets (s/first),
// and the median of its runs of the longest time without a seed of any partition
// (s/gap) and of one (s/partition).
//
//	go test -tags e2e -run '^$' -bench CoordinatorRestart -benchtime 3x ./pipeline
func BenchmarkCoordinatorRestart(b *testing.B) {
	b.Run("stopped", func(b *testing.B) { benchmarkRestart(b, (*kafkatest.Cluster).Stop) })
	b.Run("killed", func(b *testing.B) { benchmarkRestart(b, (*kafkatest.Cluster).Kill) })
}

func benchmarkRestart(b *testing.B, end func(*kafkatest.Cluster, ...int) error) {
	ctx := b.Context()
	cluster, err := kafkatest.Start(ctx, kafkatest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	if err := cluster.CreateTopic(ctx, testTopic, 12, 3, 2); err != nil {
		b.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Brokers()...), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	feed(ctx, client)
	began := time.Now()
	seeds := deliveries(ctx, b, cluster.Brokers())
	first := (<-seeds).at.Sub(began)
	var gaps, partitions []float64
	for b.Loop() {
		for calm := time.Now(); time.Since(calm) < 5*time.Second; {
			<-seeds // all is read well
		}
		gap, partition := restartCoordinator(ctx, b, cluster, client, end, seeds)
		b.Logf("coordinator restarted: %.1f s without a seed, %.1f s without one of a partition", gap.Seconds(), partition.Seconds())
		gaps, partitions = append(gaps, gap.Seconds()), append(partitions, partition.Seconds())
	}
	b.ReportMetric(first.Seconds(), "s/first")
	b.ReportMetric(median(gaps), "s/gap")
	b.ReportMetric(median(partitions), "s/partition")
}

// feed produces a seed every 50 ms until the context ends.
func feed(ctx context.Context, client *kgo.Client) {
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			client.Produce(ctx, &kgo.Record{Topic: testTopic, Value: []byte(submission(fmt.Sprintf("seed%d.com", i)))}, nil)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// delivered is when a seed came, and of which partition.
type delivered struct {
	at        time.Time
	partition string
}

// deliveries runs a source and tells of each seed.
func deliveries(ctx context.Context, b *testing.B, brokers []string) <-chan delivered {
	dead, err := emitter.NewDeadLetters(emitter.DeadLettersConfig{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	source, err := NewKafkaSource(KafkaSourceConfig{
		Brokers: brokers, Topic: testTopic, Group: testGroup, DeadLetters: dead, Metrics: NewMetrics(), Log: slog.New(slog.NewTextHandler(b.Output(), nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	out, ended := make(chan Delivery), make(chan error, 1)
	go func() { ended <- source.Run(ctx, out) }()
	seeds := make(chan delivered, 10_000)
	go func() {
		for {
			select {
			case d := <-out:
				d.Done(nil)
				seeds <- delivered{time.Now(), strings.Split(d.Seed.Scan, "-")[1]}
			case <-ctx.Done():
				return
			}
		}
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		dead.Close()
	})
	return seeds
}

// restartCoordinator ends the coordinator, starts it again three seconds later,
// and returns the longest time without a seed, of any partition and of one, until
// all are read again.
func restartCoordinator(ctx context.Context, b *testing.B, cluster *kafkatest.Cluster, client *kgo.Client, end func(*kafkatest.Cluster, ...int) error, seeds <-chan delivered) (gap, partition time.Duration) {
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, testGroup)
	if err != nil {
		b.Fatal(err)
	}
	node := int(groups[testGroup].Coordinator.NodeID)
	last, lastOf := time.Now(), map[string]time.Time{}
	for p := range 12 {
		lastOf[fmt.Sprint(p)] = last
	}
	restarted := make(chan error, 1)
	go func() {
		err := end(cluster, node)
		time.Sleep(3 * time.Second)
		if err == nil {
			err = cluster.StartNode(node)
		}
		if err == nil {
			err = cluster.WaitReady(ctx)
		}
		restarted <- err
	}()
	var ready bool
	for tick := time.NewTicker(time.Second); ; {
		select {
		case err := <-restarted:
			if err != nil {
				b.Fatal(err)
			}
			ready = true
		case s := <-seeds:
			gap, partition = max(gap, s.at.Sub(last)), max(partition, s.at.Sub(lastOf[s.partition]))
			last, lastOf[s.partition] = s.at, s.at
		case <-tick.C:
			stalled := func(at time.Time) bool { return time.Since(at) > 2*time.Second }
			if ready && !slices.ContainsFunc(slices.Collect(maps.Values(lastOf)), stalled) {
				tick.Stop()
				return gap, partition
			}
		}
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
