//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/kafkatest"
	"github.com/typostream/typostream/resolver/resolvertest"
)

const (
	inputTopic     = "raw.hosts"
	candidateTopic = "domains.candidates"
	crawlTopic     = "phish.urls.crawl"
	inactiveTopic  = "phish.urls.inactive"
	group          = "dnstwist-runner"
	partitions     = 12
	patience       = 2 * time.Minute
)

// binary is the real command, built once.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "typostream-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "typostream")
	build := exec.Command("go", "build", "-o", binary, "github.com/typostream/typostream/cmd/typostream")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the command: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// world is three real brokers with the topics, and a client of another make.
type world struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	client  *kgo.Client
	admin   *kadm.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cluster, err := kafkatest.Start(ctx, kafkatest.Options{Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, topic := range []string{inputTopic, candidateTopic, crawlTopic, inactiveTopic} {
		if err := cluster.CreateTopic(ctx, topic, partitions, 3, 2); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &world{t: t, cluster: cluster, client: client, admin: kadm.NewClient(client)}
}

// submit puts messages on the input topic.
func (w *world) submit(values ...string) {
	w.t.Helper()
	for _, value := range values {
		record := &kgo.Record{Topic: inputTopic, Key: []byte(value[:min(len(value), 20)]), Value: []byte(value)}
		if err := w.client.ProduceSync(w.t.Context(), record).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// lag is how many messages of the input topic are not committed.
func (w *world) lag() (int64, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	ends, err := w.admin.ListEndOffsets(ctx, inputTopic)
	if err != nil {
		return 0, err
	}
	commits, err := w.admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, err
	}
	var lag int64
	ends.Each(func(end kadm.ListedOffset) {
		at := int64(0)
		if c, ok := commits.Lookup(inputTopic, end.Partition); ok {
			at = max(c.At, 0)
		}
		lag += end.Offset - at
	})
	return lag, nil
}

func (w *world) awaitNoLag() {
	w.t.Helper()
	eventually(w.t, "every message of the input topic is committed", func() bool {
		lag, err := w.lag()
		return err == nil && lag == 0
	})
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

// candidate is what the topic must hold of one name.
type candidate struct {
	seed, fuzzer string
	passes       []string
	address      bool // has an A record
}

// brands invents n seeds of which a few dozen look-alikes each are registered,
// and the DNS in which they are: every thirtieth name by a hash, of which a
// tenth has no address.
func brands(t *testing.T, from, n int) (seeds []string, expected map[string]candidate, zone string) {
	t.Helper()
	suffixes := []string{"com", "co.in", "bank.in", "de", "co.uk"}
	expected = map[string]candidate{}
	var text strings.Builder
	for i := from; i < from+n; i++ {
		name := inventedLabel(i) + "." + suffixes[i%len(suffixes)]
		seed, err := fuzzer.ParseSeed(name)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, name)
		for v := range fuzzer.Permute(seed, fuzzer.ContractPasses(seed, fuzzer.Lists{})...).All() {
			h := fnv.New32a()
			h.Write([]byte(v.FQDN))
			// A registered subdomain would make the name above it exist too.
			if h.Sum32()%30 != 0 || v.Algorithm == fuzzer.Subdomain {
				continue
			}
			if _, other := expected[v.FQDN]; other {
				t.Fatalf("%s imitates two seeds; choose others", v.FQDN)
			}
			c := candidate{seed: name, fuzzer: v.Algorithm.String(), passes: v.Passes, address: h.Sum32()%300 != 0}
			expected[v.FQDN] = c
			fmt.Fprintf(&text, "%s. 300 IN NS ns1.host.example.\n", v.FQDN)
			if c.address {
				fmt.Fprintf(&text, "%s. 300 IN A 192.0.2.1\n", v.FQDN)
			}
		}
	}
	return seeds, expected, text.String()
}

// inventedLabel is eight letters that no other number's label resembles.
func inventedLabel(i int) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "brand %d", i)
	label := make([]byte, 8)
	for n, sum := 0, h.Sum64(); n < len(label); n, sum = n+1, sum/26 {
		label[n] = 'a' + byte(sum%26)
	}
	return string(label)
}

func startDNS(t *testing.T, zone string) *resolvertest.Server {
	t.Helper()
	server, err := resolvertest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// process is a running typostream.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan error
	mu   sync.Mutex
	log  bytes.Buffer
}

func start(t *testing.T, env map[string]string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), done: make(chan error, 1)}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HTTP_ADDR=127.0.0.1:0"}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	output, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill() // a failed test left it; <-done below reaps it
			<-p.done
		}
		if t.Failed() {
			t.Logf("log of typostream %s:\n%s", strings.Join(args, " "), p.text())
		}
	})
	go func() {
		lines := bufio.NewScanner(output)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.log.Write(append(lines.Bytes(), '\n'))
			p.mu.Unlock()
		}
		p.done <- p.cmd.Wait()
	}()
	return p
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// lastLine is the last line of the log that says so.
func (p *process) lastLine(text string) (line string) {
	for l := range strings.Lines(p.text()) {
		if strings.Contains(l, text) {
			line = strings.TrimSpace(l)
		}
	}
	return line
}

