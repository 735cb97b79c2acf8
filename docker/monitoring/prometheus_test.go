//go:build e2e

package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/resolver/resolvertest"
)

const patience = 90 * time.Second

// unprovoked are the alerts that no fault here brings about: the first is a bug, the second takes an hour, the third is up
// to the kernel. What they compare must have data all the same.
var unprovoked = []string{"TypostreamBooks", "TypostreamQueueWaits", "TypostreamAnswersDropped"}

// What promtool says of the rules, their tests and the configuration.
func TestPromtool(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}, {"check", "config", "prometheus.yaml"},
	} {
		out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
		t.Logf("promtool %s:\n%s", strings.Join(args, " "), out)
		if err != nil {
			t.Error(err)
		}
	}
}

// Three workers and what they stand on, while one thing after the other fails. Prometheus watches them with the rules that
// are shipped: every alert that a fault can bring about has data then, and every figure and panel has.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	redis := miniredis.RunT(t)
	a := w.worker("a", map[string]string{"REDIS_HOST": redis.Host(), "REDIS_PORT": redis.Port(), "SPOOL_MAX_BYTES": "1MiB", "GOMEMLIMIT": "48MiB", "SEEDS_IN_PARALLEL": "2"})
	a.awaitMetric("typostream_intake_lag_messages", func(v float64) bool { return v > 100 })
	w.startPrometheus()
	w.mark("the DNS fails on eight names of twenty, Kafka is slow")

	c := w.worker("c", map[string]string{"KAFKA_ENABLED": "false", "NAMESERVERS": w.unused})
	w.await("the DNS fails", "TypostreamDeadLetters", "TypostreamSlowAcknowledgements", "TypostreamLag", "TypostreamSeedsRetried",
		"TypostreamUnknownNames", "TypostreamManyRegistered", "TypostreamResolverFails", "TypostreamResolverSilent", "TypostreamForgeries", "TypostreamNoResolver")

	w.mark("Kafka and Redis are gone")
	w.stopKafka()
	redis.Close()
	a.submit(w.brands...)
	w.await("Kafka and Redis are away", "TypostreamKafkaAway", "TypostreamBreakerOpen", "TypostreamSpoolFills", "TypostreamStore")

	// b begins with a spool and loses its disk.
	w.mark("worker b begins with a spool")
	dir := w.copySpool(a.dir)
	b := w.worker("b", map[string]string{"OUTPUT_DIR": dir, "STATE_DIR": t.TempDir(), "GOMEMLIMIT": "12MiB"})
	w.await("a worker begins with a spool", "TypostreamSpoolStays", "TypostreamMemory")
	w.mark("the disk of b is gone")
	if err := errors.Join(os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o600)); err != nil { // root may write everywhere but there
		t.Fatal(err)
	}
	b.submit(w.brands...)
	w.await("the disk is away too", "TypostreamUndelivered")

	w.mark("Kafka is back")
	w.startKafka(a.env["KAFKA_BOOTSTRAP"])
	w.awaitQuery("the spool drains", `typostream_emit_spooled_events{instance="`+a.addr+`"} < 1`)
	w.awaitQuery("Kafka takes events", `typostream_emit_breakers_open{instance="`+a.addr+`"} < 1`)
	w.mark("worker b is killed")
	b.kill()
	w.await("a worker is gone", "TypostreamDown")
	w.verify(a)
	w.record()
	for _, p := range []*process{a, c} {
		if code := p.terminate(); code != 0 {
			t.Errorf("exit code %d of %s after SIGTERM, want 0", code, p.name)
		}
	}
}

