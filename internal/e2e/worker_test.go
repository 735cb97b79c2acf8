//go:build e2e

// Package e2e runs the real command against three real Apache Kafka brokers.
package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func submission(domain string) string {
	return fmt.Sprintf(`{"fqdn":%q,"source":"frontend_api","timestamp":1760600000,"cse_id":"BRAND","is_original_seed":true}`, domain)
}

func submissions(domains []string) []string {
	values := make([]string, len(domains))
	for i, domain := range domains {
		values[i] = submission(domain)
	}
	return values
}

// cohort is a group of seeds and what their scans must find.
type cohort struct {
	seeds    []string
	expected map[string]candidate
}

// The life of a deployment in one story, because each part begins where the
// last one ended: normal operation; messages that cannot be used; the worker
// killed; a broker killed; all brokers gone, for a worker in the middle of its
// work and for a one-shot run; the brokers back: the worker's spool drains by
// itself, and that of the one-shot run is replayed by hand; the brokers' port
// with TLS and SASL.
func TestLife(t *testing.T) {
	w := newWorld(t)
	cohorts := make([]cohort, 6)
	zones, from := "", 0
	for i, size := range []int{20, 6, 6, 12, 4, 4} {
		var zone string
		cohorts[i].seeds, cohorts[i].expected, zone = brands(t, from, size)
		zones, from = zones+zone, from+size
	}
	dns := startDNS(t, zones)
	env := map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(w.cluster.Brokers(), ","), "NAMESERVERS": dns.Addr(),
		"OUTPUT_DIR": t.TempDir(), "KAFKA_SEND_BACKOFF": "200ms", "KAFKA_RETRY_DELAY": "500ms",
	}
	oneshot := maps.Clone(env)
	oneshot["OUTPUT_DIR"] = t.TempDir()
	// check compares the topic with all cohorts up to now.
	check := func(upTo int) count {
		w.t.Helper()
		var seeds []string
		expected := map[string]candidate{}
		for _, c := range cohorts[:upTo] {
			seeds = append(seeds, c.seeds...)
			maps.Copy(expected, c.expected)
		}
		n := w.checkTopic(seeds, expected)
		w.t.Logf("in the topic: %d variants and %d seeds; missing %d; repeated %d", n.variants, n.seeds, n.missing, n.repeats())
		return n
	}
	run := func(name string, story func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			w.t = t
			story(t)
		})
	}
	run("normal operation", func(t *testing.T) {
		normalOperation(t, w, env, cohorts[0])
		if n := check(1); n.repeats() > 0 {
			t.Errorf("%d records came twice", n.repeats())
		}
	})
	run("poison", func(t *testing.T) { poison(t, w, env) })
	run("worker killed", func(t *testing.T) {
		workerKilled(t, w, env, cohorts[1])
		check(2)
	})
	run("broker killed", func(t *testing.T) {
		brokerKilled(t, w, env, cohorts[2])
		check(3)
	})
	run("brokers stopped", func(t *testing.T) { brokersStopped(t, w, env, oneshot, cohorts[3], cohorts[4]) })
	run("brokers back", func(t *testing.T) {
		brokersBack(t, w, env, oneshot)
		n := check(5)
		for _, seed := range cohorts[4].seeds { // scanned once, spooled once, replayed once
			if n.repeated[seed] > 0 {
				t.Errorf("%d records of %s came twice", n.repeated[seed], seed)
			}
		}
	})
	run("over TLS and SASL", func(t *testing.T) {
		secured(t, w, env, cohorts[5])
		check(6)
	})
}

