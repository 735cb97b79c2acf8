// Package conformance has no code: its tests replay what each neighbour writes
// to the real worker, and hold each record that comes out to the agreement with
// those who read it.
package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	rawTopic       = "raw.hosts"
	candidateTopic = "domains.candidates"
	crawlTopic     = "phish.urls.crawl"
	inactiveTopic  = "phish.urls.inactive"
	letterTopic    = "typostream.dlq"
	patience       = 2 * time.Minute
	root           = "../.."
)

// binary is the product, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "typostream-conformance-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "typostream")
	build := exec.Command("go", "build", "-o", binary, "./cmd/typostream")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// The worker against brokers in this process.
func TestConformance(t *testing.T) {
	for _, deployment := range deployments {
		t.Run(deployment.name, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1),
				kfake.SeedTopics(int32(rawPartitions(deployment)), rawTopic), kfake.SeedTopics(1, candidateTopic, crawlTopic, inactiveTopic, letterTopic))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			replayAll(t, deployment, cluster.ListenAddrs(), mirror{addr: miniredis.RunT(t).Addr()})
		})
	}
}

// A Redis that goes away while seeds are in work costs nothing but what would
// stand there.
func TestConformanceWithoutRedis(t *testing.T) {
	d := deployments[0]
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(3, d.input), kfake.SeedTopics(1, candidateTopic, crawlTopic, inactiveTopic, letterTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	redis := miniredis.RunT(t)
	replayAll(t, d, cluster.ListenAddrs(), mirror{redis.Addr(), func() {
		waitFor(t, "a seed is at work", func() bool { return redis.Exists("dnstwist:total_processed") || redis.Exists("dnstwist:queue:active") })
		redis.Close()
	}})
}

// mirror is the worker's Redis.
type mirror struct {
	addr string
	kill func() // once the inputs are on their way; nil: it stays
}

// deployment is how the worker is set up beside its neighbours.
type deployment struct {
	name          string
	input, output string
	track         string
	compat        bool              // with the defaults of the service that it replaces, its topics among them
	files         map[string]string // of testdata/inputs, with the verdict on each of its lines
}

// rawPartitions is one where the order of what comes out is to be seen.
func rawPartitions(d deployment) int {
	if d.output == rawTopic {
		return 1
	}
	return 3
}

var submissions = map[string]string{
	"web_submit": "accepted", "web_bulk": "accepted", "ct": "foreign_source", "ct_heartbeat": "heartbeat",
	"monitor_scheduler": "recheck", "inactive_monitor": "recheck", "typostream": "own_output",
}

// Either the topics are as intended, or all that passes between the services
// goes through one, which may be that of the seeds.
var deployments = []deployment{
	{name: "two topics", input: rawTopic, output: candidateTopic, track: "true", files: submissions},
	{name: "one topic", input: candidateTopic, output: candidateTopic, track: "all", files: withFiles(submissions, map[string]string{
		"normalizer": "own_output", "normalizer_ct": "foreign_source", "web_direct": "foreign_source",
	})},
	{name: "one topic, as the service before it", input: rawTopic, output: rawTopic, track: "true", compat: true, files: submissions},
}

func withFiles(base, more map[string]string) map[string]string {
	all := maps.Clone(base)
	maps.Copy(all, more)
	return all
}

// poison is what each file of testdata/poison, and what the test makes itself,
// becomes as a dead letter.
var poison = map[string]string{
	"array": "json_parse_error", "string": "json_parse_error", "number": "json_parse_error", "empty": "json_parse_error",
	"not_utf8": "json_parse_error", "broken": "json_parse_error", "no_domain": "missing_url", "address": "invalid_url",
	"brand": "invalid_cse_id", "large": "json_parse_error", "tombstone": "json_parse_error",
}

// message is one of the inputs, and where the broker put it.
type message struct {
	key, value []byte
	verdict    string
	failure    string // of poison
	partition  int32
	offset     int64
}

func (d deployment) messages(t *testing.T) (all []*message) {
	t.Helper()
	for name, verdict := range d.files {
		for line := range strings.Lines(readFile(t, "testdata/inputs/"+name+".jsonl")) {
			line = strings.TrimSuffix(line, "\n")
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m := &message{value: []byte(line), verdict: verdict}
			switch {
			case verdict == "recheck" || verdict == "heartbeat": // without a key
			case fields["fqdn"] != nil:
				m.key = []byte(fmt.Sprint(fields["fqdn"]))
			case name == "ct":
				m.key = []byte(fmt.Sprint(fields["registrable"]))
			default:
				m.key = []byte(fmt.Sprint(fields["canonical_fqdn"]))
			}
			all = append(all, m)
		}
	}
	for name, failure := range poison {
		m := &message{verdict: "poison", failure: failure, key: []byte(name)}
		switch name {
		case "tombstone": // no value at all
		case "large": // its letter is too long for a copy of the original's bytes
			m.value = bytes.Repeat([]byte("large "), 100_000)
		default:
			m.value = []byte(readFile(t, "testdata/poison/"+name))
		}
		all = append(all, m)
	}
	return all
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replayAll puts all inputs through a worker that starts with its file of seeds,
// and checks everything that it leaves.
func replayAll(t *testing.T, d deployment, brokers []string, redis mirror) {
	w := startWorker(t, d, brokers, redis.addr)
	inputs := d.messages(t)
	want := map[string]int{}
	for _, m := range inputs {
		record := &kgo.Record{Topic: d.input, Key: m.key, Value: m.value}
		if m.value != nil && len(m.value) == 0 {
			record.Value = []byte{}
		}
		if err := w.client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
		m.partition, m.offset = record.Partition, record.Offset
		want[m.verdict]++
	}
	if redis.kill != nil {
		redis.kill()
	}
	w.awaitCounts(want)
	w.awaitLog(`"msg":"Completed gamma.org: `) // of the file
	w.awaitMetric("typostream_seeds_in_work", 0)
	if n := strings.Count(w.log.text(), `"unknown":1`); n != 1 {
		t.Errorf("%d seeds with one unknown name, want that of the name with SERVFAIL", n)
	}
	if d.input == d.output { // what it wrote comes back, and is skipped
		want["own_output"] += len(ownRecords(w.read(d.output), inputs))
		w.awaitCounts(want)
	}
	if counted := w.counts(); !maps.Equal(counted, want) {
		t.Errorf("the worker counted %v, want %v", counted, want)
	}
	if redis.kill == nil {
		awaitRedis(t, redis.addr)
	}
	w.terminate()

	events := ownRecords(w.read(d.output), inputs)
	checkEvents(t, events)
	checkSeedsFirst(t, events)
	checkCrawl(t, w.read(crawlTopic))
	checkInactive(t, d, w.read(inactiveTopic))
	checkLetters(t, d, w, inputs)
	if d.compat {
		checkFile(t, w, events)
	}
	if redis.kill == nil {
		checkRedis(t, d, redis.addr, events)
	}
	t.Logf("in: %d messages %v; out: %d events, %d crawl, %d inactive, %d dead letters",
		len(inputs), want, len(events), len(w.read(crawlTopic)), len(w.read(inactiveTopic)), want["poison"])
}

// ownRecords are those that are none of the inputs.
func ownRecords(all []*kgo.Record, inputs []*message) (own []*kgo.Record) {
	for _, r := range all {
		if !slices.ContainsFunc(inputs, func(m *message) bool { return bytes.Equal(m.value, r.Value) }) {
			own = append(own, r)
		}
	}
	return own
}

// schema compiles one of docs/.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.AssertContent()
	s, err := compiler.Compile(filepath.Join(root, "docs", name+".v1.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// decode holds a record to a schema, and to the keys that it must not have
// since neighbours route on them. observed_at is seconds, ts milliseconds.
func decode(t *testing.T, s *jsonschema.Schema, value []byte, forbidden ...string) map[string]any {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err == nil {
		err = s.Validate(parsed)
	}
	if err != nil {
		t.Errorf("%s\n%v", value, err)
	}
	fields, _ := parsed.(map[string]any)
	for _, key := range forbidden {
		if _, there := fields[key]; there {
			t.Errorf("forbidden key %s in %s", key, value)
		}
	}
	for key, unit := range map[string]float64{"observed_at": 1, "ts": 1e-3} {
		n, there := fields[key].(json.Number)
		if !there {
			continue
		}
		at, err := n.Float64()
		if age := time.Since(time.UnixMicro(int64(at * unit * 1e6))); err != nil || age < -time.Minute || age > time.Hour {
			t.Errorf("%s of %s is %s, which was %v ago", key, value, n, age)
		}
	}
	return fields
}

// forbidden are the top-level keys that neighbours take for something else; the
// other topics have some of them by agreement.
var forbidden = []string{"status", "error", "verdict", "score", "url", "final_url", "url_features", "forms", "dns", "whois", "geoip", "ok"}

// event is what of a candidate is told by name: src, brand, reasons, seed.
type event struct{ src, brand, reasons, seed string }

// wantEvents are all records of the topic of candidates. An addition is made by
// all three passes, a repetition by PASS_A alone.
var wantEvents = map[string]event{
	"acme.com":    {"dnstwist_live", "ACME", "original_seed", "acme.com"},
	"acmes.com":   {"dnstwist", "ACME", "dnstwist:live:PASS_A dnstwist:live:PASS_B dnstwist:live:PASS_C", "acme.com"},
	"acmee.com":   {"dnstwist", "ACME", "dnstwist:live:PASS_A dnstwist:live:PASS_B dnstwist:live:PASS_C", "acme.com"},
	"accme.com":   {"dnstwist", "ACME", "dnstwist:live:PASS_A", "acme.com"},
	"beta.de":     {"dnstwist_live", "UNKNOWN", "original_seed", "beta.de"},
	"betas.de":    {"dnstwist", "UNKNOWN", "dnstwist:live:PASS_A dnstwist:live:PASS_B dnstwist:live:PASS_C", "beta.de"},
	"delta.co.in": {"dnstwist_live", "DELTA", "original_seed", "delta.co.in"},
	"gamma.org":   {"csv_seed", "GAMMA", "original_seed", "gamma.org"},
	"gammas.org":  {"dnstwist", "GAMMA", "dnstwist:PASS_A dnstwist:PASS_B dnstwist:PASS_C", "gamma.org"},
	"gammaa.org":  {"dnstwist", "GAMMA", "dnstwist:PASS_A dnstwist:PASS_B dnstwist:PASS_C", "gamma.org"},
	"again.com":   {"dnstwist", "UNKNOWN", "Re-check #1 for parked", "again.com"},
	"woken.com":   {"dnstwist", "ACME", "newly_active (was: unregistered)", "woken.com"},
}

func checkEvents(t *testing.T, records []*kgo.Record) {
	t.Helper()
	s := schema(t, "event")
	got := map[string]event{}
	for _, r := range records {
		fields := decode(t, s, r.Value, forbidden...)
		name := text(fields, "canonical_fqdn")
		if string(r.Key) != name {
			t.Errorf("key %q of %s", r.Key, name)
		}
		if _, twice := got[name]; twice {
			t.Errorf("%s came twice", name)
		}
		got[name] = event{text(fields, "src"), text(fields, "cse_id"), reasons(fields), text(fields, "seed_registrable")}
		if seed := wantEvents[name].reasons == "original_seed"; fields["is_original_seed"] != seed {
			t.Errorf("%s: is_original_seed is %v", name, fields["is_original_seed"])
		}
		if name == "acmes.com" {
			raw, _ := json.Marshal(fields["raw"])
			want := `{"dns_a":["192.0.2.1"],"dns_aaaa":["2001:db8::1"],"dns_mx":["mx.host.example"],"dns_ns":["ns1.host.example"],"domain":"acmes.com","fuzzer":"addition"}`
			if string(raw) != want {
				t.Errorf("raw is %s, want %s", raw, want)
			}
		}
	}
	for name, want := range wantEvents {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("more than that: %q", got)
	}
}

func text(fields map[string]any, key string) string {
	s, _ := fields[key].(string)
	return s
}

func reasons(fields map[string]any) string {
	list, _ := fields["reasons"].([]any)
	words := make([]string, len(list))
	for i := range list {
		words[i], _ = list[i].(string)
	}
	return strings.Join(words, " ")
}

// checkSeedsFirst: of a scan the seed comes before its look-alikes; the topic has
// one partition.
func checkSeedsFirst(t *testing.T, records []*kgo.Record) {
	t.Helper()
	begun := map[string]bool{}
	for _, r := range records {
		var e struct {
			Name    string `json:"canonical_fqdn"`
			Fuzzer  *string
			Scanned struct{ Scan, Seed string } `json:"typostream"`
		}
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Name == e.Scanned.Seed:
			begun[e.Scanned.Scan] = true
		case !begun[e.Scanned.Scan]:
			t.Errorf("%s came before the seed %s", e.Name, e.Scanned.Seed)
		}
	}
}

func checkCrawl(t *testing.T, records []*kgo.Record) {
	t.Helper()
	s := schema(t, "crawl")
	var seeds []string
	for _, r := range records {
		fields := decode(t, s, r.Value)
		name := text(fields, "canonical_fqdn")
		if string(r.Key) != name || text(fields, "url") != "https://"+name+"/" || text(fields, "cse_id") != wantEvents[name].brand {
			t.Errorf("key %q of %s", r.Key, r.Value)
		}
		seeds = append(seeds, name)
	}
	slices.Sort(seeds)
	if want := []string{"acme.com", "beta.de", "delta.co.in", "gamma.org"}; !slices.Equal(seeds, want) {
		t.Errorf("to be crawled are %q, want %q", seeds, want)
	}
}

// checkInactive: registered without address, and with "all" every absent name
// too, but never one with an address.
func checkInactive(t *testing.T, d deployment, records []*kgo.Record) {
	t.Helper()
	s := schema(t, "inactive")
	quiet := []string{"accme.com", "acmee.com", "gammaa.org"}
	var names []string
	for _, r := range records {
		fields := decode(t, s, r.Value)
		name := text(fields, "canonical_fqdn")
		names = append(names, name)
		if r.Key != nil {
			t.Errorf("%s has the key %q", name, r.Key)
		}
		if prefix := "dnstwist:unregistered:live:PASS_"; text(fields, "cse_id") != "GAMMA" && !strings.HasPrefix(reasons(fields), prefix) ||
			text(fields, "cse_id") == "GAMMA" && !strings.HasPrefix(reasons(fields), "dnstwist:unregistered:PASS_") {
			t.Errorf("%s", r.Value)
		}
		if _, registered := wantEvents[name]; registered && !slices.Contains(quiet, name) {
			t.Errorf("%s has an address, and is called inactive", name)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("a name came twice")
	}
	if slices.Contains(names, "acmel.com") {
		t.Error("acmel.com, of which nothing is known, is called inactive")
	}
	if d.track != "all" && !slices.Equal(names, quiet) {
		t.Errorf("inactive are %q, want %q", names, quiet)
	}
	for _, name := range append(quiet, "acmeb.com", "betab.de", "gammab.org", "deltab.co.in") {
		if d.track == "all" && !slices.Contains(names, name) {
			t.Errorf("%s is not among the inactive names", name)
		}
	}
}

// letter is a dead letter as the agreement has it.
type letter struct {
	Type      string `json:"failure_type"`
	Raw       string `json:"raw_value"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Base64    string `json:"raw_base64"`
}

// checkLetters: each poisonous message is one line of the file and one record of
// the topic, with where it came from and all of its bytes.
func checkLetters(t *testing.T, d deployment, w *worker, inputs []*message) {
	t.Helper()
	s := schema(t, "deadletter")
	var lines [][]byte
	for line := range strings.Lines(readFile(t, filepath.Join(w.dir, "dead_letters.jsonl"))) {
		lines = append(lines, []byte(strings.TrimSpace(line)))
	}
	var copies [][]byte
	for _, r := range w.read(letterTopic) {
		copies = append(copies, r.Value)
	}
	for where, all := range map[string][][]byte{"file": lines, "topic": copies} {
		found := 0
		for _, line := range all {
			decode(t, s, line)
			var l letter
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(inputs, func(m *message) bool {
				return m.failure != "" && m.partition == l.Partition && m.offset == l.Offset
			})
			if i < 0 {
				t.Errorf("%s: a letter of no input: %.200s", where, line)
				continue
			}
			found++
			raw, err := base64.StdEncoding.DecodeString(l.Base64)
			whole := err == nil && bytes.Equal(raw, inputs[i].value) || where == "topic" && string(inputs[i].key) == "large" && l.Base64 == ""
			if l.Type != inputs[i].failure || l.Topic != d.input || len([]rune(l.Raw)) > 500 || !whole {
				t.Errorf("%s: %.300s, want %s of %s", where, line, inputs[i].failure, inputs[i].key)
			}
		}
		if found != len(poison) || len(all) != len(poison) {
			t.Errorf("%s: %d letters, %d of them of inputs, want %d", where, len(all), found, len(poison))
		}
	}
}

// waitFor polls until it is so.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}
