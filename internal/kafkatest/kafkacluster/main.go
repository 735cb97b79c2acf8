//go:build unix

// Command kafkacluster runs the three real Kafka nodes of the end-to-end tests
// by hand. Standard output gets data only: the bootstrap addresses.
//
//	kafkacluster fetch         bring the jars by Maven, if they are not there yet
//	kafkacluster up [TOPIC…]   run until interrupted; the topics are created with 12 partitions
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/typostream/typostream/internal/kafkatest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 1 && args[0] == "fetch":
		err = kafkatest.Fetch(ctx)
	case len(args) >= 1 && args[0] == "up":
		err = up(ctx, args[1:], stdout, stderr)
	default:
		fmt.Fprintln(stderr, "usage: kafkacluster fetch | kafkacluster up [TOPIC…]")
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "kafkacluster: error:", err)
		return 1
	}
	return 0
}

// up runs the cluster until the context ends.
func up(ctx context.Context, topics []string, stdout, stderr io.Writer) (err error) {
	c, err := kafkatest.Start(ctx, kafkatest.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if e := c.Close(); err == nil {
			err = e
		}
	}()
	for _, topic := range topics {
		if err := c.CreateTopic(ctx, topic, 12, 3, 2); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, strings.Join(c.Brokers(), ","))
	fmt.Fprintln(stderr, "kafkacluster: three brokers run, with empty data; Ctrl-C ends them and removes it")
	<-ctx.Done()
	return nil
}
