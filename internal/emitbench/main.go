//go:build unix

// Command emitbench measures the emitter beside kafka-go's Writer and franz-go:
// make bench-emit. It takes turns, so that a noisy machine is as unkind to one
// as to the other, and prints medians; compare the rows of one table only.
//
// With -fault it measures instead the longest time without an acknowledgement
// while three real brokers are treated badly, the emitter and franz-go side by
// side, and reads both topics back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/typostream/typostream/internal/kafkatest"
)

// bench is what the command line says.
type bench struct {
	real        bool
	duration    time.Duration
	rounds      int
	compression string
	fault       string
	callers     int
	warm        time.Duration
	fast        bool
	out         io.Writer
}

func main() {
	b := bench{out: os.Stdout}
	flag.BoolVar(&b.real, "real", false, "three real brokers instead of one in the process with 2 ms to an acknowledgement")
	flag.DurationVar(&b.duration, "duration", 2*time.Second, "of one measurement")
	flag.IntVar(&b.rounds, "rounds", 3, "measurements of which the median counts")
	flag.StringVar(&b.compression, "compression", "lz4", "none, gzip, snappy, lz4 or zstd, for all")
	flag.IntVar(&b.callers, "callers", 0, "measure this number of callers only: 1, 64, 1024 or, with slices of 1,000, 4")
	flag.DurationVar(&b.warm, "warm", time.Minute, "of load by all clients before the first measurement, with -real: a JVM is several times faster after a while")
	flag.BoolVar(&b.fast, "fast", true, "let the brokers' JVMs optimise; without it they are as in the tests, with the first compiler only")
	flag.StringVar(&b.fault, "fault", "", "roll, move, kill or hang: measure stalls on three real brokers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "emitbench:", err)
		os.Exit(1)
	}
}

const topic = "bench"

func (b *bench) run(ctx context.Context) (err error) {
	if !b.real && b.fault == "" {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(12, topic))
		if err != nil {
			return err
		}
		defer cluster.Close()
		fmt.Fprintln(b.out, "A broker in the process, 2 ms to each answer; its own CPU and allocations are in the figures.")
		return b.compare(ctx, cluster.ListenAddrs(), ackDelay)
	}
	cluster, err := kafkatest.Start(ctx, kafkatest.Options{Fast: b.fast})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if b.fault != "" {
		return b.stalls(ctx, cluster)
	}
	if err := cluster.CreateTopic(ctx, topic, 12, 3, 2); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "Three real brokers on this machine, replication 3, min.insync.replicas 2, optimising JVMs: %t, after %v of load.\n", b.fast, b.warm)
	if err := b.heat(ctx, cluster.Brokers()); err != nil {
		return err
	}
	return b.compare(ctx, cluster.Brokers(), 0)
}
