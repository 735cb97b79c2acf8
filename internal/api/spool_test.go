package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/emitter"
)

// spoolRig is a handler beside an emitter, whose Kafka can go away.
type spoolRig struct {
	*rig
	kafka   *emitter.Kafka
	cluster *kfake.Cluster
	away    atomic.Bool
	mu      sync.Mutex
	conns   []net.Conn
}

func newSpoolRig(t *testing.T) *spoolRig {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &spoolRig{rig: newRig(t), cluster: cluster}
	log, dir := slog.New(slog.DiscardHandler), t.TempDir()
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	dead, err := emitter.NewDeadLetters(emitter.DeadLettersConfig{Dir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r.kafka, err = emitter.NewKafka(emitter.KafkaConfig{
		Brokers: cluster.ListenAddrs(), Backoff: time.Millisecond, BreakerPeriod: time.Hour, Dial: r.dial, Log: log,
	}, spool, dead)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.kafka.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r.cfg.Spool, r.cfg.Drain, r.cfg.Kafka = r.kafka.SpoolState, r.kafka.DrainNow, r.kafka.Health
	return r
}

func (r *spoolRig) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if r.away.Load() {
		return nil, errors.New("no route")
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, c)
	return c, err
}

// leave lets Kafka go away.
func (r *spoolRig) leave() {
	r.away.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *spoolRig) emit(t *testing.T, from, to int) emitter.Receipt {
	t.Helper()
	var messages []emitter.Message
	for n := from; n < to; n++ {
		messages = append(messages, emitter.Message{Topic: "t", Key: fmt.Sprintf("n%d.com", n), Value: fmt.Appendf(nil, `{"canonical_fqdn":"n%d.com"}`, n)})
	}
	receipt, err := r.kafka.Emit(t.Context(), messages...)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// state is what /api/v1/spool answers, once every caller knows of what is in it.
func (r *spoolRig) state(t *testing.T) (s spoolState) {
	t.Helper()
	for {
		s = spoolState{}
		if err := json.Unmarshal([]byte(r.wants(t, "GET", "/api/v1/spool", "", 200)), &s); err != nil {
			t.Fatal(err)
		}
		if s.Held == 0 || t.Context().Err() != nil {
			return s
		}
	}
}

func (r *spoolRig) replay(t *testing.T) (d drained) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.wants(t, "POST", "/api/v1/spool/replay", "{}", 200)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// wantTopic checks that the topic has the events once each.
func (r *spoolRig) wantTopic(t *testing.T, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.ConsumeTopics("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	end := int64(0)
	for p := range int32(3) {
		end += r.cluster.PartitionInfo("t", p).HighWatermark
	}
	have := map[string]int{}
	for got := int64(0); got < end; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			have[string(record.Key)]++
			got++
		})
	}
	for i := range n {
		if name := fmt.Sprintf("n%d.com", i); have[name] != 1 {
			t.Errorf("%s is there %d times", name, have[name])
		}
	}
	if len(have) != n || end != int64(n) {
		t.Errorf("%d records of %d names, want %d", end, len(have), n)
	}
}

func (r *spoolRig) balanced(t *testing.T) emitter.Accounting {
	t.Helper()
	a := r.kafka.Accounting()
	if a.Accepted != a.Acked+a.Spooled+a.DeadLettered+a.InFlight {
		t.Errorf("the books do not balance: %+v", a)
	}
	return a
}

