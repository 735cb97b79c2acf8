//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// suite is scenarios one after the other in one world; what each submits, the
// topic must hold from then on.
type suite struct {
	*world
	env      map[string]string
	seeds    []string
	expected map[string]candidate
	cohorts  []cohort
	next     int
}

// What an operator tries out before she trusts a worker: it starts at once, is
// told to stop, leaders move and die under it, all of Kafka goes and a person
// submits a domain meanwhile, it has little memory.
func TestCases(t *testing.T) {
	const limit = 400
	s := &suite{world: newWorld(t), expected: map[string]candidate{}}
	zones, from := "", 2000
	for _, size := range []int{4, 12, 24, 1, 40} {
		var c cohort
		var zone string
		c.seeds, c.expected, zone = limitedBrands(t, from, size, limit)
		s.cohorts = append(s.cohorts, c)
		zones, from = zones+zone, from+size
	}
	s.env = map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(s.cluster.Brokers(), ","), "NAMESERVERS": startDNS(t, zones).Addr(), "OUTPUT_DIR": t.TempDir(),
		"LIMIT": strconv.Itoa(limit), "KAFKA_SEND_BACKOFF": "200ms", "KAFKA_RETRY_DELAY": "500ms",
	}
	for _, scenario := range []struct {
		name string
		run  func(*suite, *testing.T)
	}{
		{"first candidate", firstCandidate},
		{"told to stop", toldToStop},
		{"leaders move and die", leadersMoveAndDie},
		{"submitted while Kafka is stopped", submittedWhileStopped},
		{"little memory", littleMemory},
	} {
		ok := t.Run(scenario.name, func(t *testing.T) {
			s.t = t
			scenario.run(s, t)
			n := s.checkTopic(s.seeds, s.expected)
			t.Logf("in the topic: %d candidates and %d seeds of all scenarios up to now, missing %d; again: %d", n.variants, n.seeds, n.missing, n.repeats())
		})
		if !ok {
			return // it may have left a broker dead
		}
	}
}

// take is the next cohort, which the topic must hold from now on.
func (s *suite) take() cohort {
	c := s.cohorts[s.next]
	s.next++
	s.seeds = append(s.seeds, c.seeds...)
	maps.Copy(s.expected, c.expected)
	return c
}

// with is the environment with changes.
func (s *suite) with(changes map[string]string) map[string]string {
	env := maps.Clone(s.env)
	maps.Copy(env, changes)
	return env
}

// firstCandidate says how long it takes from the start of the process to the
// first candidate in the hands of a consumer. It is a figure, not a verdict: the
// machine may be busy. At the first start Kafka has yet to make the topic in
// which it keeps the offsets of groups.
func firstCandidate(s *suite, t *testing.T) {
	c := s.take()
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.Brokers()...), kgo.ConsumeTopics(candidateTopic), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for i, seed := range c.seeds {
		s.submit(submission(seed))
		begun := time.Now()
		worker := start(t, s.env, "worker")
		var record, candidate time.Duration
		for candidate == 0 {
			fetches := reader.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				switch name := string(r.Key); {
				case name == seed:
					record = time.Since(begun)
				case c.expected[name].seed == seed && candidate == 0:
					candidate = time.Since(begun)
				}
			})
		}
		s.awaitNoLag()
		if code := worker.terminate(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0", code)
		}
		t.Logf("start %d, with a seed that waits: the seed's own record is at a consumer after %v, the first candidate after %v", i+1, record.Round(time.Millisecond), candidate.Round(time.Millisecond))
	}
}

