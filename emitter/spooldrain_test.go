package emitter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// run starts the replay of the rig's emitter until the test ends.
func (r *rig) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// inOrder checks that the numbers of each key rise in the topic.
func (r *rig) inOrder(t testing.TB) {
	t.Helper()
	last := map[string]int{}
	for _, rec := range r.read(t, testTopic) {
		var e struct{ N int }
		if err := json.Unmarshal(rec.Value, &e); err != nil {
			t.Fatal(err)
		}
		if before, seen := last[string(rec.Key)]; seen && e.N <= before {
			t.Fatalf("key %s: %d came after %d", rec.Key, e.N, before)
		}
		last[string(rec.Key)] = e.N
	}
}

// Two outages under load: the spool drains by itself, every event arrives once,
// and those of one key in the order in which they were emitted.
func TestSpoolDrainsByItself(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = 20 * time.Millisecond })
	r.run(t)
	var (
		mu   sync.Mutex
		want []Message
		wg   sync.WaitGroup
	)
	stop := make(chan struct{})
	for c := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				m := msg(fmt.Sprintf("k%d.example", (c*5+n%5)), n)
				if got, err := r.Emit(t.Context(), m); err != nil || got.Total() != 1 {
					t.Errorf("Emit = %+v, %v", got, err)
					return
				}
				mu.Lock()
				want = append(want, m)
				mu.Unlock()
				balanced(t, r.Accounting())
			}
		})
	}
	for range 2 {
		before := r.Accounting().Spooled
		waitFor(t, func() bool { return r.Accounting().Acked > 100 })
		r.plug.pull()
		waitFor(t, func() bool { return r.Accounting().Spooled > before+200 })
		r.plug.push()
		waitFor(t, func() bool { return r.Check(t.Context(), testTopic) == nil })
	}
	close(stop)
	wg.Wait()
	waitFor(t, func() bool { _ = r.Check(t.Context(), testTopic); return r.Accounting().Spooled == 0 })
	// An answer that was lost in the outage may have left a copy: those are
	// counted. Nothing is lost.
	have := map[string]int{}
	extra := 0
	for _, rec := range r.read(t, testTopic) {
		if have[string(rec.Key)+string(rec.Value)]++; have[string(rec.Key)+string(rec.Value)] > 1 {
			extra++
		}
	}
	for _, m := range want {
		if have[m.Key+string(m.Value)] == 0 {
			t.Errorf("lost: %s", m.Value)
		}
	}
	a := r.Accounting()
	if int64(extra) > a.Ambiguous || a.Acked != int64(len(want)) || a.Replayed == 0 {
		t.Errorf("%d copies; books %+v for %d events", extra, a, len(want))
	}
	if extra == 0 {
		r.inOrder(t)
	}
	waitFor(t, func() bool {
		left, err := filepath.Glob(filepath.Join(r.dir, "*"))
		return err == nil && len(left) == 0
	})
}

// While a partition is out only its events stay; a newer event of a key that
// waits goes behind it, others do not wait.
func TestOrderBehindTheSpool(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = time.Millisecond })
	if _, err := r.Emit(t.Context(), messages(40)...); err != nil {
		t.Fatal(err)
	}
	fault := r.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testTopic, Partitions: []int32{2}, Err: kerr.NotEnoughReplicas, Count: -1})
	var late []Message
	for n := range 40 {
		m := msg(fmt.Sprintf("name%d.example", n), 100+n)
		got, err := r.Emit(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if got.Spooled == 1 {
			late = append(late, m)
		}
	}
	if len(late) == 0 || len(late) == 40 {
		t.Fatalf("%d of 40 are in the spool", len(late))
	}
	if left := r.Drain(t.Context()); left != int64(len(late)) {
		t.Errorf("%d left, want %d", left, len(late))
	}
	fault.Remove()
	for i, m := range late {
		got, err := r.Emit(t.Context(), msg(m.Key, 200+i), msg(fmt.Sprintf("new%d.example", i), i))
		if err != nil || got.Spooled < 1 {
			t.Fatalf("behind %s: %+v, %v", m.Key, got, err)
		}
	}
	waitFor(t, func() bool { return r.Drain(t.Context()) == 0 })
	r.inOrder(t)
	if a := r.Accounting(); a.Acked != int64(80+2*len(late)) {
		t.Errorf("books: %+v", a)
	}
}

