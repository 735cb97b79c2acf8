package emitter

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Faults that pass within the attempts: every message is in the topic once.
func TestFaultsThatPass(t *testing.T) {
	for name, tc := range map[string]struct {
		err      *kerr.Error
		count    int
		retries  bool // costs attempts
		sessions int64
		codeText string
	}{
		"leader moved":                  {err: kerr.NotLeaderForPartition, count: 5},
		"no leader yet":                 {err: kerr.LeaderNotAvailable, count: 5},
		"topic not known yet":           {err: kerr.UnknownTopicOrPartition, count: 5},
		"timed out after the append":    {err: kerr.RequestTimedOut, count: 2, retries: true, codeText: "[7] Request Timed Out"},
		"too few replicas":              {err: kerr.NotEnoughReplicas, count: 2, retries: true, codeText: "[19]"},
		"too few replicas after append": {err: kerr.NotEnoughReplicasAfterAppend, count: 2, retries: true, codeText: "[20]"},
		"server error":                  {err: kerr.UnknownServerError, count: 2, retries: true, codeText: "[-1]"},
		"storage error":                 {err: kerr.KafkaStorageError, count: 2, retries: true, codeText: "[56]"},
		"damaged on the way":            {err: kerr.CorruptMessage, count: 2, retries: true, codeText: "[2]"},
		"throttled":                     {err: kerr.ThrottlingQuotaExceeded, count: 1, retries: true, codeText: "[89]"},
		"producer id forgotten":         {err: kerr.UnknownProducerID, count: 1, sessions: 2},
		"sequence out of order":         {err: kerr.OutOfOrderSequenceNumber, count: 1, sessions: 2},
		"producer fenced":               {err: kerr.InvalidProducerEpoch, count: 2, sessions: 3},
		"session lost again and again":  {err: kerr.UnknownProducerID, count: 4, retries: true, sessions: 5, codeText: "[59]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
			want := messages(30)
			if _, err := r.Emit(t.Context(), want[:10]...); err != nil {
				t.Fatal(err)
			}
			r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: tc.err, Count: tc.count})
			if got, err := r.Emit(t.Context(), want[10:20]...); err != nil || got.Acked != 10 {
				t.Fatalf("Emit = %+v, %v", got, err)
			}
			if _, err := r.Emit(t.Context(), want[20:]...); err != nil {
				t.Fatal(err)
			}
			r.exactly(t, testTopic, want)
			a := r.Accounting()
			if (a.Retries > 0) != tc.retries || (a.Retried > 0) != tc.retries || a.Ambiguous != 0 || a.Sessions != max(tc.sessions, 1) {
				t.Errorf("books: %+v", a)
			}
			if n := r.Numbers(); n.Settled != 30 || n.Failed != 0 || n.AckP99 < n.AckP50 || n.AckP50 == 0 || n.Retries != a.Retries || n.Retried != a.Retried {
				t.Errorf("numbers: %+v", n)
			}
			if tc.retries {
				line := regexp.MustCompile(`level=WARN msg="Send failed for name10\.example \(attempt 1/3\): .*` + regexp.QuoteMeta(tc.codeText) + `.*others=9`)
				if !line.MatchString(r.log.String()) {
					t.Errorf("log:\n%s", r.log)
				}
			} else if regexp.MustCompile(`error|Error|failed`).MatchString(r.log.String()) {
				t.Errorf("what costs no attempt is no trouble, but the log says:\n%s", r.log)
			}
		})
	}
}

// The answer to a batch that was appended is lost, twice.
func TestLostAnswers(t *testing.T) {
	r := newRig(t, nil)
	want := messages(300)
	if _, err := r.Emit(t.Context(), want[:100]...); err != nil {
		t.Fatal(err)
	}
	r.plug.lose.Store(2)
	if got, err := r.Emit(t.Context(), want[100:]...); err != nil || got.Acked != 200 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	r.exactly(t, testTopic, want)
	if a := r.Accounting(); a.Acked != 300 || a.Ambiguous != 0 {
		t.Errorf("books: %+v", a)
	}
}

// A lost answer and then a lost session: the batch may be there twice, and the
// books say so; it is never lost.
func TestLostAnswerThenLostSession(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	if _, err := r.Emit(t.Context(), msg("a.example", 0)); err != nil {
		t.Fatal(err)
	}
	r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.OutOfOrderSequenceNumber, Count: 1})
	if got, err := r.Emit(t.Context(), msg("b.example", 1)); err != nil || got.Acked != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if n := len(r.read(t, testTopic)); n != 3 {
		t.Errorf("%d records, want a once and b twice", n)
	}
	if a := r.Accounting(); a.Ambiguous != 1 || a.Sessions != 2 {
		t.Errorf("books: %+v, want one ambiguous", a)
	}
}

