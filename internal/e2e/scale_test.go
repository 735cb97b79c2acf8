//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store/storetest"
)

// Three workers share one topic of 12 partitions with 300 seeds, and a Redis.
// One is killed when a third of the seeds is done: the others finish what it
// had. The topic must hold every name, and none again: what the victim published
// and could not mark before it died they find there.
func TestThreeWorkers(t *testing.T) {
	const members, limit, size = 3, 150, 300
	w := newWorld(t)
	server := storetest.StartRedis(t)
	empty := memoryOf(t, server)
	seeds, expected, zone := limitedBrands(t, 1000, size, limit)
	host, port, _ := strings.Cut(server.Addr(), ":")
	env := map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(w.cluster.Brokers(), ","), "NAMESERVERS": startDNS(t, zone).Addr(),
		"REDIS_HOST": host, "REDIS_PORT": port, "LIMIT": strconv.Itoa(limit),
		"DNS_QPS": "1500", // of each worker, so that there is a midway
	}
	workers := make([]*process, members)
	for i := range workers {
		own := maps.Clone(env)
		own["OUTPUT_DIR"] = t.TempDir()
		workers[i] = start(t, own, "worker")
	}
	eventually(t, "each worker has four partitions", func() bool {
		for _, p := range workers {
			if !strings.Contains(p.lastLine("joined the consumer group"), `"partitions":4`) {
				return false
			}
		}
		return true
	})
	w.submit(submissions(seeds)...)
	eventually(t, "a third of the seeds is done", func() bool {
		n := 0
		for _, p := range workers {
			n += len(p.completed())
		}
		return n >= size/3
	})
	victim := workers[0]
	shares := []string{victim.share("killed")}
	victim.kill()
	killed := time.Now()
	most := 0.0
	eventually(t, "every message is committed, and the survivors' metrics say so", func() bool {
		behind := workers[1].metric("typostream_intake_lag_messages") + workers[2].metric("typostream_intake_lag_messages")
		most = max(most, behind)
		lag, err := w.lag()
		return err == nil && lag == 0 && behind == 0
	}) // after 30 s Kafka takes the victim for dead
	settled := time.Since(killed)
	if most == 0 {
		t.Error("the metrics never told of a lag")
	}
	survivors := map[string]bool{}
	for _, p := range workers[1:] {
		shares = append(shares, p.share("finished"))
		for _, seed := range p.completed() {
			survivors[seed] = true
		}
	}
	owned := workers[1].metric("typostream_intake_partitions") + workers[2].metric("typostream_intake_partitions")
	if owned != partitions {
		t.Errorf("the survivors read %v partitions, want %d", owned, partitions)
	}
	after := []map[string]float64{workers[1].series(), workers[2].series()}
	for _, p := range workers[1:] {
		if code := p.terminate(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0", code)
		}
	}
	n := w.checkTopic(seeds, expected)
	inherited := 0
	finished := map[string]bool{}
	for _, seed := range victim.completed() {
		finished[seed] = true
	}
	for _, seed := range seeds {
		if finished[seed] == survivors[seed] { // by both, or by none
			inherited++
		}
		if !finished[seed] && !survivors[seed] {
			t.Errorf("nobody finished %s", seed)
		}
	}
	known, unknown := 0.0, 0.0
	for _, m := range after {
		known, unknown = known+m[`typostream_inherited_candidates_total{known="yes"}`], unknown+m[`typostream_inherited_candidates_total{known="no"}`]
	}
	if again := sum(n.repeatedVariants); float64(again) > unknown {
		t.Errorf("%d candidates came twice, %v of them counted: %v", again, unknown, n.repeatedVariants)
	}
	t.Logf("in: %d seeds, %d look-alikes of each asked about, %d of all registered", size, limit, len(expected))
	t.Logf("share of each worker:\n%s", strings.Join(shares, "\n"))
	t.Logf("out: %d candidates and %d seeds, missing %d; again: %d candidates, %d records of seeds (%d seeds finished by the victim and once more: they were not committed)",
		n.variants, n.seeds, n.missing, sum(n.repeatedVariants), n.repeats()-sum(n.repeatedVariants), inherited)
	t.Logf("published by the victim and not marked: %v found on the topic, %v published without knowing", known, unknown)
	t.Logf("Redis holds %d bytes more than at the start: %d a candidate", memoryOf(t, server)-empty, (memoryOf(t, server)-empty)/len(expected))
	t.Logf("the survivors' lag rose to %v messages; 0 after %.1f s, of which Kafka waits 30 s for the dead", most, settled.Seconds())
}

