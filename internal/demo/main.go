// Command demo shows typostream at work on a machine with nothing but Go: it
// starts a DNS server and a Kafka broker inside its own process, builds the
// real binary, runs it against both, and reads back what was delivered. With
// the argument "reliability" it lets Kafka fail meanwhile.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// The DNS of the demo: a few registered look-alikes of two brands, and faults.
//
//go:embed demo.zone
var zone string

const topic = "domains.candidates"

var seeds = []string{"my-bank.co.uk", "münchen.de"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	show := run
	if len(os.Args) > 1 && os.Args[1] == "reliability" {
		show = reliability
	}
	if err := show(ctx, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout, stderr io.Writer) error {
	dns, err := resolvertest.Start(zone)
	if err != nil {
		return fmt.Errorf("dns: %w", err)
	}
	defer dns.Close()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(12, topic))
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer kafka.Close()
	dir, err := os.MkdirTemp("", "typostream-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Fprintln(stdout, "$ make build")
	if err := execute(ctx, stdout, stderr, "make", "--no-print-directory", "bin/typostream"); err != nil {
		return err
	}
	brokers := strings.Join(kafka.ListenAddrs(), ",")
	args := append([]string{
		"scan", "--format", "table", "--all", "--nameservers", dns.Addr(), "--max-unknown", "5%",
		"--kafka", "--bootstrap", brokers, "--output-dir", filepath.Join(dir, "out"),
	}, seeds...)
	fmt.Fprintf(stdout, "\n$ typostream %s\n", strings.Join(args, " "))
	if err := execute(ctx, stdout, stderr, "bin/typostream", args...); err != nil {
		return err
	}
	return readBack(ctx, stdout, kafka)
}

func execute(ctx context.Context, stdout, stderr io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return nil
}

// readBack prints every record of the topic, read by another Kafka client.
func readBack(ctx context.Context, w io.Writer, kafka *kfake.Cluster) error {
	var want int64
	for partition := range int32(12) {
		want += kafka.PartitionInfo(topic, partition).HighWatermark
	}
	if want == 0 {
		return errors.New("nothing was delivered")
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	fmt.Fprintf(w, "\n%d records of topic %s, read back by another client:\n", want, topic)
	fmt.Fprintf(w, "%9s  %6s  %-28s  %-8s  %s\n", "partition", "offset", "key", "src", "reasons")
	for seen := int64(0); seen < want; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%d of %d records read: %w", seen, want, err)
		}
		for record := range fetches.RecordsAll() {
			seen++
			if err := printRecord(w, record); err != nil {
				return err
			}
		}
	}
	return nil
}

func printRecord(w io.Writer, record *kgo.Record) error {
	var event struct {
		Src     string   `json:"src"`
		FQDN    string   `json:"canonical_fqdn"`
		Fuzzer  string   `json:"fuzzer"`
		Reasons []string `json:"reasons"`
	}
	if err := json.Unmarshal(record.Value, &event); err != nil {
		return err
	}
	if !bytes.Equal(record.Key, []byte(event.FQDN)) {
		return fmt.Errorf("the key %q is not the name %q", record.Key, event.FQDN)
	}
	detail := strings.Join(event.Reasons, " ")
	if event.Fuzzer != "" {
		detail += " " + event.Fuzzer
	}
	fmt.Fprintf(w, "%9d  %6d  %-28s  %-8s  %s\n", record.Partition, record.Offset, record.Key, event.Src, detail)
	return nil
}
