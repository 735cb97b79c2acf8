package emitter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// faultyDisk fails as it is told.
type faultyDisk struct {
	mu       sync.Mutex
	syncs    int  // fsyncs that fail, from now
	writes   int  // writes that stop half way with ENOSPC, from now
	noCut    bool // Truncate fails too
	openings []string
}

func (d *faultyDisk) open(path string, flag int, perm fs.FileMode) (diskFile, error) {
	f, err := openOS(path, flag, perm)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.openings = append(d.openings, filepath.Base(path))
	return &faultyFile{diskFile: f, d: d}, nil
}

func (d *faultyDisk) due(n *int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

type faultyFile struct {
	diskFile
	d *faultyDisk
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.d.due(&f.d.writes) {
		n, _ := f.diskFile.Write(p[:len(p)/2])
		return n, syscall.ENOSPC
	}
	return f.diskFile.Write(p)
}

func (f *faultyFile) Sync() error {
	if f.d.due(&f.d.syncs) {
		return syscall.EIO
	}
	return f.diskFile.Sync()
}

func (f *faultyFile) Truncate(n int64) error {
	if f.d.noCut {
		return syscall.EIO
	}
	return f.diskFile.Truncate(n)
}

func fixedNow() time.Time { return time.Date(2025, 10, 16, 8, 0, 0, 0, time.UTC) }

func newTestSpool(t testing.TB, dir string, open openFunc) *Spool {
	t.Helper()
	s, err := NewSpool(SpoolConfig{Dir: dir, Now: fixedNow, Log: (&logBuffer{}).logger(), open: open})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSpoolFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := newTestSpool(t, dir, nil)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there before the first message: %v", err)
	}
	if err := s.Put([]Message{msg("a.example", 1)}, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Put([]Message{msg("b.example", 2)}, true); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "spool_20251016T080000Z.jsonl")
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("spool: %v, %v", st, err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":2,"topic":"domains.candidates","key":"a.example","unknown":false,"crc32c":2527930167,"value":{"canonical_fqdn":"a.example","n":1}}
{"v":2,"topic":"domains.candidates","key":"b.example","unknown":true,"crc32c":2186758525,"value":{"canonical_fqdn":"b.example","n":2}}
`
	if string(b) != want {
		t.Errorf("spool:\n%swant:\n%s", b, want)
	}
	// A second spool of the same second takes another name.
	other := newTestSpool(t, dir, nil)
	if err := other.Put([]Message{msg("c.example", 3)}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "spool_20251016T080000Z_2.jsonl")); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Put([]Message{msg("d.example", 4)}, false); !errors.Is(err, ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
}

// Another process adopts what is left of a spool. When it finds a new file
// before that is locked it takes it for an empty one, and removes it: the next
// name does as well.
func TestSpoolFileAdoptedAtBirth(t *testing.T) {
	taken := 0
	s := newTestSpool(t, t.TempDir(), func(path string, flag int, perm fs.FileMode) (diskFile, error) {
		f, err := openOS(path, flag, perm)
		if err == nil && taken == 0 {
			taken++
			err = os.Remove(path)
		}
		return f, err
	})
	if err := s.Put([]Message{msg("a.example", 1)}, false); err != nil {
		t.Fatal(err)
	}
	if taken != 1 {
		t.Errorf("%d files taken", taken)
	}
}

func TestSpoolGroupCommit(t *testing.T) {
	dir := t.TempDir()
	s := newTestSpool(t, dir, nil)
	var wg sync.WaitGroup
	for c := range 50 {
		wg.Go(func() {
			for n := range 20 {
				if err := s.Put([]Message{msg(fmt.Sprintf("c%d.example", c), n)}, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := collect(t, filepath.Join(dir, "spool_20251016T080000Z.jsonl"))
	next := map[string]int{}
	for _, m := range got {
		var e struct{ N int }
		if err := json.Unmarshal(m.Value, &e); err != nil || e.N != next[m.Key] {
			t.Fatalf("%s: %s where %d was due", m.Key, m.Value, next[m.Key])
		}
		next[m.Key]++
	}
	if len(got) != 1000 {
		t.Errorf("%d lines, want 1000", len(got))
	}
}

// collect reads a file's messages through Replay without delivering them.
func collect(t testing.TB, path string) []Message {
	t.Helper()
	var got []Message
	copied := filepath.Join(t.TempDir(), "copy.jsonl")
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(copied, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	rep, err := Replay(t.Context(), copied, func(_ context.Context, msgs ...Message) ([]Fate, error) {
		got = append(got, msgs...)
		return all(FateAcked, len(msgs)), nil
	}, ReplayOptions{Topic: testTopic})
	if err != nil || rep.BadCount != 0 {
		t.Fatalf("%s: %+v, %v", path, rep, err)
	}
	return got
}

// After a write or fsync that failed the lines are in a new file, once.
func TestSpoolRotatesAfterAFault(t *testing.T) {
	for name, disk := range map[string]*faultyDisk{
		"fsync":                  {},
		"write":                  {},
		"write, and no cut back": {noCut: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := newTestSpool(t, dir, disk.open)
			if err := s.Put([]Message{msg("a.example", 1)}, false); err != nil {
				t.Fatal(err)
			}
			if name == "fsync" {
				disk.syncs = 1
			} else {
				disk.writes = 1
			}
			for n := 2; n < 4; n++ {
				if err := s.Put([]Message{msg("a.example", n)}, false); err != nil {
					t.Fatal(err)
				}
			}
			if len(disk.openings) != 2 {
				t.Fatalf("files: %v, want two", disk.openings)
			}
			first, err := os.ReadFile(filepath.Join(dir, disk.openings[0]))
			if err != nil {
				t.Fatal(err)
			}
			if torn := !bytes.HasSuffix(first, []byte("\n")); torn != disk.noCut {
				t.Errorf("the first file: %q", first)
			}
			got := append(collect(t, filepath.Join(dir, disk.openings[0])), collect(t, filepath.Join(dir, disk.openings[1]))...)
			if len(got) != 3 || string(got[0].Value) != string(msg("a.example", 1).Value) || string(got[2].Value) != string(msg("a.example", 3).Value) {
				t.Errorf("spooled: %q", got)
			}
		})
	}
}

// With the disk full nothing is reported durable, no empty file is left, and
// what comes when there is space again is kept.
func TestSpoolDiskFull(t *testing.T) {
	disk := &faultyDisk{writes: 4}
	dir := t.TempDir()
	s := newTestSpool(t, dir, disk.open)
	for range 2 {
		if err := s.Put([]Message{msg("a.example", 1)}, false); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Put on a full disk: %v", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := s.Put([]Message{msg("a.example", 2)}, false); err != nil {
		t.Error(err)
	}
}

// Neither Kafka nor the disk takes messages: Emit says so.
func TestEmitWithABrokenSpool(t *testing.T) {
	r := newRig(t, nil)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.spool = newTestSpool(t, file, nil) // a file where a directory must be
	r.plug.pull()
	got, err := r.Emit(t.Context(), messages(5)...)
	ue, ok := errors.AsType[*UndeliveredError](err)
	if !ok || ue.Count != 5 || got.Total() != 0 || !strings.Contains(ue.Hint(), "OUTPUT_DIR") {
		t.Errorf("Emit = %+v, %v", got, err)
	}
	if _, ok := errors.AsType[*DirError](err); !ok {
		t.Errorf("Emit: %v, want the directory named", err)
	}
	if a := r.Accounting(); a.Returned != 5 || a.Accepted != 0 {
		t.Errorf("books: %+v", a)
	}
}

func TestCheckDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	if err := CheckDir(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := CheckDir(filepath.Join(file, "out"))
	if de, ok := errors.AsType[*DirError](err); !ok || de.Hint() == "" {
		t.Errorf("CheckDir below a file: %v", err)
	}
}

// Any message survives the spool byte for byte.
func TestSpoolLineRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Message{
			Topic: rapid.StringMatching(`[A-Za-z0-9_-]{1,20}`).Draw(t, "topic"),
			Key:   rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "key"),
			Value: rapid.OneOf(
				rapid.SliceOfN(rapid.Byte(), 1, 50),
				rapid.Map(rapid.String(), func(s string) []byte { b, _ := json.Marshal(map[string]string{"x": s}); return b }),
				rapid.SampledFrom([][]byte{[]byte("null"), []byte("{}\n"), []byte(" {}"), []byte("{\n}"), []byte("\"\xff\""), []byte("1e400"), []byte(`{"a":1,"a":2}`)}),
			).Draw(t, "value"),
		}
		unknown := rapid.Bool().Draw(t, "unknown")
		line := appendSpoolLine(nil, &m, unknown)
		if bytes.IndexByte(line, '\n') != len(line)-1 || !json.Valid(line) {
			t.Fatalf("no line of JSON: %q", line)
		}
		got, kind, doubt, err := decodeLine(line[:len(line)-1], replayTopics{})
		if err != nil || kind != spoolEvent || doubt != unknown || got.Topic != m.Topic || got.Key != m.Key || !bytes.Equal(got.Value, m.Value) {
			t.Fatalf("%q came back as %q (%v, %v)", m, got, kind, err)
		}
		if k, ok := lineKey(line[:len(line)-1]); !ok || k.Topic != m.Topic || k.Key != m.Key {
			t.Fatalf("key %q of %q, %v", k, line, ok)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	dir := t.TempDir()
	open := func() *DeadLetters {
		d, err := NewDeadLetters(DeadLettersConfig{Dir: dir, Now: fixedNow, Log: (&logBuffer{}).logger()})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a, b := open(), open() // as two processes
	path := filepath.Join(dir, "dead_letters.jsonl")
	partition, offset := 3, int64(41)
	raw := []byte("\xff\x00" + strings.Repeat("é", 600))
	err := a.Put(t.Context(), DeadLetter{
		FailureType: FailureJSONParse, Reason: "not JSON", Raw: raw, Topic: "raw.hosts", Key: "\xfe",
		Partition: &partition, Offset: &offset,
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(`{"torn by a cra`)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			d := a
			if i%2 == 0 {
				d = b
			}
			if err := d.Put(t.Context(), DeadLetter{FailureType: FailureMissingDomain, Reason: "no domain", Raw: []byte("{}")}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, d := range []*DeadLetters{a, b, a} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := a.Count() + b.Count(); n != 41 {
		t.Errorf("count %d, want 41", n)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", st, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if len(lines) != 42 || lines[1] != `{"torn by a cra` {
		t.Fatalf("%d lines, the second %q", len(lines), lines[1])
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Raw []byte `json:"raw_base64"`
		Key []byte `json:"key_base64"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &back); err != nil || !bytes.Equal(back.Raw, raw) || string(back.Key) != "\xfe" {
		t.Errorf("bytes that came back: %q, %v", back, err)
	}
	if s, _ := got["raw_value"].(string); len([]rune(s)) != 500 {
		t.Errorf("raw_value has %d characters, want 500", len([]rune(s)))
	}
	delete(got, "raw_value")
	delete(got, "raw_base64")
	if s := fmt.Sprint(got); s != "map[error:not JSON failure_type:json_parse_error key_base64:/g== offset:41 partition:3 schema_version:v1 topic:raw.hosts ts:1.7606016e+12]" {
		t.Errorf("letter: %s", s)
	}
	for i, l := range lines[2:] {
		if !json.Valid([]byte(l)) {
			t.Errorf("line %d: %q", i+3, l)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Put(ctx, DeadLetter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put when cancelled: %v", err)
	}
}

// A dead letter that cannot be written goes to the spool.
func TestBrokenDeadLetters(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Compression = "none"; cfg.BatchBytes = 2 << 20; cfg.QueueBytes = 8 << 20 })
	disk := &faultyDisk{syncs: 2}
	dead, err := NewDeadLetters(DeadLettersConfig{Dir: r.dir, Log: r.cfg.Log, open: disk.open})
	if err != nil {
		t.Fatal(err)
	}
	r.dead = dead
	big := Message{Topic: testTopic, Key: "big.example", Value: []byte(`"` + strings.Repeat("x", 2<<20) + `"`)}
	if got, err := r.Emit(t.Context(), big); err != nil || got != (Receipt{Spooled: 1}) {
		t.Errorf("Emit = %+v, %v", got, err)
	}
	big.Key = "other.example" // the first one's key is in the spool now
	if got, err := r.Emit(t.Context(), big); err != nil || got != (Receipt{DeadLettered: 1}) {
		t.Errorf("Emit with the disk mended = %+v, %v", got, err)
	}
	if n := len(r.lines(t, "dead_letters.jsonl")); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}

func TestFilesNames(t *testing.T) {
	dir := t.TempDir()
	f, err := NewFiles(FilesConfig{Dir: dir, Now: fixedNow, Name: func(topic string, at time.Time) string {
		if topic == testTopic {
			return "dnstwist_variants_" + at.Format("20060102T150405Z") + ".jsonl"
		}
		return topic + ".jsonl"
	}})
	if err != nil {
		t.Fatal(err)
	}
	other := msg("b.example", 2)
	other.Topic = "phish.urls.inactive"
	if got, err := f.Emit(t.Context(), msg("a.example", 1), other, msg("c.example", 3)); err != nil || got.Acked != 3 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"dnstwist_variants_20251016T080000Z.jsonl": "{\"canonical_fqdn\":\"a.example\",\"n\":1}\n{\"canonical_fqdn\":\"c.example\",\"n\":3}\n",
		"phish.urls.inactive.jsonl":                "{\"canonical_fqdn\":\"b.example\",\"n\":2}\n",
	} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	if _, err := f.Emit(t.Context(), Message{Topic: "t", Value: []byte("{\n}")}); err == nil {
		t.Error("a value of two lines was taken")
	}
}

// One topic's disk fails: the receipt tells what is durable nevertheless.
func TestFilesFault(t *testing.T) {
	disk := &faultyDisk{}
	f, err := NewFiles(FilesConfig{Dir: t.TempDir(), open: disk.open, Log: (&logBuffer{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close(t.Context())
	disk.syncs = 2 // both tries of the first topic
	other := msg("b.example", 2)
	other.Topic = "phish.urls.inactive"
	got, err := f.Emit(t.Context(), msg("a.example", 1), other)
	ue, ok := errors.AsType[*UndeliveredError](err)
	if !ok || ue.Count != 1 || got != (Receipt{Acked: 1}) || !errors.Is(err, syscall.EIO) {
		t.Errorf("Emit = %+v, %v", got, err)
	}
	if a := f.Accounting(); a.Accepted != 1 || a.Acked != 1 || a.Returned != 1 || a.InFlight != 0 {
		t.Errorf("books: %+v", a)
	}
}

func BenchmarkSpool(b *testing.B) {
	for _, callers := range []int{1, 1024} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := newTestSpool(b, b.TempDir(), nil)
			m := msg("name.example", 1)
			m.Value = []byte(`{"pad":"` + strings.Repeat("x", 580) + `"}`)
			var wg sync.WaitGroup
			next := make(chan struct{})
			for range callers {
				wg.Go(func() {
					for range next {
						if err := s.Put([]Message{m}, false); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