// memoryOf is what Redis says that its data take.
func memoryOf(t *testing.T, server *storetest.RedisServer) int {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	text, err := client.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = strings.Cut(text, "used_memory_dataset:")
	text, _, _ = strings.Cut(text, "\r")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// limitedBrands is brands for workers that ask about the likeliest names alone,
// of which every thirtieth is registered.
func limitedBrands(t *testing.T, from, n, limit int) (seeds []string, expected map[string]candidate, zone string) {
	t.Helper()
	expected = map[string]candidate{}
	var text strings.Builder
	for i := from; i < from+n; i++ {
		name := inventedLabel(i) + ".com"
		seed, err := fuzzer.ParseSeed(name)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, name)
		all := fuzzer.Permute(seed, fuzzer.ContractPasses(seed, fuzzer.Lists{})...)
		for v := range fuzzer.Likeliest(all, limit, fuzzer.RankOptions{}).All() {
			h := fnv.New32a()
			h.Write([]byte(v.FQDN))
			if h.Sum32()%30 != 0 || v.Algorithm == fuzzer.Subdomain {
				continue
			}
			if _, other := expected[v.FQDN]; other {
				t.Fatalf("%s imitates two seeds; choose others", v.FQDN)
			}
			expected[v.FQDN] = candidate{seed: name, fuzzer: v.Algorithm.String(), passes: v.Passes, address: true}
			fmt.Fprintf(&text, "%s. 300 IN NS ns1.host.example.\n%s. 300 IN A 192.0.2.1\n", v.FQDN, v.FQDN)
		}
	}
	return seeds, expected, text.String()
}

var completedLine = regexp.MustCompile(`"msg":"Completed ([^ ]+): (\d+) unique variants emitted"`)

// completed are the seeds that the log says are done, each as often as it says so.
func (p *process) completed() (seeds []string) {
	for _, m := range completedLine.FindAllStringSubmatch(p.text(), -1) {
		seeds = append(seeds, m[1])
	}
	return seeds
}

// url is where the process answers HTTP.
func (p *process) url(path string) string {
	p.t.Helper()
	at := regexp.MustCompile(`"http":"([^"]+)"`)
	p.awaitLog(`"http":"`)
	return "http://" + at.FindStringSubmatch(p.text())[1] + path
}

// series are all that /metrics has, named as they are there.
func (p *process) series() map[string]float64 {
	p.t.Helper()
	res, err := http.Get(p.url("/metrics"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	series := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" {
			continue
		}
		if series[name], err = strconv.ParseFloat(text, 64); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		p.t.Fatal(err)
	}
	return series
}

// metric is the value of one series; 0 if it is not there.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	return p.series()[name]
}

// share is what a worker's metrics say that it did.
func (p *process) share(state string) string {
	p.t.Helper()
	return fmt.Sprintf("    worker %d (%s): partitions %v, lag %v, seeds %v, names %v, events acked %v, suppressed %v", p.cmd.Process.Pid, state,
		p.metric("typostream_intake_partitions"), p.metric("typostream_intake_lag_messages"), p.metric(`typostream_seeds_scanned_total{origin="kafka"}`),
		p.metric(`typostream_names_total{state="registered"}`)+p.metric(`typostream_names_total{state="absent"}`),
		p.metric("typostream_emit_acked_total"), p.metric("typostream_candidates_suppressed_total"))
}

// grown is by how much the ends of a topic's partitions moved since it was
// called first.
func (w *world) grown(topic string) func() int {
	w.t.Helper()
	ends := func() (n int) {
		listed, err := w.admin.ListEndOffsets(w.t.Context(), topic)
		if err != nil {
			w.t.Fatal(err)
		}
		listed.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
		return n
	}
	before := ends()
	return func() int { return ends() - before }
}