// secured has the worker read and write over a port with TLS and SCRAM, its password from a file.
func secured(t *testing.T, w *world, env map[string]string, c cohort) {
	const password = "hunter2-scram"
	if err := w.cluster.SetPassword(t.Context(), "worker", password); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = maps.Clone(env)
	maps.Copy(env, map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(w.cluster.SecureBrokers(), ","), "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
		"KAFKA_SASL_USERNAME": "worker", "KAFKA_SASL_PASSWORD_FILE": file, "KAFKA_SSL_CA_FILE": w.cluster.CAFile(), "OUTPUT_DIR": t.TempDir(),
	})
	worker := start(t, env, "worker")
	w.submit(submissions(c.seeds)...)
	w.awaitNoLag()
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	if strings.Contains(worker.text(), password) {
		t.Error("the log tells the password")
	}
	if files := list(t, env["OUTPUT_DIR"]); len(files) > 0 {
		t.Errorf("the output directory holds %v, want nothing", files)
	}
	t.Logf("in: %d seeds with %d candidates; %s", len(c.seeds), len(c.expected), worker.lastLine("worker stopped"))
}

func normalOperation(t *testing.T, w *world, env map[string]string, c cohort) {
	worker := start(t, env, "worker")
	topics := map[string]func() int{candidateTopic: w.grown(candidateTopic), crawlTopic: w.grown(crawlTopic), inactiveTopic: w.grown(inactiveTopic)}
	w.submit(submissions(c.seeds)...)
	w.submit(`{"src":"ct","canonical_fqdn":"sighting.com","registrable":"sighting.com"}`,
		`{"src":"ct","type":"heartbeat","observed_at":1.5,"stats":{}}`, `{"src":"dnstwist","canonical_fqdn":"ours.com"}`)
	w.awaitNoLag()
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	if trouble := regexp.MustCompile(`error|Error|failed`).FindString(worker.text()); trouble != "" {
		t.Errorf("the log of a run without trouble says %q", trouble)
	}
	if files := list(t, env["OUTPUT_DIR"]); len(files) > 0 {
		t.Errorf("the output directory holds %v, want nothing", files)
	}
	// The topics have grown by what the log claims.
	seeds, variants := len(worker.completed()), 0
	for _, m := range completedLine.FindAllStringSubmatch(worker.text(), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		variants += n
	}
	if got := topics[candidateTopic](); got != seeds+variants || seeds != len(c.seeds) || variants != len(c.expected) {
		t.Errorf("the topic of candidates has %d records more; the log claims %d seeds with %d variants, want %d and %d", got, seeds, variants, len(c.seeds), len(c.expected))
	}
	all := 0
	for _, grown := range topics {
		all += grown()
	}
	if claim := fmt.Sprintf(`"acked":%d,`, all); !strings.Contains(worker.lastLine("worker stopped"), claim) {
		t.Errorf("the topics have %d records more, the log says %s", all, worker.lastLine("worker stopped"))
	}
	t.Logf("in: %d seeds and 3 messages that are none; claimed: %d seeds, %d variants; all topics have grown by %d", len(c.seeds), seeds, variants, all)
	if got := w.length(crawlTopic); got != len(c.seeds) {
		t.Errorf("%d records to be crawled, want %d", got, len(c.seeds))
	}
	if got, want := w.length(inactiveTopic), c.withoutAddress(); got != want {
		t.Errorf("%d inactive names, want %d", got, want)
	}
}

func (c cohort) withoutAddress() (n int) {
	for _, name := range c.expected {
		if !name.address {
			n++
		}
	}
	return n
}

func poison(t *testing.T, w *world, env map[string]string) {
	messages := []string{`[]`, `"x"`, `1`, `{"fqdn":"co.uk"}`, `{"cse_id":"BRAND"}`, "\xff\xfe", `{"fqdn":"` + strings.Repeat("x", 900_000) + `"}`}
	worker := start(t, env, "worker")
	w.submit(messages...)
	w.awaitNoLag()
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	got := lines(t, env["OUTPUT_DIR"], "dead_letters.jsonl")
	if got != len(messages) {
		t.Errorf("%d dead letters, want %d", got, len(messages))
	}
	t.Logf("messages that cannot be used: %d; dead letters: %d", len(messages), got)
}