// toldToStop sends SIGTERM amid the work: readiness is off while the seeds in
// work go on, no other is begun, their offsets are committed, the group is left.
// Another worker is told twice.
func toldToStop(s *suite, t *testing.T) {
	c := s.take()
	slow := s.with(map[string]string{"DNS_QPS": "200", "SEEDS_IN_PARALLEL": "2"}) // some two seconds a seed
	worker := start(t, slow, "worker")
	s.submit(submissions(c.seeds)...)
	worker.awaitLog("Completed ")
	stop := time.Now()
	if err := worker.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if state, code := worker.ready(); code != http.StatusServiceUnavailable || state != "stopping" {
		eventually(t, "readiness is off", func() bool {
			state, code = worker.ready()
			return code == http.StatusServiceUnavailable && state == "stopping"
		})
	}
	off := time.Since(stop)
	done := len(worker.completed())
	if code := worker.wait(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	took := time.Since(stop)
	finished := len(worker.completed())
	if finished == done {
		t.Error("no seed in work was finished after readiness was off")
	}
	if finished-done > 4 { // two in work, and each at most followed by one that was taken at the same moment
		t.Errorf("%d seeds were finished after SIGTERM, two were in work", finished-done)
	}
	lag, err := s.lag()
	if err != nil || lag != int64(len(c.seeds)-finished) {
		t.Errorf("lag %d (%v) of %d seeds after %d were finished", lag, err, len(c.seeds), finished)
	}
	s.expectNoMembers()
	t.Logf("in: %d seeds; finished before SIGTERM %d, after it %d; committed all of these, lag %d", len(c.seeds), done, finished-done, lag)
	t.Logf("readiness off after %v, exit 0 after %v of 25 s, the group left", off.Round(time.Millisecond), took.Round(time.Millisecond))

	// The second signal does not wait for anything.
	second := start(t, slow, "worker")
	second.awaitLog("Completed ")
	for i, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := second.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			eventually(t, "readiness is off", func() bool { _, code := second.ready(); return code == http.StatusServiceUnavailable })
		}
	}
	if code := second.wait(); code != 130 {
		t.Errorf("exit code %d after a second signal, want 130", code)
	}
	// Kafka waits for the one that did not say goodbye.
	third := start(t, s.env, "worker")
	s.awaitNoLag()
	if code := third.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	t.Logf("a second signal: exit 130; finished before it %d, by the next worker %d", len(second.completed()), len(third.completed()))
}

// ready is what /readyz says.
func (p *process) ready() (state string, code int) {
	res, err := http.Get(p.url("/readyz"))
	if err != nil {
		return err.Error(), 0
	}
	defer res.Body.Close()
	var body struct{ Status string }
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return err.Error(), res.StatusCode
	}
	return body.Status, res.StatusCode
}

func (s *suite) expectNoMembers() {
	s.t.Helper()
	groups, err := s.admin.DescribeGroups(s.t.Context(), group)
	if err != nil {
		s.t.Fatal(err)
	}
	if n := len(groups[group].Members); n > 0 {
		s.t.Errorf("the group has %d members still", n)
	}
}

// attempt is a line of the log about one that failed.
var attempt = regexp.MustCompile(`\(attempt \d/3\)`)