func (p *process) awaitLog(text string) {
	p.t.Helper()
	eventually(p.t, "the log says "+text, func() bool { return strings.Contains(p.text(), text) })
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case err := <-p.done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			p.t.Fatal(err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatal("typostream does not end")
		return -1
	}
}

func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.wait()
}

func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// count is what the topic of candidates was found to hold, beside what was
// expected. repeated counts the further records of an event by its seed, those
// of the seed itself too; repeatedVariants does not count these.
type count struct {
	variants, seeds, missing   int
	repeated, repeatedVariants map[string]int
}

func (c count) repeats() (n int) {
	for _, more := range c.repeated {
		n += more
	}
	return n
}

// checkTopic reads the topic of candidates with another client and compares
// every record with what is expected. A repeated event must carry the id of the
// first.
func (w *world) checkTopic(seeds []string, expected map[string]candidate) count {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	records, err := w.cluster.ReadAll(ctx, candidateTopic)
	if err != nil {
		w.t.Fatal(err)
	}
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic(candidateTopic) // the Java client's, by murmur2
	ids := map[string]string{}
	n := count{repeated: map[string]int{}, repeatedVariants: map[string]int{}}
	for _, r := range records {
		name := string(r.Key)
		if want := partitioner.Partition(&kgo.Record{Key: r.Key}, partitions); want != int(r.Partition) {
			w.t.Errorf("%s is in partition %d, want %d", name, r.Partition, want)
		}
		id := w.checkRecord(name, r.Value, seeds, expected)
		switch first, seen := ids[name]; {
		case seen && first != id:
			w.t.Errorf("%s came twice under the ids %s and %s", name, first, id)
		case seen:
			seed := name
			if c, variant := expected[name]; variant {
				seed = c.seed
				n.repeatedVariants[seed]++
			}
			n.repeated[seed]++
		default:
			ids[name] = id
			if _, variant := expected[name]; variant {
				n.variants++
			} else {
				n.seeds++
			}
		}
	}
	for name := range expected {
		if _, ok := ids[name]; !ok {
			n.missing++
			w.t.Errorf("%s is not in the topic", name)
		}
	}
	for _, seed := range seeds {
		if _, ok := ids[seed]; !ok {
			n.missing++
			w.t.Errorf("the seed %s is not in the topic", seed)
		}
	}
	return n
}

func (w *world) checkRecord(name string, value []byte, seeds []string, expected map[string]candidate) (id string) {
	w.t.Helper()
	var event struct {
		Src        string   `json:"src"`
		FQDN       string   `json:"canonical_fqdn"`
		Seed       string   `json:"seed_registrable"`
		Brand      string   `json:"cse_id"`
		Fuzzer     string   `json:"fuzzer"`
		Reasons    []string `json:"reasons"`
		IsSeed     bool     `json:"is_original_seed"`
		Typostream struct {
			ID     string   `json:"id"`
			State  string   `json:"state"`
			Passes []string `json:"passes"`
			A      []string `json:"a"`
			NS     []string `json:"ns"`
		} `json:"typostream"`
	}
	if err := json.Unmarshal(value, &event); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	if event.FQDN != name || event.Typostream.ID == "" || event.Brand != "BRAND" {
		w.t.Errorf("key %s: event %s", name, value)
	}
	if slices.Contains(seeds, name) {
		if !event.IsSeed || event.Src == "dnstwist" || !slices.Equal(event.Reasons, []string{"original_seed"}) {
			w.t.Errorf("seed %s: event %s", name, value)
		}
		return event.Typostream.ID
	}
	want, ok := expected[name]
	if !ok {
		w.t.Errorf("nobody expects %s: %s", name, value)
		return event.Typostream.ID
	}
	if event.Src != "dnstwist" || event.IsSeed || event.Seed != want.seed || event.Fuzzer != want.fuzzer || event.Typostream.State != "registered" ||
		!slices.Equal(event.Typostream.Passes, want.passes) || len(event.Reasons) != len(want.passes) || len(event.Typostream.NS) != 1 ||
		(len(event.Typostream.A) == 1) != want.address {
		w.t.Errorf("%s: event %s, want %+v", name, value, want)
	}
	return event.Typostream.ID
}

// length is the number of records of a topic.
func (w *world) length(topic string) int {
	w.t.Helper()
	records, err := w.cluster.ReadAll(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(records)
}
