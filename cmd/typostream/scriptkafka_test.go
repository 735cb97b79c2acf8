package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fakeKafka is the Kafka of a script, and a client of another make than the
// one that is tested.
type fakeKafka struct {
	cluster *kfake.Cluster
	client  *kgo.Client
}

func (k *fakeKafka) close() {
	k.client.Close()
	k.cluster.Close()
}

func cmdKafka(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, true, "kafka [brokers=N] TOPIC[:PARTITIONS]...")
	brokers := 1
	if len(args) > 0 {
		if number, ok := strings.CutPrefix(args[0], "brokers="); ok {
			var err error
			brokers, err = strconv.Atoi(number)
			ts.Check(err)
			args = args[1:]
		}
	}
	options := []kfake.Opt{kfake.NumBrokers(brokers)}
	for _, arg := range args {
		topic, number, _ := strings.Cut(arg, ":")
		partitions := 3
		if number != "" {
			var err error
			partitions, err = strconv.Atoi(number)
			ts.Check(err)
		}
		options = append(options, kfake.SeedTopics(int32(partitions), topic))
	}
	cluster, err := kfake.NewCluster(options...)
	ts.Check(err)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerBatchMaxBytes(8<<20), kgo.ManualFlushing())
	if err != nil {
		cluster.Close()
		ts.Fatalf("%v", err)
	}
	k := &fakeKafka{cluster, client}
	worldOf(ts).kafka = k
	ts.Defer(func() {
		if worldOf(ts).kafka == k {
			k.close()
		}
	})
	ts.Setenv("KAFKA_BOOTSTRAP", strings.Join(cluster.ListenAddrs(), ","))
}

func cmdStopKafka(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 0, "stopkafka")
	if k := worldOf(ts).kafka; k != nil {
		worldOf(ts).kafka = nil
		k.close()
		return
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv("KAFKA_BOOTSTRAP", listener.Addr().String())
	ts.Check(listener.Close())
}

func kafkaOf(ts *testscript.TestScript) *fakeKafka {
	k := worldOf(ts).kafka
	if k == nil {
		ts.Fatalf("no kafka was started")
	}
	return k
}

func cmdProduce(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "produce TOPIC KEY FILE")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	value, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	record := &kgo.Record{Topic: args[0], Key: []byte(args[1]), Value: []byte(strings.TrimSuffix(string(value), "\n"))}
	if args[1] == "-" {
		record.Key = nil
	}
	ts.Check(kafkaOf(ts).produce(ctx, record))
}

func (k *fakeKafka) produce(ctx context.Context, record *kgo.Record) error {
	done := make(chan error, 1)
	k.client.Produce(ctx, record, func(_ *kgo.Record, err error) { done <- err })
	if err := k.client.Flush(ctx); err != nil {
		return err
	}
	return <-done
}

// ends returns the end of each partition of a topic.
func (k *fakeKafka) ends(topic string) (ends []int64) {
	for {
		info := k.cluster.PartitionInfo(topic, int32(len(ends)))
		if info == nil {
			return ends
		}
		ends = append(ends, info.HighWatermark)
	}
}

func sum(numbers []int64) (total int64) {
	for _, n := range numbers {
		total += n
	}
	return total
}

// read returns all records of a topic by partition and offset.
func (k *fakeKafka) read(topic string) ([]*kgo.Record, error) {
	want := sum(k.ends(topic))
	client, err := kgo.NewClient(kgo.SeedBrokers(k.cluster.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		records = append(records, fetches.Records()...)
	}
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(a.Offset - b.Offset)
	})
	return records, nil
}

func cmdTopic(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "topic NAME")
	records, err := kafkaOf(ts).read(args[0])
	ts.Check(err)
	for _, r := range records {
		key := string(r.Key)
		if r.Key == nil {
			key = "-"
		}
		fmt.Fprintf(ts.Stdout(), "%d %s %s\n", r.Partition, key, r.Value)
	}
}

func cmdWantTopic(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "wanttopic NAME N")
	want, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	k := kafkaOf(ts)
	await(ts, args[1]+" records in "+args[0], func() bool { return sum(k.ends(args[0])) >= want })
	cmdTopic(ts, false, args[:1])
	if got := sum(k.ends(args[0])); got != want {
		ts.Fatalf("%d records in %s, want %d", got, args[0], want)
	}
}

func cmdOffsets(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "offsets GROUP TOPIC")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	k := kafkaOf(ts)
	offsets, err := kadm.NewClient(k.client).FetchOffsets(ctx, args[0])
	ts.Check(err)
	for p, end := range k.ends(args[1]) {
		committed := "none"
		if o, ok := offsets.Lookup(args[1], int32(p)); ok {
			committed = strconv.FormatInt(o.At, 10)
		}
		fmt.Fprintf(ts.Stdout(), "partition %d: committed %s of %d\n", p, committed, end)
	}
}
