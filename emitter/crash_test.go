package emitter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"pgregory.net/rapid"
)

// crashed returns a copy of the directory, as another process finds it after
// this one has died.
func crashed(t testing.TB, dir string) string {
	t.Helper()
	to, err := os.MkdirTemp(t.TempDir(), "crashed-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return to
}

// sinkDrain sends from a spool into a list; refuse says which messages stay.
func sinkDrain(s *Spool, books *ledger, refuse func(*Message) bool, got *[]Message) *drain {
	return &drain{
		spool: s, limit: newLimit(-1), books: books,
		place:  func(m *Message) place { return place{m.Topic, len(m.Key) % 3} },
		closed: func(context.Context, string) (bool, bool) { return false, false },
		bury:   func([]byte, string) error { return nil },
		send: func(_ context.Context, lines []spooledLine) []Fate {
			fates := make([]Fate, len(lines))
			shut := map[place]bool{}
			for i, l := range lines {
				if shut[l.place] || refuse(&l.msg) {
					shut[l.place] = true
					continue
				}
				*got = append(*got, l.msg)
				fates[i] = FateAcked
				books.unspool(Receipt{Acked: 1})
				s.done([]lineRef{l.ref})
			}
			return fates
		},
	}
}

// A spool cut at every byte of its last line: the lines before it are there,
// the rest is kept aside, and what comes later is not damaged by it.
func TestAdoptTornAtEveryByte(t *testing.T) {
	var whole []byte
	for n := range 3 {
		m := msg("a.example", n)
		whole = appendSpoolLine(whole, &m, false)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := last; cut <= len(whole); cut++ {
		dir := t.TempDir()
		path := filepath.Join(dir, "spool_20251016T080000Z.jsonl")
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := newTestSpool(t, dir, nil)
		n, err := s.adopt()
		want := 2
		if cut == len(whole) {
			want = 3
		}
		if err != nil || n != want {
			t.Fatalf("cut at %d: %d lines, %v; want %d", cut, n, err, want)
		}
		torn, err := os.ReadFile(path + tornSuffix)
		if want == 2 && cut > last {
			if err != nil || !bytes.Equal(torn, whole[last:cut]) {
				t.Fatalf("cut at %d: set aside %q, %v", cut, torn, err)
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("cut at %d: set aside %q, %v", cut, torn, err)
		}
		var books ledger
		var got []Message
		books.recovered(n, 0)
		if through, err := sinkDrain(s, &books, func(*Message) bool { return false }, &got).pass(t.Context()); err != nil || through.Total() != want {
			t.Fatalf("cut at %d: %d sent, %v", cut, through, err)
		}
		if left, err := spoolFiles(dir); err != nil || len(left) > 0 {
			t.Fatalf("cut at %d: left %v, %v", cut, left, err)
		}
	}
}

// A process killed between deleting a file and deleting its notes leaves notes
// that nobody needs; those of files that are there stay.
func TestAdoptSweepsNotes(t *testing.T) {
	dir := t.TempDir()
	m := msg("a.example", 1)
	for name, text := range map[string]string{
		"spool_20251016T080000Z.jsonl": string(appendSpoolLine(nil, &m, false)), "spool_20251016T080000Z.jsonl.done": "",
		"spool_20251016T070000Z_2.jsonl.done": "0\n", "spool_mine.jsonl.done": "kept",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := newTestSpool(t, dir, nil).adopt(); n != 1 || err != nil {
		t.Fatalf("%d lines, %v", n, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{"spool_20251016T080000Z.jsonl", "spool_20251016T080000Z.jsonl.done", "spool_mine.jsonl.done"}
	if !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

// Whatever is done to a spool, in whatever order – lines put, disk faults,
// crashes with a torn end, replays that stop – no message that Put took is
// lost, the books balance, and the order of a partition is kept.
func TestSpoolLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := crashed(t, t.TempDir())
		disk := &faultyDisk{}
		open := func() *Spool {
			s, err := NewSpool(SpoolConfig{Dir: dir, SegmentBytes: 600, Now: fixedNow, Log: (&logBuffer{}).logger(), open: disk.open})
			if err != nil {
				rt.Fatal(err)
			}
			return s
		}
		s := open()
		defer func() { _ = s.Close() }()
		var (
			got    []Message
			books  ledger
			taken  []Message
			number int
		)
		steps := rapid.IntRange(1, 25).Draw(rt, "steps")
		for range steps {
			switch rapid.SampledFrom([]string{"put", "put", "put", "fault", "drain", "crash", "close"}).Draw(rt, "step") {
			case "put":
				var msgs []Message
				for range rapid.IntRange(1, 6).Draw(rt, "messages") {
					number++
					msgs = append(msgs, msg(strings.Repeat("k", 1+number%3), number))
				}
				if err := s.Put(msgs, false); err == nil {
					taken = append(taken, msgs...)
					books.recovered(len(msgs), 0)
				}
			case "fault":
				disk.syncs, disk.writes = rapid.IntRange(0, 3).Draw(rt, "syncs"), rapid.IntRange(0, 3).Draw(rt, "writes")
			case "drain":
				left := rapid.IntRange(0, 12).Draw(rt, "sent")
				d := sinkDrain(s, &books, func(*Message) bool { left--; return left < 0 }, &got)
				if _, err := d.pass(t.Context()); err != nil {
					rt.Fatal(err)
				}
			case "close", "crash":
				// A crash leaves the files as they are, and perhaps the begin of a line.
				to := crashed(t, dir)
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "torn") {
					if files, err := spoolFiles(to); err != nil {
						rt.Fatal(err)
					} else if len(files) > 0 {
						tear(rt, files[len(files)-1].path)
					}
				}
				dir = to
				disk.syncs, disk.writes = 0, 0
				s = open()
				n, err := s.adopt()
				if err != nil {
					rt.Fatal(err)
				}
				books = ledger{}
				books.recovered(n, 0)
			}
			if a := books.snapshot(); a.Accepted != a.Acked+a.Spooled+a.DeadLettered || a.Spooled != s.waiting.Load() {
				rt.Fatalf("the books do not balance: %+v, %d wait", a, s.waiting.Load())
			}
		}
		disk.syncs, disk.writes = 0, 0
		for s.waiting.Load() > 0 {
			d := sinkDrain(s, &books, func(*Message) bool { return false }, &got)
			if n, err := d.pass(t.Context()); err != nil || n.Total() == 0 {
				rt.Fatalf("%d of %d sent, %v", n, s.waiting.Load(), err)
			}
		}
		have := map[string]bool{}
		for _, m := range got {
			have[string(m.Value)] = true
		}
		for _, m := range taken {
			if !have[string(m.Value)] {
				rt.Fatalf("lost: %s", m.Value)
			}
		}
	})
}

// tear appends the begin of a line.
func tear(t *rapid.T, path string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"v":2,"topic":"torn`)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// crashEnv tells the child process of TestKilled where Kafka and its directory
// are.
const crashEnv = "TYPOSTREAM_TEST_CRASH"

// victim emits numbered events until it is killed, and prints the number of
// each that Emit took.
func victim(where string) {
	brokers, dir, _ := strings.Cut(where, " ")
	spool, err := NewSpool(SpoolConfig{Dir: dir, SegmentBytes: 4 << 10})
	if err != nil {
		panic(err)
	}
	k, err := NewKafka(KafkaConfig{
		Brokers: strings.Split(brokers, ","), Attempts: 1, Backoff: time.Millisecond, BreakerPeriod: 5 * time.Millisecond,
		TopicWait: time.Millisecond, RequestTimeout: 2 * time.Second, ReplayRate: -1,
	}, spool, nil)
	if err != nil {
		panic(err)
	}
	if err := k.Recover(); err != nil {
		panic(err)
	}
	go k.Run(context.Background())
	go func() { // keeps asking, as the worker does
		for range time.Tick(20 * time.Millisecond) {
			_ = k.Check(context.Background(), testTopic)
		}
	}()
	var n atomic.Int64
	var mu sync.Mutex
	for range 4 {
		go func() {
			for {
				m := msg(fmt.Sprintf("p%d-%d.example", os.Getpid(), n.Add(1)), 1)
				if got, err := k.Emit(context.Background(), m); err == nil && got.Total() == 1 {
					mu.Lock()
					fmt.Println(m.Key)
					mu.Unlock()
				}
			}
		}()
	}
	select {}
}

// A process that is killed (SIGKILL) again and again at any moment, while
// Kafka comes and goes, loses nothing that Emit took.
func TestKilled(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(3, testTopic))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	r := &rig{cluster: cluster, dir: t.TempDir()}
	taken := map[string]bool{}
	for round := range 12 {
		where := strings.Join(cluster.ListenAddrs(), ",") + " " + r.dir
		if round%3 == 1 {
			where = "127.0.0.1:1 " + r.dir // an outage, from its start to its death
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), crashEnv+"="+where)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := rand.IntN(200) + 1; n > 0 && lines.Scan(); n-- {
			taken[lines.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			if key := lines.Text(); strings.HasSuffix(key, ".example") { // the last may be cut
				taken[key] = true
			}
		}
		_ = cmd.Wait() // killed
	}
	r.log = &logBuffer{}
	r.plug = &plug{}
	k := r.connect(t, func(cfg *KafkaConfig) { cfg.BreakerPeriod = time.Millisecond })
	if err := k.Recover(); err != nil {
		t.Fatal(err)
	}
	found := k.Accounting().Spooled
	waitFor(t, func() bool { return k.Drain(t.Context()) == 0 })
	have := map[string]int{}
	extra := 0
	for _, rec := range r.read(t, testTopic) {
		if have[string(rec.Key)]++; have[string(rec.Key)] > 1 {
			extra++
		}
	}
	for key := range taken {
		if have[key] == 0 {
			t.Errorf("lost: %s", key)
		}
	}
	if left := r.spools(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	t.Logf("taken %d, in the topic %d, copies %d, found in the spool at the end %d", len(taken), len(have), extra, found)
	if len(taken) == 0 || extra > 12*drainLines {
		t.Errorf("%d taken, %d copies", len(taken), extra)
	}
}