// The worst attempt decides: an answer lost, then refusals, is unknown. The
// caller is released with the message in the spool, and the batch stays at the
// head of its partition until Kafka says that it has it: it is there once, and
// no replay sends it.
func TestUnknownIsResolved(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 2})
	unknown := msg("unknown.example", 0) // one: several may go in more than one batch
	if got, err := r.Emit(t.Context(), unknown); err != nil || got.Spooled != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if n := strings.Count(strings.Join(r.lines(t, "spool_*.jsonl"), "\n"), `"unknown":true`); n != 1 {
		t.Errorf("%d lines of unknown outcome in the spool, want 1", n)
	}
	if h := r.Health(); !strings.Contains(strings.Join(h.Problems, "\n"), "partition 0 of topic "+testTopic) {
		t.Errorf("health: %+v, want the partition named", h)
	}
	if got, err := r.Emit(t.Context(), msg("behind.example", 9)); err != nil || got.Spooled != 1 {
		t.Fatalf("Emit behind it = %+v, %v", got, err)
	}
	waitFor(t, func() bool {
		if err := r.Check(t.Context(), testTopic); err != nil {
			t.Fatal(err)
		}
		return r.Accounting().Acked == 1
	})
	next := msg("next.example", 10)
	if got, err := r.Emit(t.Context(), next); err != nil || got.Acked != 1 {
		t.Fatalf("Emit afterwards = %+v, %v", got, err)
	}
	r.exactly(t, testTopic, []Message{unknown, next})
	if a := r.Accounting(); a.Ambiguous != 0 || a.Spooled != 1 || a.Acked != 2 || a.Sessions != 1 {
		t.Errorf("books: %+v", a)
	}
	balanced(t, r.Accounting())
}

// A head is asked about when the next batch comes after the breaker's period,
// before that batch is sent.
func TestHeadGoesFirst(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = 20 * time.Millisecond }, kfake.SeedTopics(1, testTopic))
	r.plug.lose.Store(1 << 20)
	want := messages(5)
	if got, err := r.Emit(t.Context(), want[0]); err != nil || got.Spooled != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	r.plug.lose.Store(0)
	for i, n := 1, 0; i < len(want); {
		got, err := r.Emit(t.Context(), want[i])
		if err != nil {
			t.Fatal(err)
		}
		if got.Acked == 1 {
			i++
		} else {
			n++
			want[i] = msg(fmt.Sprintf("later%d.example", n), n) // the other is in the spool
		}
	}
	r.exactly(t, testTopic, want)
	if a := r.Accounting(); a.Ambiguous != 0 {
		t.Errorf("books: %+v", a)
	}
}

// When Kafka has forgotten the session the outcome stays open: the lines are
// for a replay, and the books say so.
func TestUnknownStaysUnknown(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 1},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 2},
		kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.OutOfOrderSequenceNumber, Count: 1})
	if got, err := r.Emit(t.Context(), msg("a.example", 0)); err != nil || got.Spooled != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	waitFor(t, func() bool { // until the question has ended, too: whoever comes before goes to the spool
		return r.Check(t.Context(), testTopic) == nil && r.Accounting().Ambiguous == 1 && len(r.openBreakers()) == 0
	})
	if got, err := r.Emit(t.Context(), msg("b.example", 1)); err != nil || got.Acked != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if a := r.Accounting(); a.Ambiguous != 1 || a.Spooled != 1 || a.Acked != 1 || a.Sessions != 2 {
		t.Errorf("books: %+v", a)
	}
}

// A leader that hangs is left for the next one as soon as there is one, long
// before the attempt's time is over.
func TestHungLeaderIsLeft(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.RequestTimeout = time.Hour; cfg.DeliveryTimeout = time.Hour }, kfake.SeedTopics(1, testTopic))
	if got, err := r.Emit(t.Context(), msg("a.example", 0)); err != nil || got.Acked != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	r.plug.hang.Store(true)
	out := make(chan Receipt, 1)
	go func() {
		got, err := r.Emit(t.Context(), msg("b.example", 1))
		if err != nil {
			t.Error(err)
		}
		out <- got
	}()
	waitFor(t, func() bool { return r.cluster.PartitionInfo(testTopic, 0).HighWatermark == 2 })
	r.plug.hang.Store(false)
	leader := r.cluster.LeaderFor(testTopic, 0)
	if err := r.cluster.MoveTopicPartition(testTopic, 0, (leader+1)%3); err != nil {
		t.Fatal(err)
	}
	if got := <-out; got.Acked != 1 {
		t.Errorf("receipt %+v, want it acknowledged", got)
	}
	r.exactly(t, testTopic, []Message{msg("a.example", 0), msg("b.example", 1)})
}

