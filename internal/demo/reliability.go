package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// The record that the broker of the second demo refuses: a look-alike of
// münchen.de that its zone knows.
const poison = "xn--mnchn-kva6q.de"

const inputTopic = "raw.hosts"

// reliability takes a worker through what goes wrong with Kafka. After each
// step the books must balance, and at the end each event is where they say.
func reliability(ctx context.Context, stdout, stderr io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	d := &ordeal{out: stdout}
	dns, err := resolvertest.Start(zone)
	if err != nil {
		return fmt.Errorf("dns: %w", err)
	}
	defer dns.Close()
	d.kafka, err = kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(12, topics...))
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer d.kafka.Close()
	d.kafka.Control(d.misbehave)
	if d.dir, err = os.MkdirTemp("", "typostream-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	fmt.Fprintln(stdout, "$ make build")
	if err := execute(ctx, stdout, stderr, "make", "--no-print-directory", "bin/typostream"); err != nil {
		return err
	}
	if err := d.start(ctx, dns.Addr()); err != nil {
		return err
	}
	defer func() {
		if e := d.stop(); err == nil {
			err = e
		}
		if err == nil {
			err = d.check(ctx)
		}
		if err != nil {
			fmt.Fprintf(stderr, "the worker's log:\n%s", d.log.String())
		}
	}()
	return d.steps(ctx)
}

// topics are all that the worker reads and writes.
var topics = []string{inputTopic, topic, "phish.urls.crawl", "phish.urls.inactive", "typostream.dlq"}

// ordeal is the worker and what is done to it.
type ordeal struct {
	out    io.Writer
	kafka  *kfake.Cluster
	dir    string
	worker *exec.Cmd
	log    lines
	addr   string
	down   atomic.Bool
	last   books
}

// books are the worker's own, of one moment.
type books struct {
	Accepted     int64 `json:"accepted"`
	Acked        int64 `json:"acked"`
	Spooled      int64 `json:"spooled"`
	DeadLettered int64 `json:"dead_lettered"`
	InFlight     int64 `json:"in_flight"`
	Replayed     int64 `json:"replayed"`
	Ambiguous    int64 `json:"ambiguous"`
}

func (b books) balance() bool { return b.Accepted == b.Acked+b.Spooled+b.DeadLettered+b.InFlight }

// misbehave is asked about every request: a broker that is down hangs up, and
// one that is up refuses the poison record for good, and what came with it for now.
func (d *ordeal) misbehave(request kmsg.Request) (kmsg.Response, error, bool) {
	d.kafka.KeepControl()
	if d.down.Load() && request.Key() != int16(kmsg.Fetch) {
		return nil, errors.New("the broker is down"), true
	}
	produce, ok := request.(*kmsg.ProduceRequest)
	if !ok {
		return nil, nil, false
	}
	response := produce.ResponseKind().(*kmsg.ProduceResponse)
	refused := false
	for _, t := range produce.Topics {
		told := kmsg.ProduceResponseTopic{Topic: t.Topic, TopicID: t.TopicID}
		for _, p := range t.Partitions {
			code := kerr.NotEnoughReplicas.Code
			if t.Topic == topic && bytes.Contains(p.Records, []byte(poison)) {
				code, refused = kerr.InvalidRecord.Code, true
			}
			told.Partitions = append(told.Partitions, kmsg.ProduceResponseTopicPartition{Partition: p.Partition, ErrorCode: code})
		}
		response.Topics = append(response.Topics, told)
	}
	return response, nil, refused // else nothing of the request is appended
}

func (d *ordeal) start(ctx context.Context, dns string) error {
	seeds := filepath.Join(d.dir, "seeds.csv")
	if err := os.WriteFile(seeds, []byte("my-bank.co.uk\n"), 0o600); err != nil {
		return err
	}
	args := []string{
		"worker", "--bootstrap", strings.Join(d.kafka.ListenAddrs(), ","), "--nameservers", dns, "--seeds", seeds,
		"--output-dir", filepath.Join(d.dir, "out"), "--http-addr", "127.0.0.1:0", "--track-unregistered", "all",
		"--emit-rate", "400", "--emit-burst", "50", "--compression", "none", "--send-backoff", "100ms",
	}
	fmt.Fprintf(d.out, "\n$ typostream %s\n\n", strings.Join(args, " "))
	d.worker = exec.CommandContext(ctx, "bin/typostream", args...)
	d.worker.Stderr = &d.log
	d.worker.Cancel = func() error { return d.worker.Process.Signal(syscall.SIGTERM) }
	if err := d.worker.Start(); err != nil {
		return err
	}
	return until(ctx, "the worker serves", func() bool {
		for line := range strings.Lines(d.log.String()) {
			var started struct{ Msg, HTTP string }
			if json.Unmarshal([]byte(line), &started) == nil && started.Msg == "worker started" {
				d.addr = started.HTTP
			}
		}
		return d.addr != ""
	})
}