func TestSpoolIsReplayed(t *testing.T) {
	const before, n = 100, 2100
	r := newSpoolRig(t)
	if s := r.state(t); s.Waiting != 0 || len(s.Segments) != 0 || s.Oldest != nil || s.Kafka.Reachable != nil {
		t.Errorf("%+v", s)
	}
	if got := r.emit(t, 0, before); got.Acked != before {
		t.Fatalf("%+v", got)
	}
	r.leave()
	if got := r.emit(t, before, n); got.Spooled != n-before {
		t.Fatalf("%+v", got)
	}
	s := r.state(t)
	if s.Waiting != n-before || s.Files != 1 || s.Bytes == 0 || s.Bytes >= s.Limit || s.Full || s.Oldest == nil || len(s.Segments) != 1 ||
		s.Kafka.Reachable == nil || *s.Kafka.Reachable || s.Kafka.Cause == nil || len(s.Kafka.Problems) == 0 {
		t.Errorf("while Kafka is away: %+v", s)
	}
	if f := s.Segments[0]; !strings.HasPrefix(f.File, "spool_") || f.Records != n-before || f.Waiting != n-before || f.Bytes != s.Bytes || !f.Open || !f.Begun.Equal(*s.Oldest) {
		t.Errorf("%+v", f)
	}
	if d := r.replay(t); d.Sent != 0 || d.Left != n-before || d.More || *d.Kafka.Reachable {
		t.Errorf("while Kafka is away: %+v", d)
	}
	if a := r.balanced(t); a.Spooled != n-before {
		t.Errorf("%+v", a)
	}
	r.away.Store(false)
	var sent atomic.Int64
	var both sync.WaitGroup
	for range 2 { // neither waits for the breaker, which rests for an hour
		both.Go(func() {
			w := do(r, "POST", "/api/v1/spool/replay", "")
			var d drained
			if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 || d.Left != 0 || d.More {
				t.Errorf("%d %s, %v", w.Code, w.Body, err)
			}
			sent.Add(int64(d.Sent))
		})
	}
	both.Wait()
	if a := r.balanced(t); a.Acked != n || a.Spooled != 0 || a.Replayed != n-before || sent.Load() != n-before {
		t.Errorf("%+v; answered were %d", a, sent.Load())
	}
	if s := r.state(t); s.Waiting != 0 || s.Files != 0 || !*s.Kafka.Reachable || s.Kafka.Cause != nil || len(s.Kafka.Problems) > 0 {
		t.Errorf("after it: %+v", s)
	}
	r.wantTopic(t, n)
}

func TestSpoolReplayEnds(t *testing.T) {
	r := newSpoolRig(t)
	began := make(chan struct{}, 1)
	r.cfg.Drain = func(ctx context.Context) emitter.Drained {
		if at, bounded := ctx.Deadline(); !bounded || time.Until(at) > drainTime {
			t.Errorf("it may last until %v", at)
		}
		began <- struct{}{}
		<-ctx.Done()
		return emitter.Drained{Left: 7, More: true}
	}
	// with its request
	gone, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(gone, http.MethodPost, "/api/v1/spool/replay", nil))
	}()
	<-began
	cancel()
	<-ended
	// with the worker
	r.Stop()
	if d := r.replay(t); d.Left != 7 || !d.More {
		t.Errorf("%+v", d)
	}
}

func TestSpoolIsRefused(t *testing.T) {
	r := newSpoolRig(t)
	for _, body := range []string{"[]", "1", "{", "\xff"} {
		r.wants(t, "POST", "/api/v1/spool/replay", body, 400, `"status":400`)
	}
	r.wants(t, "POST", "/api/v1/spool/replay", strings.Repeat(" ", maxBody+1), 413)
	if w := do(r, "POST", "/api/v1/spool/replay", "", "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("from another origin: %d", w.Code)
	}
	if w := do(r, "GET", "/api/v1/spool/replay", ""); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
	r.cfg.Token = func() (string, error) { return "s3cret", nil }
	for _, c := range []struct{ method, path string }{{"GET", "/api/v1/spool"}, {"POST", "/api/v1/spool/replay"}} {
		r.wants(t, c.method, c.path, "", 401)
		if w := do(r, c.method, c.path, "", "Authorization", "Bearer s3cret"); w.Code != 200 {
			t.Errorf("%s %s with the token: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	files := newRig(t) // writes files instead
	files.wants(t, "GET", "/api/v1/spool", "", 503, noSpool)
	files.wants(t, "POST", "/api/v1/spool/replay", "", 503, noSpool)
}