// Closing with a batch of unknown outcome asks once more; what is still not
// known is left in the spool, marked, and booked as ambiguous.
func TestCloseWithAHead(t *testing.T) {
	for name, known := range map[string]bool{"Kafka is back": true, "Kafka is away": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
			r.plug.lose.Store(1 << 20)
			if got, err := r.Emit(t.Context(), msg("a.example", 0)); err != nil || got.Spooled != 1 {
				t.Fatalf("Emit = %+v, %v", got, err)
			}
			if known {
				r.plug.lose.Store(0)
			}
			if err := r.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			a := r.Accounting()
			line := strings.Join(r.lines(t, "spool_*.jsonl"), "")
			if known && (a.Acked != 1 || a.Ambiguous != 0 || line != "") ||
				!known && (a.Spooled != 1 || a.Ambiguous != 1 || !strings.Contains(line, `"unknown":true`)) {
				t.Errorf("books %+v, spool %s", a, line)
			}
			r.exactly(t, testTopic, []Message{msg("a.example", 0)})
		})
	}
}

func TestLeadersMoveUnderLoad(t *testing.T) {
	r := newRig(t, nil)
	want := messages(4000)
	var wg sync.WaitGroup
	for c := range 40 {
		wg.Go(func() {
			for _, m := range want[c*100 : c*100+100] {
				if got, err := r.Emit(t.Context(), m); err != nil || got.Acked != 1 {
					t.Errorf("Emit = %+v, %v", got, err)
				}
			}
		})
	}
	for i := range 20 {
		waitFor(t, func() bool { return r.Accounting().Acked > int64(i*150) })
		for p := range int32(4) {
			if err := r.cluster.MoveTopicPartition(testTopic, p, (int32(i)+p)%3); err != nil {
				t.Error(err)
			}
		}
	}
	wg.Wait()
	r.exactly(t, testTopic, want)
	if a := r.Accounting(); a.Acked != 4000 || a.Ambiguous != 0 || a.Retries != 0 {
		t.Errorf("books: %+v", a)
	}
}

