package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), text)
}

// fedQueue is a queue, a file of seeds and what brings the one into the other.
type fedQueue struct {
	*queueFile
	t    *testing.T
	path string
	feed *CSVFeed
	log  *lockedBuffer
	stop func()
}

func feedQueue(t *testing.T, limit int, file string) *fedQueue {
	t.Helper()
	f := &fedQueue{queueFile: newQueue(t, limit), t: t, path: filepath.Join(t.TempDir(), "seeds.csv")}
	f.write(file)
	f.begin()
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *fedQueue) begin() {
	f.log = &lockedBuffer{}
	f.feed = NewCSVFeed(CSVFeedConfig{
		Path: f.path, AtStart: true, Queue: f.QueueSource, Rows: f.file.Rows(), Metrics: NewMetrics(), Log: slog.New(slog.NewTextHandler(f.log, nil)),
	})
	ctx, cancel := context.WithCancel(f.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.feed.Run(ctx, nil) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
	})
}

func (f *fedQueue) write(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// read waits until the log has so many readings and returns what is queued.
func (f *fedQueue) read(text string, n int) []string {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%d times %q", n, text), func() bool { return f.log.count(text) == n })
	return f.order(f.t)
}

func TestCSVFeed(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := feedQueue(t, 100, "cse_id,domain\nA,a.com\nB,co.uk\nC,c.com\n")
	defer f.stop()
	const done = `msg="seeds read"`
	if got := f.read(done, 1); !slices.Equal(got, []string{"a.com", "c.com"}) || f.log.count("line=3") != 1 || f.log.count("seeds=2 queued=2 gone=0 bad_rows=1") != 1 {
		t.Errorf("%v, log %s", got, &f.log.text)
	}
	// a new row, another brand, and one that is gone
	f.write("cse_id,domain\nA2,a.com\nC,c.com\nD,d.com\n")
	f.feed.Reload()
	if got := f.read(done, 2); !slices.Equal(got, []string{"a.com", "d.com"}) || f.log.count("seeds=3 queued=2 gone=1") != 1 {
		t.Errorf("%v, log %s", got, &f.log.text)
	}
	f.feed.Reload()
	if got := f.read(done, 3); len(got) != 0 {
		t.Errorf("queued %v though nothing changed", got)
	}
	for cause, damage := range map[string]func() error{
		"line 2 has no end":                 func() error { return os.WriteFile(f.path, []byte("C,c.com\nD,d.co"), 0o600) },
		"it holds no domain":                func() error { return os.WriteFile(f.path, []byte("cse_id,domain\n"), 0o600) },
		"no such file":                      func() error { return os.Remove(f.path) },
		"line 3 has no end, so it may be c": func() error { return os.WriteFile(f.path, []byte("C,c.com\nD,d.com\nE,"), 0o600) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		refused := f.log.count("nothing changes")
		f.feed.Reload()
		if got := f.read("nothing changes", refused+1); len(got) != 0 || f.log.count(cause) == 0 {
			t.Errorf("%s: %v, log %s", cause, got, &f.log.text)
		}
	}
	// what was there before may end without a line feed
	f.write("cse_id,domain\nA2,a.com\nE,e.com\nD,d.com")
	f.feed.Reload()
	if got := f.read(done, 4); !slices.Equal(got, []string{"e.com"}) || f.log.count("seeds=3 queued=1 gone=1") != 1 {
		t.Errorf("%v, log %s", got, &f.log.text)
	}
}

// A file with more rows than the queue has room for is read as room comes, and
// a process that is killed meanwhile begins it again without queueing twice what
// waits.
func TestCSVFeedIsLargerThanTheQueue(t *testing.T) {
	var file strings.Builder
	want := map[string]bool{}
	for i := range 700 {
		fmt.Fprintf(&file, "A,row%d.com\n", i)
		want[fmt.Sprintf("row%d.com", i)] = true
	}
	f := feedQueue(t, 20, file.String())
	eventually(t, "the queue is full", func() bool { return f.Stats().Waiting() == 18 })
	scans := map[string]string{}
	d, _ := f.next()
	scans[d.Seed.FQDN] = d.Seed.Scan
	d.Done(nil)
	d, _ = f.next() // in work
	scans[d.Seed.FQDN] = d.Seed.Scan
	f.stop()
	if err := errors.Join(f.file.Close(), f.open(20)); err != nil {
		t.Fatal(err)
	}
	f.begin()
	d, _ = f.next()
	if d.Seed.FQDN != "row1.com" || d.Seed.Scan != scans["row1.com"] || d.Seed.Origin != FromCSV {
		t.Errorf("after the kill %+v, want row1.com with the scan %s", d.Seed, scans["row1.com"])
	}
	d.Done(nil)
	seen := map[string]int{}
	eventually(t, "the file is at its end", func() bool {
		for _, name := range f.order(t) {
			seen[name]++
		}
		return f.log.count("seeds=700") == 1 && f.Stats().Waiting() == 0
	})
	for name := range want {
		if seen[name] == 0 || seen[name] > 2 {
			t.Errorf("%s was handed out %d times", name, seen[name])
		}
	}
}