func (d *ordeal) steps(ctx context.Context) error {
	fmt.Fprintf(d.out, "%-46s  %8s = %6s + %7s + %5s + %9s\n", "", "accepted", "acked", "spooled", "dead", "in flight")
	if err := d.step(ctx, "events flow", func(b books) bool { return b.Acked >= 300 }); err != nil {
		return err
	}
	for partition := range int32(12) {
		for _, name := range topics[1:] {
			to := (d.kafka.LeaderFor(name, partition) + 1) % 3
			if err := d.kafka.MoveTopicPartition(name, partition, to); err != nil {
				return err
			}
		}
	}
	before := d.last.Acked
	if err := d.step(ctx, "every leader has moved, events flow", func(b books) bool { return b.Acked >= before+300 }); err != nil {
		return err
	}
	d.down.Store(true)
	if err := d.step(ctx, "the brokers are gone, the spool fills", func(b books) bool { return b.Spooled >= 500 }); err != nil {
		return err
	}
	d.down.Store(false)
	if err := d.step(ctx, "they are back, the spool has drained by itself", func(b books) bool { return b.Spooled == 0 && b.Replayed > 0 }); err != nil {
		return err
	}
	if err := d.submit(ctx, `{"domain":"münchen.de"}`); err != nil {
		return err
	}
	if err := d.step(ctx, "a record is refused, it is a dead letter", func(b books) bool { return b.DeadLettered == 1 }); err != nil {
		return err
	}
	return d.step(ctx, "the seeds are done", func(b books) bool {
		return b.InFlight == 0 && b.Spooled == 0 && strings.Count(d.log.String(), `"msg":"Completed `) == 2
	})
}

// step waits until the books are as they should be, and prints them. They
// balance at every moment in between, or that is the end.
func (d *ordeal) step(ctx context.Context, what string, done func(books) bool) error {
	var failed error
	err := until(ctx, what, func() bool {
		if d.last, failed = d.ask(ctx); failed != nil || !d.last.balance() {
			return true
		}
		return done(d.last)
	})
	b := d.last
	fmt.Fprintf(d.out, "%-46s  %8d = %6d + %7d + %5d + %9d\n", what, b.Accepted, b.Acked, b.Spooled, b.DeadLettered, b.InFlight)
	if err == nil && failed == nil && !b.balance() {
		err = fmt.Errorf("the books do not balance: %+v", b)
	}
	return errors.Join(err, failed)
}

// ask the worker for its books.
func (d *ordeal) ask(ctx context.Context) (books, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.addr+"/readyz?verbose", nil)
	if err != nil {
		return books{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return books{}, err
	}
	defer response.Body.Close()
	var body struct{ Details struct{ Events books } }
	err = json.NewDecoder(response.Body).Decode(&body)
	return body.Details.Events, err
}

// submit sends a seed to the worker's input.
func (d *ordeal) submit(ctx context.Context, message string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(d.kafka.ListenAddrs()...))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(ctx, &kgo.Record{Topic: inputTopic, Value: []byte(message)}).FirstErr()
}

func (d *ordeal) stop() error {
	err := d.worker.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, d.worker.Wait())
}

// check reads everything back by another client: what was acknowledged is
// there, once, and the refused record is in the file of dead letters.
func (d *ordeal) check(ctx context.Context) error {
	records := map[string]int{}
	for _, name := range topics[1:4] {
		if err := d.count(ctx, name, records); err != nil {
			return err
		}
	}
	total, twice := 0, 0
	for n := range maps.Values(records) {
		total += n
		twice += n - 1
	}
	letters, err := os.ReadFile(filepath.Join(d.dir, "out", "dead_letters.jsonl"))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "\nread back by another client: %d records, %d of them twice; %d dead letter\n", total, twice, bytes.Count(letters, []byte("\n")))
	switch {
	case int64(len(records)) != d.last.Acked || int64(twice) > d.last.Ambiguous:
		return fmt.Errorf("%d events were acknowledged (%d perhaps twice), but the topics hold %d and %d twice", d.last.Acked, d.last.Ambiguous, len(records), twice)
	case bytes.Count(letters, []byte("\n")) != 1 || !bytes.Contains(letters, []byte(poison)):
		return fmt.Errorf("the dead letters are not the refused record: %s", letters)
	}
	fmt.Fprintln(d.out, "nothing is lost")
	return nil
}

// count notes each record of a topic by its topic, key and value.
func (d *ordeal) count(ctx context.Context, name string, records map[string]int) error {
	var want int64
	for partition := range int32(12) {
		want += d.kafka.PartitionInfo(name, partition).HighWatermark
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(d.kafka.ListenAddrs()...), kgo.ConsumeTopics(name))
	if err != nil {
		return err
	}
	defer client.Close()
	for seen := int64(0); seen < want; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%s: %d of %d records read: %w", name, seen, want, err)
		}
		for record := range fetches.RecordsAll() {
			seen++
			records[name+"\x00"+string(record.Key)+"\x00"+string(record.Value)]++
		}
	}
	return nil
}

// until asks every tenth of a second.
func until(ctx context.Context, what string, done func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: in vain: %w", what, ctx.Err())
		}
	}
	return nil
}

// lines is what the worker logs.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