// workerKilled ends a worker by SIGKILL in the middle of its work: another
// does its seeds again.
func workerKilled(t *testing.T, w *world, env map[string]string, c cohort) {
	victim := start(t, env, "worker")
	w.submit(submissions(c.seeds)...)
	victim.awaitLog("Completed ")
	victim.kill()
	heir := start(t, env, "worker") // gets the partitions when the group has waited for the victim, for 10 s
	w.awaitNoLag()
	t.Logf("in: %d seeds; finished by the victim %d, by its heir %d", len(c.seeds), len(victim.completed()), len(heir.completed()))
	if code := heir.terminate(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// brokerKilled takes one of three brokers away in the middle of the work. What
// could not be sent within three attempts is in the spool, not lost.
func brokerKilled(t *testing.T, w *world, env map[string]string, c cohort) {
	worker := start(t, env, "worker")
	w.submit(submissions(c.seeds)...)
	worker.awaitLog("Completed ")
	if err := w.cluster.Kill(1); err != nil {
		t.Fatal(err)
	}
	w.awaitNoLag()
	awaitNoSpool(t, env) // two of three are enough for it
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	t.Logf("in: %d seeds with %d candidates; %s", len(c.seeds), len(c.expected), worker.lastLine("worker stopped"))
	if err := w.cluster.StartNode(1); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func brokersStopped(t *testing.T, w *world, env, oneshotEnv map[string]string, live, fromFile cohort) {
	worker := start(t, env, "worker")
	w.submit(submissions(live.seeds)...)
	worker.awaitLog("Completed ")
	if err := w.cluster.Kill(1, 2, 3); err != nil {
		t.Fatal(err)
	}
	worker.awaitLog("after 3 attempts")
	worker.awaitLog("spooled")
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d of a worker that spooled, want 0", code)
	}
	spooled := lines(t, env["OUTPUT_DIR"], "spool_*.jsonl")
	if spooled == 0 {
		t.Error("the spool is empty")
	}
	csv := filepath.Join(t.TempDir(), "seeds.csv")
	text := "cse_id,seed_registrable\r\nBRAND," + strings.Join(fromFile.seeds, "\r\nBRAND,") + "\r\n"
	if err := os.WriteFile(csv, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	oneshot := start(t, oneshotEnv, "worker", "--mode", "oneshot", "--seeds", csv)
	if code := oneshot.wait(); code != 3 {
		t.Errorf("exit code %d of a one-shot run that spooled, want 3", code)
	}
	more := lines(t, oneshotEnv["OUTPUT_DIR"], "spool_*.jsonl")
	if want := len(fromFile.expected) + 2*len(fromFile.seeds) + fromFile.withoutAddress(); more != want {
		t.Errorf("%d records in the spool of the one-shot run, want %d", more, want)
	}
	t.Logf("spooled: %d records of the worker, %d of the one-shot run", spooled, more)
}

func brokersBack(t *testing.T, w *world, env, oneshotEnv map[string]string) {
	if err := w.cluster.StartNode(1, 2, 3); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	replay(t, oneshotEnv)
	// What was read but not committed when the brokers went is done again.
	worker := start(t, env, "worker")
	w.awaitNoLag()
	awaitNoSpool(t, env)
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	t.Logf("%s", worker.lastLine("worker stopped"))
}

// awaitNoSpool waits until the worker has sent all of its spool.
func awaitNoSpool(t *testing.T, env map[string]string) {
	t.Helper()
	eventually(t, "the spool is empty", func() bool {
		left, err := filepath.Glob(filepath.Join(env["OUTPUT_DIR"], "spool_*"))
		return err == nil && len(left) == 0
	})
}

// replay sends every spool that there is.
func replay(t *testing.T, env map[string]string) {
	t.Helper()
	spools, err := filepath.Glob(filepath.Join(env["OUTPUT_DIR"], "spool_*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, env, append([]string{"replay"}, spools...)...)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d of replay, want 0", code)
	}
	if left := lines(t, env["OUTPUT_DIR"], "spool_*.jsonl"); left != 0 {
		t.Errorf("%d records left in the spool", left)
	}
	t.Log(strings.TrimSpace(p.text()))
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != ".typostream" { // what the worker remembers
			names = append(names, e.Name())
		}
	}
	return names
}

func lines(t *testing.T, dir, pattern string) int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(text, []byte("\n"))
	}
	return n
}
