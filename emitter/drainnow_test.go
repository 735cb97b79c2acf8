package emitter

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// spoolWhileAway lets the rig's emitter spool n events, and brings Kafka back.
func (r *rig) spoolWhileAway(t *testing.T, n int) {
	t.Helper()
	r.plug.pull()
	if got, err := r.Emit(t.Context(), messages(n)...); err != nil || got.Spooled != n {
		t.Fatalf("while Kafka is away: %+v, %v", got, err)
	}
	waitFor(t, func() bool { return r.SpoolState().Held == 0 }) // a caller is told a moment before
	r.plug.push()
}

// wantOnce checks that the topic has each of the first n messages once.
func (r *rig) wantOnce(t *testing.T, n int) {
	t.Helper()
	have := map[string]int{}
	for _, rec := range r.read(t, testTopic) {
		have[string(rec.Key)+string(rec.Value)]++
	}
	for _, m := range messages(n) {
		if times := have[m.Key+string(m.Value)]; times != 1 {
			t.Errorf("%s is there %d times", m.Value, times)
		}
	}
	if len(have) != n {
		t.Errorf("the topic has %d events, want %d", len(have), n)
	}
}

// Nobody waits for the breaker, which rests for an hour, nor for Run.
func TestDrainNow(t *testing.T) {
	const n = 1200
	r := newRig(t, nil)
	r.run(t)
	r.spoolWhileAway(t, n)
	if left := r.Drain(t.Context()); left != n {
		t.Errorf("%d are left by who waits for the breaker", left)
	}
	if got := r.DrainNow(t.Context()); got != (Drained{Sent: n}) {
		t.Errorf("%+v", got)
	}
	if got := r.DrainNow(t.Context()); got != (Drained{}) {
		t.Errorf("of an empty spool: %+v", got)
	}
	if a := r.Accounting(); a.Replayed != n || a.Acked != n || a.Spooled != 0 {
		t.Errorf("%+v", a)
	}
	r.wantOnce(t, n)
	r.inOrder(t)
}

func TestDrainNowWhileKafkaIsAway(t *testing.T) {
	r := newRig(t, nil)
	r.spoolWhileAway(t, 5)
	r.plug.pull()
	if got := r.DrainNow(t.Context()); got != (Drained{Left: 5}) {
		t.Errorf("%+v", got)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if got := r.DrainNow(over); got != (Drained{Left: 5, More: true}) {
		t.Errorf("without time: %+v", got)
	}
	// Whoever is at work on the spool has it to himself, and others do not wait for ever.
	if err := r.spool.passing.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if got := r.DrainNow(short); got != (Drained{Left: 5, More: true}) {
		t.Errorf("beside another: %+v", got)
	}
	r.spool.passing.Release(1)
}

// Several at once, beside Run: each line is sent by one of them.
func TestDrainNowBesideOthers(t *testing.T) {
	const n = 3000
	r := newRig(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = time.Millisecond; cfg.ReplayRate = -1 })
	r.spoolWhileAway(t, n)
	r.run(t)
	var sent atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for r.Accounting().Spooled > 0 && t.Context().Err() == nil {
				got := r.DrainNow(t.Context())
				sent.Add(int64(got.Sent))
				balanced(t, r.Accounting())
			}
		})
	}
	all.Wait()
	if a := r.Accounting(); a.Acked != n || a.Replayed != n || a.Spooled != 0 || sent.Load() > n {
		t.Errorf("%+v; %d were sent by those who asked", a, sent.Load())
	}
	r.wantOnce(t, n)
}

// A batch whose answer was lost is asked about, and what waits behind it is sent.
func TestDrainNowFindsOut(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Attempts = 1 }, kfake.SeedTopics(1, testTopic))
	lost := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: -1})
	for i, m := range messages(3) { // the first is held, the others wait behind it
		if got, err := r.Emit(t.Context(), m); err != nil || got.Spooled != 1 {
			t.Fatalf("event %d: %+v, %v", i, got, err)
		}
	}
	waitFor(t, func() bool { return r.SpoolState().Held == 1 })
	if st := r.SpoolState(); st.Records != 3 || len(st.Segments) != 1 || st.Segments[0].Held != 1 || st.Segments[0].Waiting != 3 || !st.Segments[0].Open {
		t.Errorf("%+v", st)
	}
	lost.Remove()
	if got := r.DrainNow(t.Context()); got != (Drained{Sent: 2}) {
		t.Errorf("%+v; %+v", got, r.Accounting())
	}
	r.wantOnce(t, 3)
}

// A lane that begins to wait after the breakers were told is not forgotten.
func TestFoundOutAsks(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Attempts = 1 }, kfake.SeedTopics(1, testTopic))
	lost := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: -1})
	if got, err := r.Emit(t.Context(), messages(1)...); err != nil || got.Spooled != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	lost.Remove()
	l := r.topic(testTopic).all()[0]
	waitFor(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.waiting })
	for _, b := range l.gate() { // as hasten does, when the lane does not wait yet
		b.hasten()
	}
	if !r.foundOut(t.Context(), false) || r.SpoolState().Records != 0 {
		t.Errorf("%+v", r.SpoolState())
	}
	r.wantOnce(t, 1)
}

func TestSpoolState(t *testing.T) {
	r := newRig(t, nil)
	if st := r.SpoolState(); st.Records != 0 || len(st.Segments) != 0 || st.Limit != 1<<30 {
		t.Errorf("%+v", st)
	}
	r.spoolWhileAway(t, 4)
	path := r.spools(t)[0]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	st := r.SpoolState()
	if st.Records != 4 || st.Held != 0 || st.Bytes != int64(len(text)) || st.Files != 1 || st.Damaged != 0 {
		t.Errorf("%+v", st)
	}
	if f := st.Segments[0]; f.File != filepath.Base(path) || f.Bytes != st.Bytes || f.Records != 4 || f.Waiting != 4 || !f.Open || time.Since(f.Begun) > time.Hour {
		t.Errorf("%+v", f)
	}
	text[bytes.IndexByte(text, '\n')-3] ^= 1 // in the value of the first line
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := r.DrainNow(t.Context()); got != (Drained{Sent: 3, DeadLettered: 1}) {
		t.Errorf("%+v", got)
	}
	if st := r.SpoolState(); st.Damaged != 1 || st.Records != 0 || len(st.Segments) != 0 {
		t.Errorf("%+v", st)
	}
	none, err := NewKafka(KafkaConfig{Brokers: r.cluster.ListenAddrs()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, st := none.DrainNow(t.Context()), none.SpoolState(); got != (Drained{}) || len(st.Segments) != 0 {
		t.Errorf("without a spool: %+v, %+v", got, st)
	}
	if err := none.Close(t.Context()); err != nil {
		t.Error(fmt.Errorf("closing: %w", err))
	}
}