// world is what the workers stand on, and what Prometheus has seen of them.
type world struct {
	t      *testing.T
	binary string
	kafka  *kfake.Cluster
	env    map[string]string
	unused string   // an address where nobody listens
	brands []string // seeds of which some variants are registered

	targets    string // file that names the workers to Prometheus
	addrs      []string
	prometheus string // its URL
	alerts     map[string]alert
	exprs      map[string]string // what must have data, by what it is
	seen       map[string]bool

	marks []recordedMark    // when what began
	names map[string]string // of addresses, for people
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, binary: filepath.Join(t.TempDir(), "typostream"), alerts: map[string]alert{}, exprs: map[string]string{}, seen: map[string]bool{}, names: map[string]string{}}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", w.binary, "github.com/typostream/typostream/cmd/typostream")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the command: %v\n%s", err, out)
	}
	for _, a := range alerts(t) {
		w.alerts[a.Name] = a
		w.exprs["alert "+a.Name] = a.Expr
		w.exprs["figure of "+a.Name] = a.figure()
		if slices.Contains(unprovoked, a.Name) {
			delete(w.exprs, "alert "+a.Name)
		}
	}
	_, shown := panels(t)
	for _, p := range shown {
		for _, target := range p.Targets {
			w.exprs["panel "+p.Title+" "+target.RefID] = strings.NewReplacer("$__rate_interval", "30s", "$instance", ".*").Replace(target.Expr)
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.unused = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	w.startKafka("")
	dns, err := resolvertest.Start(w.produce())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	w.names[dns.Addr()], w.names[w.unused] = "resolver", "nobody there"
	w.env = map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(w.kafka.ListenAddrs(), ","), "NAMESERVERS": dns.Addr(), "REQUEST_TIMEOUT_DNS": "0.2", "REQUEST_RETRIES_DNS": "1",
		"KAFKA_SEND_BACKOFF": "50ms", "KAFKA_RETRY_DELAY": "300ms", "KAFKA_DELIVERY_TIMEOUT_MS": "4s", "TRACK_UNREGISTERED": "all", "HTTP_ADDR": "127.0.0.1:0",
	}
	return w
}

// startKafka starts a Kafka, at the address of an earlier one if it is given, that acknowledges slowly at first.
func (w *world) startKafka(addr string) {
	w.t.Helper()
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "raw.hosts", "domains.candidates", "phish.urls.inactive", "phish.urls.crawl", "typostream.dlq")}
	if addr != "" {
		_, port, _ := net.SplitHostPort(addr)
		number, err := strconv.Atoi(port)
		if err != nil {
			w.t.Fatal(err)
		}
		options = append(options, kfake.Ports(number))
	}
	kafka, err := kfake.NewCluster(options...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.kafka = kafka
	w.t.Cleanup(kafka.Close)
}

// delay makes Kafka acknowledge what is sent late.
func (w *world) delay(d time.Duration) {
	w.kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		w.kafka.SleepControl(func() { <-time.After(d) })
		return nil, nil, false
	})
}

func (w *world) stopKafka() { w.kafka.Close() }

// produce puts 300 re-checks and a poison message on the input topic, and returns the zone for them and the brands: of twenty
// names five fail, two are silent, and of one the answers come with forged ones.
func (w *world) produce() string {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	var zone strings.Builder
	records := []*kgo.Record{{Topic: "raw.hosts", Value: []byte("[]")}}
	faults := []string{"SERVFAIL", "SILENT", "SERVFAIL", "FLOOD 9", "SERVFAIL", "SILENT", "SERVFAIL", "SERVFAIL"}
	for i := range 300 {
		name := fmt.Sprintf("example%d.com", i)
		fmt.Fprintf(&zone, "%s. 300 IN NS ns1.host.example.\n%s. 300 IN A 192.0.2.1\n", name, name)
		if i%20 < len(faults) {
			fmt.Fprintf(&zone, ";! %s. %s\n", name, faults[i%20])
		}
		records = append(records, &kgo.Record{Topic: "raw.hosts", Value: fmt.Appendf(nil, `{"src":"monitor-scheduler","canonical_fqdn":%q,"registrable":%q,"recheck":true}`, name, name)})
	}
	if err := client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	w.delay(1200 * time.Millisecond)
	for _, brand := range []string{"qzvexample.com", "wkyexample.com", "xjpexample.com"} {
		seed, err := fuzzer.ParseSeed(brand)
		if err != nil {
			w.t.Fatal(err)
		}
		w.brands = append(w.brands, brand)
		n := 0
		for v := range fuzzer.Permute(seed, fuzzer.ContractPasses(seed, fuzzer.Lists{})...).All() {
			if n++; n%50 == 0 && v.Algorithm != fuzzer.Subdomain {
				fmt.Fprintf(&zone, "%s. 300 IN NS ns1.host.example.\n", v.FQDN)
			}
		}
	}
	return zone.String()
}