// A topic that is gone does not keep the others' events in the spool.
func TestMissingTopicAmongOthers(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = time.Millisecond; cfg.TopicWait = time.Millisecond })
	r.plug.pull()
	gone := Message{Topic: "gone", Key: "a.example", Value: []byte("{}")}
	if got, err := r.Emit(t.Context(), gone, msg("a.example", 1), Message{Topic: testTopic, Value: []byte("{}")}); err != nil || got.Spooled != 3 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if left := r.Drain(t.Context()); left != 3 {
		t.Errorf("%d left in the outage", left)
	}
	r.plug.push()
	waitFor(t, func() bool { _ = r.Check(t.Context(), testTopic); return r.Drain(t.Context()) == 1 })
	if err := r.cluster.CreateTopic("gone", 1, nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return r.Drain(t.Context()) == 0 })
	if n := len(r.read(t, "gone")); n != 1 {
		t.Errorf("%d records in the topic that came back", n)
	}
}

// What an earlier process left is counted and sent, from where its replay was.
func TestRecover(t *testing.T) {
	r := newRig(t, nil)
	spool := newTestSpool(t, r.dir, nil)
	want := messages(30)
	for _, m := range want {
		if err := spool.Put([]Message{m}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := spool.Put([]Message{msg("maybe.example", 1)}, true); err != nil {
		t.Fatal(err)
	}
	if err := spool.Close(); err != nil {
		t.Fatal(err)
	}
	path := r.spools(t)[0]
	// Ten lines are through, ten more were given to Kafka; a note is torn.
	text := notes([][2]int{{0, 10}}, 20) + strings.TrimSuffix(notes([][2]int{{10, 30}}, 0), "\n")
	if err := os.WriteFile(path+doneSuffix, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"v":2,"topic":"torn`)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	letter := DeadLetter{FailureType: FailureKafkaSend, Reason: "too large", Raw: []byte("{}"), Topic: testTopic}
	input := DeadLetter{FailureType: FailureJSONParse, Reason: "not JSON", Raw: []byte("x")}
	for _, l := range []DeadLetter{letter, input} {
		if err := r.dead.Put(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Recover(); err != nil {
		t.Fatal(err)
	}
	if a := r.Accounting(); a.Spooled != 21 || a.DeadLettered != 1 || a.Accepted != 22 {
		t.Errorf("books after the start: %+v", a)
	}
	if b, err := os.ReadFile(path + tornSuffix); err != nil || string(b) != `{"v":2,"topic":"torn` {
		t.Errorf("torn: %q, %v", b, err)
	}
	if _, err := Replay(t.Context(), path, nil, ReplayOptions{}); !isLive(err) {
		t.Errorf("replay of a file that the emitter holds: %v", err)
	}
	waitFor(t, func() bool { return r.Drain(t.Context()) == 0 })
	r.exactly(t, testTopic, append(want[10:], msg("maybe.example", 1)))
	if a := r.Accounting(); a.Acked != 21 || a.Spooled != 0 || a.Ambiguous != 11 {
		t.Errorf("books: %+v, want ten that were given to Kafka before and one unknown", a)
	}
	if left := r.spools(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Lines that damage made unreadable, or that are gone, are dead letters: the
// books balance and the others are sent.
func TestDamagedSpool(t *testing.T) {
	for name, damage := range map[string]struct {
		change     func([]byte) []byte
		dead, sent int
		adopted    bool // by the next process, which counts what it finds
	}{
		"a value":              {func(b []byte) []byte { return bytes.Replace(b, []byte(`"n":3`), []byte(`"n":4`), 1) }, 1, 9, false},
		"a line feed":          {func(b []byte) []byte { i := bytes.IndexByte(b, '\n'); b[i] = ' '; return b }, 2, 8, false},
		"a line feed too much": {func(b []byte) []byte { b[20] = '\n'; return b }, 2, 9, false},
		"cut":                  {func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }, 1, 9, false},
		"found at start":       {func(b []byte) []byte { return bytes.Replace(b, []byte(`"n":5`), []byte("\"n\x005"), 1) }, 1, 9, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			k := r.Kafka
			if damage.adopted {
				k = r.connect(t, nil)
			}
			r.plug.pull()
			if got, err := k.Emit(t.Context(), messages(10)...); err != nil || got.Spooled != 10 {
				t.Fatalf("Emit = %+v, %v", got, err)
			}
			r.plug.push()
			if err := k.spool.seal(); err != nil {
				t.Fatal(err)
			}
			path := r.spools(t)[0]
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, damage.change(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if damage.adopted {
				if err := k.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if k = r.Kafka; k.Recover() != nil {
					t.Fatal("Recover")
				}
			}
			k.brk.hasten()
			waitFor(t, func() bool { return k.Drain(t.Context()) == 0 })
			a := k.Accounting()
			balanced(t, a)
			if a.Acked != int64(damage.sent) || a.DeadLettered != int64(damage.dead) {
				t.Errorf("books: %+v, want %d acked and %d dead", a, damage.sent, damage.dead)
			}
			for _, l := range r.lines(t, "dead_letters.jsonl") {
				if !strings.Contains(l, FailureSpoolDamaged) {
					t.Errorf("letter %s", l)
				}
			}
			waitFor(t, func() bool { k.Drain(t.Context()); return len(r.spools(t)) == 0 })
		})
	}
}

// A replay that cannot note how far it is goes on: it makes room on the disk.
func TestNotesThatFail(t *testing.T) {
	r := newRig(t, nil, kfake.SeedTopics(1, testTopic))
	spool := newTestSpool(t, r.dir, nil)
	if err := errors.Join(spool.Put(messages(20), false), spool.Close()); err != nil {
		t.Fatal(err)
	}
	if err := r.Recover(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.spools(t)[0]+doneSuffix, 0o700); err != nil { // where the notes go
		t.Fatal(err)
	}
	if left := r.Drain(t.Context()); left != 0 || len(r.spools(t)) != 0 {
		t.Errorf("%d left, files %v", left, r.spools(t))
	}
	r.exactly(t, testTopic, messages(20))
	if r.log.count("how far the replay is could not be written") == 0 {
		t.Errorf("log:\n%s", r.log)
	}
}

// When the spool is full Emit waits until the replay has made room; without a
// replay it returns an error at once. Nothing is dropped.
func TestSpoolFull(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = 5 * time.Millisecond })
	r.spool.room.max = 2000
	r.plug.pull()
	var want []Message
	var full *FullError
	for n := 0; full == nil; n++ {
		m := msg(fmt.Sprintf("full%d.example", n), n)
		got, err := r.Emit(t.Context(), m)
		if err != nil {
			var ok bool
			if full, ok = errors.AsType[*FullError](err); !ok || got.Total() != 0 || full.Hint() == "" {
				t.Fatalf("Emit = %+v, %v", got, err)
			}
			break
		}
		want = append(want, m)
	}
	if h := r.Health(); !strings.Contains(strings.Join(h.Problems, "\n"), "spool: full") {
		t.Errorf("health: %+v", h)
	}
	if st := r.spool.Stats(); st.Bytes > 2000 || st.Records != int64(len(want)) || !st.Full {
		t.Errorf("stats: %+v", st)
	}
	r.run(t)
	out := make(chan error)
	blocked := msg("blocked.example", 1)
	waitFor(t, func() bool { r.spool.room.mu.Lock(); defer r.spool.room.mu.Unlock(); return r.spool.room.givers > 0 })
	go func() {
		_, err := r.Emit(t.Context(), blocked)
		out <- err
	}()
	waitFor(t, func() bool {
		r.spool.room.mu.Lock()
		defer r.spool.room.mu.Unlock()
		return len(r.spool.room.waiters) > 0
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Emit(ctx, msg("late.example", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Emit when cancelled: %v", err)
	}
	r.plug.push()
	waitFor(t, func() bool { _ = r.Check(t.Context(), testTopic); return r.spool.waiting.Load() == 0 })
	if err := <-out; err != nil {
		t.Errorf("Emit that waited: %v", err)
	}
	waitFor(t, func() bool { return r.Accounting().Spooled == 0 })
	r.exactly(t, testTopic, append(want, blocked))
}

// Files are closed by size and age, with names in their order whatever the
// clock does, and age is that of the oldest.
func TestSpoolRotation(t *testing.T) {
	dir := t.TempDir()
	now := fixedNow()
	s, err := NewSpool(SpoolConfig{Dir: dir, SegmentBytes: 300, SegmentAge: time.Minute, Now: func() time.Time { return now }, Log: (&logBuffer{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		t.Helper()
		if err := s.Put([]Message{msg("a.example", n)}, false); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 25 { // three lines reach 300 bytes
		put(n)
	}
	now = now.Add(-time.Hour) // the clock is set back
	for n := 25; n < 28; n++ {
		put(n)
	}
	now = fixedNow().Add(2 * time.Minute) // too old for one more line
	put(28)
	if st := s.Stats(); st.Files < 10 || st.Age != 2*time.Minute || st.Records != 29 {
		t.Errorf("stats: %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := spoolFiles(dir)
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	n := 0
	for _, f := range files {
		for _, m := range collect(t, f.path) {
			if want := msg("a.example", n); !bytes.Equal(m.Value, want.Value) {
				t.Fatalf("%s: %s where %s was due", filepath.Base(f.path), m.Value, want.Value)
			}
			n++
		}
	}
	if n != 29 {
		t.Errorf("%d lines, want 29", n)
	}
}

// The replay waits longer and longer while nothing comes of it, sends at once
// when it is woken, and keeps to its rate.
func TestReplayPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSpool(t, t.TempDir(), nil)
		if err := s.Put(messages(100), false); err != nil {
			t.Fatal(err)
		}
		var (
			mu     sync.Mutex
			asked  []time.Duration
			sent   []time.Duration
			open   bool
			begun  = time.Now()
			books  ledger
			ctx, c = context.WithCancel(t.Context())
		)
		books.recovered(100, 0)
		d := &drain{
			spool: s, limit: newLimit(10), books: &books,
			place: func(m *Message) place { return place{m.Topic, 0} },
			closed: func(context.Context, string) (bool, bool) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, time.Since(begun))
				return !open, !open
			},
			send: func(_ context.Context, lines []spooledLine) []Fate {
				mu.Lock()
				defer mu.Unlock()
				for _, l := range lines {
					sent = append(sent, time.Since(begun))
					s.done([]lineRef{l.ref})
				}
				return all(FateAcked, len(lines))
			},
		}
		done := make(chan struct{})
		go func() { defer close(done); d.loop(ctx, 10*time.Second, func() {}) }()
		time.Sleep(185 * time.Second)
		mu.Lock()
		if want := seconds(0, 10, 30, 70, 130); !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
		open = true
		mu.Unlock()
		s.wake()
		time.Sleep(time.Minute)
		mu.Lock()
		if len(sent) != 100 || sent[0] != 185*time.Second || sent[99]-sent[0] != 9900*time.Millisecond {
			t.Errorf("%d sent, from %v to %v; want 100 from 185 s, ten a second", len(sent), sent[0], sent[len(sent)-1])
		}
		mu.Unlock()
		c()
		<-done
	})
}

func seconds(ns ...int) (out []time.Duration) {
	for _, n := range ns {
		out = append(out, time.Duration(n)*time.Second)
	}
	return out
}

// Callers that share an fsync come back in any order. Whoever reads the spool meanwhile finds whole lines, as many as
// are counted: a replay would take half a line for damaged, and a line that is not there yet for lost.
func TestSpoolGrowsByWholeLines(t *testing.T) {
	s, err := NewSpool(SpoolConfig{Dir: t.TempDir(), SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var writers sync.WaitGroup
	for c := range 16 {
		writers.Go(func() {
			for n := range 200 {
				if err := s.Put([]Message{msg(fmt.Sprintf("k%d.example", c), n)}, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writers.Wait(); close(written) }()
	defer writers.Wait()
	for over := false; !over; {
		select {
		case <-written:
			over = true
		default:
		}
		s.mu.Lock()
		files := slices.Clone(s.files)
		sizes, counts := make([]int64, len(files)), make([]int, len(files))
		for i, f := range files {
			sizes[i], counts[i] = f.size, len(f.state)
		}
		s.mu.Unlock()
		for i, f := range files {
			got := 0
			err := f.lines(sizes[i], func(n int, line []byte) bool {
				if _, _, err := decodeSpooled(line); err != nil {
					t.Errorf("line %d of the %d bytes of %s: %v", n+1, sizes[i], f.path, err)
				}
				got++
				return true
			})
			if err != nil || got != counts[i] {
				t.Fatalf("%s: %d lines in %d bytes, %d are counted, %v", f.path, got, sizes[i], counts[i], err)
			}
		}
	}
	if st := s.Stats(); st.Records != 16*200 {
		t.Errorf("%d lines wait, want %d", st.Records, 16*200)
	}
}