// The way through an outage: three attempts and their log lines once, the
// spool at once after that, and a replay that makes the topic whole.
func TestOutage(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	want := messages(50)
	if _, err := r.Emit(t.Context(), want[:10]...); err != nil {
		t.Fatal(err)
	}
	r.plug.pull()
	for i := 10; i < 50; i += 20 {
		if got, err := r.Emit(t.Context(), want[i:i+20]...); err != nil || got != (Receipt{Spooled: 20}) {
			t.Fatalf("Emit = %+v, %v", got, err)
		}
	}
	for line, n := range map[string]int{
		`level=WARN msg="Send failed for name10.example (attempt 1/3): `:                                                  1,
		`level=WARN msg="Send failed for name10.example (attempt 2/3): `:                                                  1,
		`level=WARN msg="Send failed for name10.example (attempt 3/3): `:                                                  1,
		`level=ERROR msg="Failed to send name10.example after 3 attempts" topic=domains.candidates partition=0 others=19`: 1,
		`Send failed`:                   3,
		`Failed to send`:                1,
		`Kafka does not take events`:    1,
		`concerns="all of Kafka"`:       1,
		`msg="events go to the spool" `: 1,
	} {
		if got := r.log.count(line); got != n {
			t.Errorf("%q is in the log %d times, want %d:\n%s", line, got, n, r.log)
		}
	}
	if r.log.count("connection refused") == 0 { // the first attempt may have been on its way when the plug was pulled
		t.Errorf("no line of the log has the cause:\n%s", r.log)
	}
	if h := r.Health(); h.Reachable || h.Cause == nil || len(h.Problems) != 1 {
		t.Errorf("health in the outage: %+v", h)
	}
	files := r.spools(t)
	if len(files) != 1 {
		t.Fatalf("spool files: %v", files)
	}
	replayer := r.connect(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = time.Millisecond })
	replayer.spool = nil
	if _, err := Replay(t.Context(), files[0], replayer.EmitEach, ReplayOptions{}); !isLive(err) {
		t.Errorf("replay of the live spool: %v, want it refused", err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	rep, err := Replay(t.Context(), files[0], replayer.EmitEach, ReplayOptions{})
	nd, ok := errors.AsType[*NotDeliveredError](err)
	if !ok || nd.Line != 1 || nd.Hint() == "" || rep.Sent != 0 || len(r.spools(t)) != 1 {
		t.Errorf("replay in the outage: %+v, %v", rep, err)
	}
	r.plug.push()
	waitFor(t, func() bool { return replayer.Check(t.Context(), testTopic) == nil })
	rep, err = Replay(t.Context(), files[0], replayer.EmitEach, ReplayOptions{BatchLines: 7})
	if err != nil || rep.Sent != 40 || rep.Lines != 40 || rep.BadCount != 0 || rep.RenamedTo != files[0]+".replayed" {
		t.Errorf("replay: %+v, %v", rep, err)
	}
	r.exactly(t, testTopic, want)
	if left := r.spools(t); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func isLive(err error) bool {
	_, ok := errors.AsType[*LiveSpoolError](err)
	return ok
}

// After the period one batch tries, and what follows goes to Kafka again.
func TestBreakerCloses(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = time.Millisecond })
	r.plug.pull()
	if got, err := r.Emit(t.Context(), msg("a.example", 0)); err != nil || got.Spooled != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if h := r.Health(); h.Reachable {
		t.Errorf("health: %+v", h)
	}
	r.plug.push()
	n := 0
	waitFor(t, func() bool {
		n++ // a new key each time: one that is in the spool goes there again
		got, err := r.Emit(t.Context(), msg(fmt.Sprintf("again%d.example", n), n))
		if err != nil {
			t.Fatal(err)
		}
		return got.Acked == 1
	})
	if c := r.log.count("Kafka takes events again"); c != 1 {
		t.Errorf("the closing is in the log %d times:\n%s", c, r.log)
	}
	if h := r.Health(); !h.Reachable || len(h.Problems) != 0 {
		t.Errorf("health: %+v", h)
	}
}

// Kafka is down when the program starts.
func TestDownFromTheStart(t *testing.T) {
	r := newRig(t, nil)
	r.plug.pull()
	if err := r.Check(t.Context(), testTopic); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Check: %v", err)
	}
	if h := r.Health(); !h.Known || h.Reachable || h.Cause == nil {
		t.Errorf("health: %+v", h)
	}
	for n := range 3 {
		if got, err := r.Emit(t.Context(), messages(100)...); err != nil || got.Spooled != 100 {
			t.Fatalf("Emit %d = %+v, %v", n, got, err)
		}
	}
	if c := r.log.count("Send failed for name0.example (attempt"); c != 3 {
		t.Errorf("%d attempts in the log, want 3:\n%s", c, r.log)
	}
	if n := len(r.lines(t, "spool_*.jsonl")); n != 300 {
		t.Errorf("%d lines in the spool, want 300", n)
	}
}

// One partition refuses; the others go on.
func TestOnePartitionOut(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.Emit(t.Context(), messages(40)...); err != nil {
		t.Fatal(err)
	}
	h := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testTopic, Partitions: []int32{2}, Err: kerr.NotEnoughReplicas, Count: -1})
	got, err := r.Emit(t.Context(), messages(100)...)
	if err != nil || got.Acked == 0 || got.Spooled == 0 || got.Total() != 100 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	want := Receipt{} // as before, but for a key that shares its slot of the table with one in the spool
	for _, m := range messages(100) {
		if r.spool.behind(&m) {
			want.Spooled++
		} else {
			want.Acked++
		}
	}
	before := h.Hits()
	again, err := r.Emit(t.Context(), messages(100)...)
	if err != nil || again != want || want.Spooled < got.Spooled || h.Hits() != before {
		t.Errorf("Emit = %+v, %v after %d attempts; want %+v and none, before %+v", again, err, h.Hits()-before, want, got)
	}
	if !strings.Contains(r.log.String(), `concerns="partition 2 of topic domains.candidates"`) {
		t.Errorf("log:\n%s", r.log)
	}
	if hl := r.Health(); !hl.Reachable || len(hl.Problems) != 1 {
		t.Errorf("health: %+v", hl)
	}
}