// copySpool returns a directory with the files of a spool.
func (w *world) copySpool(from string) string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(from, "spool_*.jsonl"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("%s has no spool: %v", from, err)
	}
	to := filepath.Join(w.t.TempDir(), "out")
	if err := os.Mkdir(to, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), []byte(read(w.t, file)), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return to
}

// startPrometheus starts one with the rules that are shipped.
func (w *world) startPrometheus() {
	w.t.Helper()
	dir := w.t.TempDir()
	rules, err := filepath.Abs("alerts.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	w.targets = filepath.Join(dir, "targets.json")
	w.nameTargets()
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - job_name: typostream\n    file_sd_configs: [{files: [%q], refresh_interval: 1s}]\n", rules, w.targets)
	file := filepath.Join(dir, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		w.t.Fatal(err)
	}
	p := launch(w.t, "prometheus", nil, regexp.MustCompile(`TLS is disabled.*address=(127\.0\.0\.1:\d+)`), "prometheus",
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	w.prometheus = "http://" + p.addr
	eventually(w.t, "Prometheus is ready", func() bool {
		answer, err := http.Get(w.prometheus + "/-/ready") //nolint:noctx // it ends with the process
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

func (w *world) nameTargets() {
	w.t.Helper()
	if w.targets == "" {
		return
	}
	b, err := json.Marshal([]map[string]any{{"targets": w.addrs}})
	if err != nil {
		w.t.Fatal(err)
	}
	// Prometheus must not read half a file.
	if err := os.WriteFile(w.targets+".new", b, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.targets+".new", w.targets); err != nil {
		w.t.Fatal(err)
	}
}

// query reports whether the expression has data that is a number.
func (w *world) query(expr string) bool {
	w.t.Helper()
	return len(w.values(expr)) > 0
}

// values are the numbers among the expression's data.
func (w *world) values(expr string) (numbers []float64) {
	w.t.Helper()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	body := get(w.t, w.prometheus+"/api/v1/query?query="+url.QueryEscape(expr))
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		w.t.Fatalf("%s: %v %s", expr, err, answer.Error)
	}
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) {
			numbers = append(numbers, v)
		}
	}
	return numbers
}

// look asks for everything that has not had data yet.
func (w *world) look() {
	for what, expr := range w.exprs {
		if !w.seen[what] && w.query(expr) {
			w.seen[what] = true
		}
	}
}

// await waits until each of the alerts has had data.
func (w *world) await(phase string, names ...string) {
	w.t.Helper()
	begin := time.Now()
	missing := func(name string) bool { return !w.seen["alert "+name] }
	deadline := begin.Add(patience)
	for eventuallyStep(w.t); slices.ContainsFunc(names, missing); eventuallyStep(w.t) {
		if time.Now().After(deadline) {
			for _, name := range slices.DeleteFunc(names, func(name string) bool { return !missing(name) }) {
				w.t.Errorf("while %s: %s has no data, what it compares is %v", phase, name, w.values(w.alerts[name].figure()))
			}
			w.t.FailNow()
		}
		w.look()
	}
	w.t.Logf("%s: %s, after %v", phase, strings.Join(names, " "), time.Since(begin).Round(100*time.Millisecond))
}

func (w *world) awaitQuery(what, expr string) {
	w.t.Helper()
	eventually(w.t, what, func() bool { w.look(); return w.query(expr) })
}

// verify wants data of every expression, healthy rules, and metrics without fault.
func (w *world) verify(p *process) {
	w.t.Helper()
	w.look()
	for _, what := range slices.Sorted(maps.Keys(w.exprs)) {
		if !w.seen[what] {
			w.t.Errorf("%s never had data: %s", what, w.exprs[what])
		}
	}
	w.t.Logf("%d of %d expressions had data", len(w.seen), len(w.exprs))
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(get(w.t, w.prometheus+"/api/v1/rules")), &rules); err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for _, group := range rules.Data.Groups {
		for _, rule := range group.Rules {
			if n++; rule.Health != "ok" {
				w.t.Errorf("Prometheus on %s: %s %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if n != len(w.alerts) {
		w.t.Errorf("Prometheus has %d rules, want %d", n, len(w.alerts))
	}
	check := exec.CommandContext(w.t.Context(), "promtool", "check", "metrics")
	check.Stdin = strings.NewReader(p.metrics())
	if out, err := check.CombinedOutput(); err != nil {
		w.t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
