package conformance

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// worker is the real command, and a client of another make beside it.
type worker struct {
	t       *testing.T
	dir     string
	brokers []string
	client  *kgo.Client
	cmd     *exec.Cmd
	log     *output
	http    string
}

// output can be read while the process writes it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func startWorker(t *testing.T, d deployment, brokers []string, redisAddr string) *worker {
	t.Helper()
	dns, err := resolvertest.StartFile("testdata/world.zone")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	host, port, err := net.SplitHostPort(redisAddr)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{t: t, dir: t.TempDir(), brokers: brokers, client: client, cmd: exec.Command(binary, "worker"), log: &output{}}
	w.cmd.Stderr = w.log
	w.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "KAFKA_BOOTSTRAP_SERVERS=" + strings.Join(brokers, ","), "NAMESERVERS=" + dns.Addr(), "OUTPUT_DIR=" + w.dir, "SEEDS_CSV=testdata/seeds.csv",
		"REDIS_HOST=" + host, "REDIS_PORT=" + port, "HTTP_ADDR=127.0.0.1:0", "KAFKA_RETRY_DELAY=200ms",
	}
	if d.compat {
		w.cmd.Env = append(w.cmd.Env, "TYPOSTREAM_COMPAT=ps02")
	} else {
		w.cmd.Env = append(w.cmd.Env, "KAFKA_INPUT_TOPIC="+d.input, "KAFKA_TOPIC="+d.output, "TRACK_UNREGISTERED="+d.track)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			_ = w.cmd.Process.Kill() // a failed test left it
			_ = w.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("log of the worker:\n%s", w.log.text())
		}
	})
	address := regexp.MustCompile(`"msg":"worker started",.*"http":"([^"]+)"`)
	waitFor(t, "the worker has started", func() bool {
		if m := address.FindStringSubmatch(w.log.text()); m != nil {
			w.http = m[1]
		}
		return w.http != ""
	})
	return w
}

func (w *worker) awaitLog(text string) {
	w.t.Helper()
	w.awaitLogs(text, 1)
}

// awaitLogs waits until the log says it so many times.
func (w *worker) awaitLogs(text string, times int) {
	w.t.Helper()
	waitFor(w.t, "the log says "+text, func() bool { return strings.Count(w.log.text(), text) >= times })
}

// metrics are the samples of one name, by the last label's value or "".
func (w *worker) metrics(name string) map[string]int {
	_, body := w.get("/metrics")
	found := map[string]int{}
	sample := regexp.MustCompile(`(?m)^` + name + `(?:\{.*verdict="(\w+)".*\})? (\S+)$`)
	for _, m := range sample.FindAllStringSubmatch(body, -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			w.t.Fatal(err)
		}
		found[m[1]] += int(n)
	}
	return found
}

// counts are the messages taken in by verdict, those that did not come left out.
func (w *worker) counts() map[string]int {
	counts := w.metrics("typostream_intake_messages_total")
	for verdict, n := range counts {
		if n == 0 {
			delete(counts, verdict)
		}
	}
	return counts
}

// awaitCounts waits until at least so many were taken in.
func (w *worker) awaitCounts(want map[string]int) {
	w.t.Helper()
	waitFor(w.t, "all messages are taken in", func() bool {
		counts := w.counts()
		for verdict, n := range want {
			if counts[verdict] < n {
				return false
			}
		}
		return true
	})
}

func (w *worker) awaitMetric(name string, want int) {
	w.t.Helper()
	waitFor(w.t, name+" is as it should be", func() bool { return w.metrics(name)[""] == want })
}

// terminate asks the worker to end, and wants it to end well.
func (w *worker) terminate() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil {
		w.t.Errorf("the worker ended with %v", err)
	}
}

// read returns all records of a topic, by partition and offset.
func (w *worker) read(topic string) []*kgo.Record {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	ends, err := kadm.NewClient(w.client).ListEndOffsets(ctx, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	want := 0
	ends.Each(func(o kadm.ListedOffset) { want += int(o.Offset) })
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	for len(records) < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			w.t.Fatalf("%s: %v", topic, err)
		}
		records = append(records, fetches.Records()...)
	}
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(a.Offset - b.Offset)
	})
	return records
}

// awaitRedis waits until all scans have ended there: a slow Redis is written to
// later, but not after the worker has ended.
func awaitRedis(t *testing.T, addr string) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	waitFor(t, "Redis has four seeds that were processed, and none at work", func() bool {
		processed, _ := client.Get(t.Context(), "dnstwist:total_processed").Result()
		return processed == "4" && client.Exists(t.Context(), "dnstwist:queue:active").Val() == 0
	})
}

// checkRedis: the state of the scans stands there, nobody is left at work, and
// first_seen is set for what was published, unless its readers' input is our
// output.
func checkRedis(t *testing.T, d deployment, addr string, events []*kgo.Record) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	get := func(key string) string {
		t.Helper()
		value, err := client.Get(t.Context(), key).Result()
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		return value
	}
	for seed, variants := range map[string]string{"acme.com": "3", "beta.de": "1", "delta.co.in": "0", "gamma.org": "2"} {
		status := "pending"
		if variants == "0" {
			status = "completed"
		}
		for key, want := range map[string]string{
			"dnstwist:status:" + seed: "completed", "dnstwist:variants:" + seed: variants,
			"fcrawler:seed:" + seed + ":total": variants, "fcrawler:seed:" + seed + ":crawled": "0",
			"fcrawler:seed:" + seed + ":failed": "0", "fcrawler:seed:" + seed + ":status": status,
		} {
			if got := get(key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if n, err := strconv.Atoi(get("dnstwist:unregistered:" + seed)); err != nil || n < 100 {
			t.Errorf("%s: %d unregistered names", seed, n)
		}
		if _, err := client.ZScore(t.Context(), "dnstwist:history", seed).Result(); err != nil {
			t.Errorf("%s is not in the history: %v", seed, err)
		}
	}
	if got := get("dnstwist:total_processed"); got != "4" {
		t.Errorf("%s seeds processed, want 4", got)
	}
	if n := client.Exists(t.Context(), "dnstwist:queue:active", "dnstwist:progress:acme.com", "dnstwist:status:again.com").Val(); n != 0 {
		t.Errorf("%d keys that should be gone, or never come", n)
	}
	for _, r := range events {
		name := string(r.Key)
		if e := wantEvents[name]; e.src == "dnstwist" && strings.HasPrefix(e.reasons, "dnstwist:") {
			if n := client.Exists(t.Context(), "first_seen:"+name).Val(); (n == 1) != (d.output != rawTopic) {
				t.Errorf("first_seen:%s: %d keys with output topic %s", name, n, d.output)
			}
		}
	}
}