func TestMissingTopic(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.TopicWait = 50 * time.Millisecond }, kfake.SeedTopics(2, "other"))
	for range 3 {
		if got, err := r.Emit(t.Context(), messages(10)...); err != nil || got.Spooled != 10 {
			t.Fatalf("Emit = %+v, %v", got, err)
		}
	}
	want := `level=WARN msg="topic domains.candidates does not exist on the brokers, its events go to the spool" events=10 hint="create it (kafka-topics --create --topic domains.candidates`
	if r.log.count(want) != 1 || r.log.count("Send failed") != 0 {
		t.Errorf("log:\n%s", r.log)
	}
	if h := r.Health(); !h.Reachable || len(h.Problems) != 1 || !strings.HasPrefix(h.Problems[0], "topic domains.candidates: ") {
		t.Errorf("health: %+v", h)
	}
	err := r.Check(t.Context(), testTopic)
	if ke, ok := errors.AsType[*KafkaError](err); !ok || ke.Code != 3 || !r.Health().Reachable {
		t.Errorf("Check: %v", err)
	}
	// Another topic is not concerned.
	m := msg("a.example", 1)
	m.Topic = "other"
	if got, err := r.Emit(t.Context(), m); err != nil || got.Acked != 1 {
		t.Errorf("Emit to another topic = %+v, %v", got, err)
	}
}

func TestTopicAppearsLate(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.TopicWait = time.Minute }, kfake.SeedTopics(2, "other"))
	asked := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Observe: true, Count: -1})
	out := make(chan error, 1)
	want := messages(1000)
	go func() {
		got, err := r.Emit(t.Context(), want...)
		if err == nil && got.Acked != 1000 {
			err = fmt.Errorf("receipt %+v", got)
		}
		out <- err
	}()
	if err := asked.Wait(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if err := r.cluster.CreateTopic(testTopic, 12, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-out; err != nil {
		t.Fatal(err)
	}
	r.exactly(t, testTopic, want)
	if a := r.Accounting(); a.Retries != 0 {
		t.Errorf("books: %+v, want no attempt used up", a)
	}
}

// A topic deleted and made again with fewer partitions is found again.
func TestTopicRecreated(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.TopicWait = 30 * time.Millisecond; cfg.BreakerPeriod = time.Millisecond })
	if _, err := r.Emit(t.Context(), messages(40)...); err != nil {
		t.Fatal(err)
	}
	if err := r.cluster.DeleteTopic(testTopic); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Emit(t.Context(), messages(40)...); err != nil || got.Spooled != 40 {
		t.Fatalf("Emit to the deleted topic = %+v, %v", got, err)
	}
	if err := r.cluster.CreateTopic(testTopic, 2, nil); err != nil {
		t.Fatal(err)
	}
	var want []Message
	n := 0
	waitFor(t, func() bool {
		m := msg(fmt.Sprintf("again%d.example", n), n)
		n++
		got, err := r.Emit(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if got.Acked == 1 {
			want = append(want, m)
		}
		return len(want) == 3
	})
	spooled := n - len(want)
	waitFor(t, func() bool { return r.Drain(t.Context()) == 0 })
	if got := len(r.read(t, testTopic)); got != 40+spooled+len(want) {
		t.Errorf("%d records, want the 40 of the spool, %d more from there, and %d", got, spooled, len(want))
	}
	for n := range 40 {
		m := msg(fmt.Sprintf("name%d.example", n), 1000+n)
		if got, err := r.Emit(t.Context(), m); err != nil || got.Acked != 1 {
			t.Fatalf("Emit to the new topic = %+v, %v", got, err)
		}
	}
}

// Records that Kafka refuses for good are found among their batch mates.
func TestOversizedAmongGood(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Compression = "none" }, kfake.SeedTopics(1, testTopic),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "4000"}))
	good := messages(60)
	big := func(n int) Message {
		return Message{Topic: testTopic, Key: fmt.Sprintf("big%d.example", n), Value: []byte(`{"pad":"` + strings.Repeat("x", 5000) + `"}`)}
	}
	all := append([]Message{big(0)}, good[:30]...)
	all = append(append(append(all, big(1), big(2)), good[30:]...), big(3))
	got, err := r.Emit(t.Context(), all...)
	if err != nil || got != (Receipt{Acked: 60, DeadLettered: 4}) {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	r.exactly(t, testTopic, good)
	letters := r.lines(t, "dead_letters.jsonl")
	if len(letters) != 4 {
		t.Fatalf("%d dead letters, want 4", len(letters))
	}
	for i, l := range letters {
		var d struct {
			deadLetterLine
			Raw []byte `json:"raw_base64"`
		}
		if err := json.Unmarshal([]byte(l), &d); err != nil {
			t.Fatal(err)
		}
		want := big(i)
		if d.Key != want.Key || string(d.Raw) != string(want.Value) || d.Code != 10 || d.Topic != testTopic || d.FailureType != "kafka_send_error" ||
			d.SchemaVersion != "v1" || len(d.RawValue) != 500 || d.TS == 0 || d.Attempts != 1 {
			t.Errorf("dead letter %d: %.200s", i, l)
		}
	}
	// The order within the partition is that of the call.
	var last int
	for _, rec := range r.read(t, testTopic) {
		var e struct{ N int }
		if err := json.Unmarshal(rec.Value, &e); err != nil || e.N < last {
			t.Fatalf("record %s after number %d", rec.Value, last)
		}
		last = e.N
	}
}

