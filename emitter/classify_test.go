package emitter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Every error code of the protocol, and some to come, has its class; what is
// not named is of unknown outcome.
func TestEveryCode(t *testing.T) {
	want := map[class][]kafka.Error{
		classAcked:   {0, 46},
		classRetry:   {3, 5, 6, 8, 9, 14, 19, 56, 74, 75, 89},
		classSession: {45, 47, 59},
		classRecord:  {2, 10, 18, 32, 87},
		classConfig:  {17, 29, 31, 33, 34, 44, 58},
		classUnknown: {-1, 7, 13, 20},
	}
	waits := []kafka.Error{3, 5, 6}
	for code := kafka.Error(-2); code < 200; code++ {
		r := ruleFor(code)
		named := false
		for c, codes := range want {
			if slices.Contains(codes, code) {
				named = true
				if r.class != c {
					t.Errorf("code %d is of class %d, want %d", code, r.class, c)
				}
			}
		}
		if !named && r.class != classUnknown {
			t.Errorf("code %d is of class %d; a code without a rule is of unknown outcome", code, r.class)
		}
		if r.why == "" {
			t.Errorf("code %d has no reason", code)
		}
		if r.wait != slices.Contains(waits, code) {
			t.Errorf("code %d: wait is %v", code, r.wait)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for c, want := range map[class]outcome{
		classAcked: acked, classRetry: rejected, classUnknown: unknown,
		classSession: rejected, classRecord: rejected, classConfig: rejected,
	} {
		if got := c.outcome(); got != want {
			t.Errorf("class %d has outcome %d, want %d", c, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		err  error
		sent bool
		want class
		code kafka.Error
	}{
		{nil, true, classAcked, 0},
		{fmt.Errorf("kafka.(*Client).RawProduce: %w", fmt.Errorf("%w: told so", kafka.NotLeaderForPartition)), true, classRetry, 6},
		{io.EOF, true, classUnknown, 0},
		{io.EOF, false, classRetry, 0},
		{context.DeadlineExceeded, true, classUnknown, 0},
		{context.DeadlineExceeded, false, classRetry, 0},
		{protocol.NewErrNoLeader("t", 1), false, classRetry, 0},
		{protocol.ErrNoTopic, true, classUnknown, 0}, // an answer without our topic
		{kafka.Unknown, true, classUnknown, -1},
		{kafka.Unknown, false, classRetry, -1},
		{kafka.Error(131), true, classUnknown, 131},
		{kafka.SASLAuthenticationFailed, false, classConfig, 58},
	} {
		v := judge(tc.err, tc.sent)
		if v.class != tc.want || v.code != tc.code {
			t.Errorf("judge(%v, sent %v) = class %d code %d, want %d and %d", tc.err, tc.sent, v.class, v.code, tc.want, tc.code)
		}
	}
}

func TestBrief(t *testing.T) {
	err := fmt.Errorf("kafka.(*Client).RawProduce: %w", errors.New("line\nbreak  and\tmore"))
	if got := brief(err); got != "line break and more" {
		t.Errorf("brief = %q", got)
	}
	if got := brief(errors.New(string(make([]byte, 5000)))); len(got) > 310 {
		t.Errorf("brief is %d bytes long", len(got))
	}
}

func TestBreaker(t *testing.T) {
	var b breaker
	now := time.Unix(1000, 0)
	cause := errors.New("down")
	if b.blocked(now) || !b.admit(now) {
		t.Fatal("a new breaker is not closed")
	}
	if !b.trip(now, 10*time.Second, cause) || b.trip(now, 10*time.Second, cause) {
		t.Error("trip does not tell the first opening from the second")
	}
	if !b.blocked(now.Add(9*time.Second)) || b.admit(now.Add(9*time.Second)) {
		t.Error("open, it lets something through")
	}
	later := now.Add(10 * time.Second)
	if b.blocked(later) || !b.admit(later) {
		t.Error("after the period nothing may probe")
	}
	if !b.blocked(later) || b.admit(later) {
		t.Error("two probes at once")
	}
	b.release()
	if !b.admit(later) {
		t.Error("after a release nothing may probe")
	}
	if open, since, c := b.state(now); !open || !since.Equal(now) || c != cause {
		t.Errorf("state: %v %v %v", open, since, c)
	}
	if was, since := b.pass(); !was || !since.Equal(now) {
		t.Errorf("pass: %v %v", was, since)
	}
	if was, _ := b.pass(); was || b.blocked(later) {
		t.Error("it does not stay closed")
	}
}

// A batch refused by a narrow breaker gives back the probe of the wide one.
func TestGateReleases(t *testing.T) {
	now := time.Unix(1000, 0)
	var wide, narrow breaker
	wide.trip(now, time.Second, errors.New("wide"))
	narrow.trip(now, time.Hour, errors.New("narrow"))
	g := gate{&wide, &narrow}
	later := now.Add(time.Minute)
	if g.admit(later) || !g.blocked(later) {
		t.Error("admitted past an open breaker")
	}
	if !wide.admit(later) {
		t.Error("the probe of the wide breaker was not given back")
	}
	if g.cause().Error() != "wide" {
		t.Errorf("cause: %v", g.cause())
	}
}

// The attempts wait 1 s and 2 s, a fifth more or less; the wait for a leader
// costs none of them.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		k, err := NewKafka(KafkaConfig{Brokers: []string{"kafka:9092"}, Log: log.logger()}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close(t.Context())
		refused := judge(kafka.NotEnoughReplicas, true)
		tr := k.newTries("t", "a.example", 0)
		for i, want := range []time.Duration{time.Second, 2 * time.Second} {
			start := time.Now()
			if !tr.again(refused) {
				t.Fatalf("attempt %d is the last", i+1)
			}
			if got := time.Since(start); got < want*8/10 || got > want*12/10 {
				t.Errorf("wait %d took %v, want about %v", i+1, got, want)
			}
		}
		if tr.again(refused) || tr.made != 3 {
			t.Errorf("after %d attempts there is one more", tr.made)
		}

		cut := judge(io.EOF, true)
		tr = k.newTries("t", "a.example", 0)
		start, swift := time.Now(), 0
		for tr.made == 0 {
			if !tr.again(cut) {
				t.Fatal("a lost connection is not tried again")
			}
			swift++
		}
		if got := time.Since(start); swift < 6 || got < 1800*time.Millisecond || got > 3*time.Second {
			t.Errorf("%d tries in %v, want several swift ones for a second and one backoff", swift, got)
		}

		tr = k.newTries("t", "a.example", 0)
		for swift = 0; tr.again(cut) && tr.made == 0; swift++ {
			time.Sleep(600 * time.Millisecond) // what a try takes on a slow network
		}
		if swift != leastSwift {
			t.Errorf("%d slow tries before an attempt is used up, want %d", swift, leastSwift)
		}

		hung := judge(fmt.Errorf("%w (waiting)", context.DeadlineExceeded), true)
		tr = k.newTries("t", "a.example", 0)
		if !tr.again(hung) || tr.made != 1 {
			t.Errorf("after a time-out: %+v, want an attempt used up", tr)
		}

		moved := judge(kafka.NotLeaderForPartition, true)
		tr = k.newTries("t", "a.example", 0)
		start = time.Now()
		for tr.made == 0 {
			if !tr.again(moved) {
				t.Fatal("a moved leader is not waited for")
			}
		}
		if got := time.Since(start); got < 10*time.Second || got > 13*time.Second {
			t.Errorf("the wait for a leader took %v, want TopicWait and one backoff", got)
		}

		missing := judge(kafka.UnknownTopicOrPartition, true)
		tr = k.newTries("t", "a.example", 0)
		for tr.again(missing) {
		}
		if !tr.missing || tr.made != 0 {
			t.Errorf("a missing topic: %+v", tr)
		}
	})
}

func TestSequenceWraps(t *testing.T) {
	for _, tc := range []struct {
		seq  int32
		n    int
		want int32
	}{{0, 1, 1}, {5, 500, 505}, {1<<31 - 1, 1, 0}, {1<<31 - 10, 15, 5}} {
		if got := nextSequence(tc.seq, tc.n); got != tc.want {
			t.Errorf("nextSequence(%d, %d) = %d, want %d", tc.seq, tc.n, got, tc.want)
		}
	}
}