// leadersMoveAndDie gives all partitions other leaders in the middle of a scan,
// three times, and then kills the leader of some. The log tells of attempts;
// what they did not bring to Kafka is in the spool, and replayed from there. All
// seeds are scanned at a time: a scan publishes one batch after the other, and
// one that waits for a replica that is dead would hide the leader that is.
func leadersMoveAndDie(s *suite, t *testing.T) {
	c := s.take()
	worker := start(t, s.with(map[string]string{"DNS_QPS": "600", "SEEDS_IN_PARALLEL": strconv.Itoa(len(c.seeds))}), "worker")
	s.submit(submissions(c.seeds)...)
	for i := range 3 {
		before := worker.metric("typostream_emit_acked_total")
		eventually(t, "more events are acknowledged", func() bool { return worker.metric("typostream_emit_acked_total") > before+5 })
		s.moveLeaders(i + 1)
	}
	moves := len(attempt.FindAllString(worker.text(), -1))
	before := worker.metric("typostream_emit_acked_total")
	eventually(t, "more events are acknowledged", func() bool { return worker.metric("typostream_emit_acked_total") > before })
	node, err := s.cluster.Leader(t.Context(), candidateTopic, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cluster.Kill(node); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log tells of attempts", func() bool { return len(attempt.FindAllString(worker.text(), -1)) > moves })
	if err := s.cluster.StartNode(node); err != nil {
		t.Fatal(err)
	}
	if err := s.cluster.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitNoLag()
	awaitNoSpool(t, s.env)
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	t.Logf("in: %d seeds with %d candidates", len(c.seeds), len(c.expected))
	t.Logf("attempts that failed in the log: %d while leaders moved, %d when broker %d was killed", moves, len(attempt.FindAllString(worker.text(), -1))-moves, node)
	t.Logf("%s", worker.lastLine("worker stopped"))
}

// moveLeaders makes another replica the leader of every partition of the
// candidates.
func (s *suite) moveLeaders(turn int) {
	s.t.Helper()
	var req kadm.AlterPartitionAssignmentsReq
	topics := kadm.TopicsSet{}
	for p := range int32(partitions) {
		first := (p + int32(turn)) % 3
		req.Assign(candidateTopic, p, []int32{first + 1, (first+1)%3 + 1, (first+2)%3 + 1})
		topics.Add(candidateTopic, p)
	}
	if _, err := s.admin.AlterPartitionAssignments(s.t.Context(), req); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.admin.ElectLeaders(s.t.Context(), kadm.ElectPreferredReplica, topics); err != nil {
		s.t.Fatal(err)
	}
}

// submittedWhileStopped stops all of Kafka and submits a domain over HTTP: it is
// scanned, after three attempts its events are in a file, and when Kafka is
// back they come to the topic without anybody's help.
func submittedWhileStopped(s *suite, t *testing.T) {
	c := s.take()
	worker := start(t, s.env, "worker")
	worker.awaitLog("joined the consumer group")
	grown := s.grown(candidateTopic)
	if err := s.cluster.Kill(s.cluster.Nodes()...); err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(worker.url("/api/submit"), "application/json", strings.NewReader(fmt.Sprintf(`{"url":%q,"cse_id":"BRAND","use_full_pipeline":true}`, c.seeds[0])))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("the submission is answered %s: %s (%v)", res.Status, answer, err)
	}
	worker.awaitLog("after 3 attempts")
	worker.awaitLog(`"msg":"Completed ` + c.seeds[0])
	files, err := filepath.Glob(filepath.Join(s.env["OUTPUT_DIR"], "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no .jsonl in %s (%v)", s.env["OUTPUT_DIR"], err)
	}
	spooled := lines(t, s.env["OUTPUT_DIR"], "spool_*.jsonl")
	if want := len(c.expected) + 2; spooled != want { // the seed, and that it is to be crawled
		t.Errorf("%d records in the spool, want %d", spooled, want)
	}
	if err := s.cluster.StartNode(s.cluster.Nodes()...); err != nil {
		t.Fatal(err)
	}
	if err := s.cluster.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitNoSpool(t, s.env)
	if got, want := grown(), len(c.expected)+1; got != want {
		t.Errorf("the topic has %d records more, want %d", got, want)
	}
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	t.Logf("in: POST /api/submit while no broker ran, answered %s", strings.TrimSpace(string(answer)))
	t.Logf("%s", worker.lastLine("after 3 attempts"))
	t.Logf("in %s: %d records; out when Kafka was back: %d candidates and the seed", filepath.Base(files[0]), spooled, grown()-1)
}

// littleMemory lets a worker with 64 MiB take many seeds at once. To find the
// likeliest names of a seed it holds all of them for a moment.
func littleMemory(s *suite, t *testing.T) {
	const limit = 64 << 20
	c := s.take()
	worker := start(t, s.with(map[string]string{"GOMEMLIMIT": strconv.Itoa(limit), "SEEDS_IN_PARALLEL": "8"}), "worker")
	s.submit(submissions(c.seeds)...)
	var held, resident []float64
	degraded := 0
	eventually(t, "every message is committed", func() bool {
		held = append(held, worker.metric("typostream_memory_bytes"))
		resident = append(resident, worker.metric("process_resident_memory_bytes"))
		if worker.metric(`typostream_health_issue{issue="memory"}`) > 0 {
			degraded++
		}
		lag, err := s.lag()
		return err == nil && lag == 0
	})
	if code := worker.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	// The limit is a goal of the collector, not a wall.
	if most := slices.Max(held); most > 1.25*limit {
		t.Errorf("the Go runtime held up to %.0f MiB, the limit is 64 MiB", most/(1<<20))
	}
	t.Logf("in: %d seeds, 8 at a time; limit 64 MiB; the Go runtime held at most %.0f MiB, resident were at most %.0f MiB; %d looks, at %d of them health was degraded by memory",
		len(c.seeds), slices.Max(held)/(1<<20), slices.Max(resident)/(1<<20), len(held), degraded)
}