func TestRefusalsOfOneRecord(t *testing.T) {
	for name, e := range map[string]*kerr.Error{
		"invalid record": kerr.InvalidRecord, "timestamp": kerr.InvalidTimestamp, "too large": kerr.MessageTooLarge,
		"list too large": kerr.RecordListTooLarge, "corrupt each time": kerr.CorruptMessage,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: e, Count: -1})
			if got, err := r.Emit(t.Context(), messages(5)...); err != nil || got != (Receipt{DeadLettered: 5}) {
				t.Fatalf("Emit = %+v, %v", got, err)
			}
			if n := len(r.lines(t, "dead_letters.jsonl")); n != 5 {
				t.Errorf("%d dead letters, want 5", n)
			}
			if h := r.Health(); !h.Reachable {
				t.Errorf("health: %+v; Kafka is at work", h)
			}
		})
	}
}

// Faults that only people can mend: one attempt, then the spool.
func TestConfigurationFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		key      kmsg.Key
		err      *kerr.Error
		topLevel bool
		concerns string
	}{
		"topic not authorised":   {key: kmsg.Produce, err: kerr.TopicAuthorizationFailed, concerns: "topic domains.candidates"},
		"policy":                 {key: kmsg.Produce, err: kerr.PolicyViolation, concerns: "topic domains.candidates"},
		"cluster not authorised": {key: kmsg.InitProducerID, err: kerr.ClusterAuthorizationFailed, topLevel: true, concerns: "all of Kafka"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
			h := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{tc.key}, Err: tc.err, Count: -1, TopLevel: tc.topLevel})
			for range 2 {
				if got, err := r.Emit(t.Context(), messages(5)...); err != nil || got.Spooled != 5 {
					t.Fatalf("Emit = %+v, %v", got, err)
				}
			}
			if h.Hits() != 1 {
				t.Errorf("asked %d times, want once", h.Hits())
			}
			if r.log.count("Failed to send name0.example after 1 attempt") != 1 || r.log.count(`concerns="`+tc.concerns) != 1 {
				t.Errorf("log:\n%s", r.log)
			}
		})
	}
}

// Without a spool what Kafka does not take comes back as an error.
func TestWithoutSpool(t *testing.T) {
	r := newRig(t, nil)
	k := r.connect(t, nil)
	k.spool, k.dead = nil, nil
	r.plug.pull()
	got, err := k.Emit(t.Context(), messages(5)...)
	ue, ok := errors.AsType[*UndeliveredError](err)
	if !ok || ue.Count != 5 || ue.Unknown != 0 || ue.Hint() == "" || got.Total() != 0 {
		t.Errorf("Emit = %+v, %v", got, err)
	}
	if a := k.Accounting(); a.Returned != 5 || a.Accepted != 0 {
		t.Errorf("books: %+v", a)
	}
}

// A broker is asked for its versions once, and again after a connection to it has failed.
func TestVersionsAreRemembered(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var asked atomic.Int64
	cluster.ControlKey(int16(kmsg.ApiVersions), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	l := newLinks(&KafkaConfig{Dial: Security{}.Dial})
	defer l.close()
	addr := cluster.ListenAddrs()[0]
	connect := func(want int64) *link {
		t.Helper()
		c, err := l.get(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := roundTrip[*metadata.Response](c.Conn, new(metadata.Request)); err != nil {
			t.Errorf("a request: %v", err)
		}
		if got := asked.Load(); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
		return c
	}
	first, second := connect(1), connect(1)
	if first == second {
		t.Fatal("a connection was used twice at a time")
	}
	l.forget(addr)
	connect(2)
}
