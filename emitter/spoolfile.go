package emitter

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// lineState is what may be done with a line of the spool.
type lineState uint8

const (
	// lineHeld is not to be sent: the caller of its message has not been told
	// yet, or its outcome is just being found out.
	lineHeld lineState = iota
	linePending
	lineDone // acked or dead-lettered
)

// spoolFile is what is known of one file of the spool. Its fields but prog are
// guarded by the spool's mu; path, lock, seg and born do not change.
type spoolFile struct {
	path   string
	lock   *flock.Flock
	seg    *segment // nil: an earlier process wrote it
	born   time.Time
	size   int64 // bytes
	sealed bool  // nothing is added any more
	total  int   // lines, once it is sealed
	state  []lineState
	left   int // lines that are not done
	// tried: an earlier process gave the lines before it to Kafka. Those of them
	// that are not done may be in their topics.
	tried      int
	fresh, end int // the lines from fresh to before end may be done without being noted

	noting sync.Mutex // guards what follows; before mu
	prog   *os.File   // the notes
	gone   bool       // deleted or let go of
}

// doneSuffix ends the name of the file that says which lines are through.
const doneSuffix = ".done"

// lineRef is one line of the spool.
type lineRef struct {
	file *spoolFile
	n    int
	slot int32 // in the table of keys
}

// grow notes that the file has n lines in size bytes by now; new ones are held.
// Lines and bytes grow together, whoever of those that shared an fsync comes
// first: a replay must not read half a line, nor miss one that it counts.
func (f *spoolFile) grow(n int, size int64) {
	for len(f.state) < n {
		f.state = append(f.state, lineHeld)
		f.left++
	}
	f.size = max(f.size, size)
}

// finish marks a line as done.
func (f *spoolFile) finish(n int) {
	f.state[n] = lineDone
	f.left--
	if f.fresh == f.end {
		f.fresh, f.end = n, n+1
		return
	}
	f.fresh, f.end = min(f.fresh, n), max(f.end, n+1)
}

// through tells whether every line is done, and none will be added.
func (f *spoolFile) through() bool {
	return f.sealed && f.left == 0 && len(f.state) == f.total
}

// unsaved returns the runs of done lines that are not noted, and takes them for
// noted.
func (f *spoolFile) unsaved() (runs [][2]int) {
	for n := f.fresh; n < f.end; n++ {
		switch {
		case f.state[n] != lineDone:
		case len(runs) > 0 && runs[len(runs)-1][1] == n:
			runs[len(runs)-1][1]++
		default:
			runs = append(runs, [2]int{n, n + 1})
		}
	}
	f.fresh, f.end = 0, 0
	return runs
}

// save notes which lines are through, and that those before tried are about to
// be given to Kafka; 0 if none are. A note that cannot be written costs
// repeats after a crash, nothing else; so the replay goes on, and frees the disk.
func (s *Spool) save(f *spoolFile, tried int) {
	f.noting.Lock()
	defer f.noting.Unlock()
	if f.gone {
		return
	}
	s.mu.Lock()
	runs := f.unsaved()
	s.mu.Unlock()
	text := notes(runs, tried)
	if text == "" {
		return
	}
	if err := f.note(text); err != nil {
		s.cfg.Log.Warn("how far the replay is could not be written; after a crash some events would be sent again", "file", f.path, "cause", err)
	}
}

// notes are lines such as "done 0 500 d7204acf" and "sent 1000 0f7c7088": lines
// 0 to 499 are through, those before 1000 were given to Kafka; then the CRC-32C
// of what stands before it.
func notes(runs [][2]int, tried int) string {
	var b strings.Builder
	add := func(text string) { fmt.Fprintf(&b, "%s %08x\n", text, crc32.Checksum([]byte(text), castagnoli)) }
	for _, r := range runs {
		add(fmt.Sprintf("done %d %d", r[0], r[1]))
	}
	if tried > 0 {
		add(fmt.Sprintf("sent %d", tried))
	}
	return b.String()
}

// note appends to the notes and makes them durable. After an error the next
// begins with a new descriptor.
func (f *spoolFile) note(text string) (err error) {
	fresh := f.prog == nil
	if fresh {
		if f.prog, err = os.OpenFile(f.path+doneSuffix, os.O_CREATE|os.O_RDWR|os.O_APPEND, spoolMode); err != nil {
			return err
		}
		text = "\n" + text // whatever a crash has left there ends here
	}
	_, err = f.prog.WriteString(text)
	if err == nil {
		err = datasync(f.prog)
	}
	if err == nil && fresh {
		err = syncDir(filepath.Dir(f.path))
	}
	if err != nil {
		err = errors.Join(err, f.prog.Close())
		f.prog = nil
	}
	return err
}

// progress is what the notes of a file say. A note that is torn or damaged is
// left out: its lines are sent again.
type progress struct {
	runs  [][2]int
	tried int
}

func readProgress(path string) (progress, error) {
	var p progress
	b, err := os.ReadFile(path + doneSuffix)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return p, err
	}
	for line := range strings.Lines(string(b)) {
		text, sum, _ := cutLast(strings.TrimSuffix(line, "\n"))
		if !strings.HasSuffix(line, "\n") || sum != fmt.Sprintf("%08x", crc32.Checksum([]byte(text), castagnoli)) {
			continue
		}
		var from, to int
		if n, _ := fmt.Sscanf(text, "done %d %d", &from, &to); n == 2 {
			p.runs = append(p.runs, [2]int{from, to})
		} else if n, _ := fmt.Sscanf(text, "sent %d", &to); n == 1 {
			p.tried = max(p.tried, to)
		}
	}
	return p, nil
}

func cutLast(s string) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, ' '); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// lines tells of each line whether the notes call it done. A file of size bytes
// cannot have more lines.
func (p progress) lines(size int64) []bool {
	var done []bool
	for _, r := range p.runs {
		from, to := max(r[0], 0), int(min(int64(r[1]), size))
		for len(done) < to {
			done = append(done, false)
		}
		for n := from; n < to; n++ {
			done[n] = true
		}
	}
	return done
}

// remove deletes the file and its notes, in this order: notes without a file
// say nothing, a file without notes would be sent again.
func (f *spoolFile) remove() error {
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncDir(filepath.Dir(f.path)); err != nil {
		return err
	}
	f.close()
	_ = os.Remove(f.path + doneSuffix) // a later file of this name does not heed it
	return nil
}

// close lets go of the file.
func (f *spoolFile) close() {
	f.noting.Lock()
	defer f.noting.Unlock()
	f.gone = true
	if f.prog != nil {
		_ = f.prog.Close() // every note was fsynced
		f.prog = nil
	}
	_ = f.lock.Close() // the end of the process releases it too
}

// lines reads the first size bytes of the file, line by line from its
// beginning: their number and bytes without the line feed. yield may return
// false to end it.
func (f *spoolFile) lines(size int64, yield func(n int, line []byte) bool) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	in := bufio.NewReaderSize(io.LimitReader(file, size), 256<<10)
	for n := 0; ; n++ {
		line, _, err := readLine(in, maxSpoolLine)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return fmt.Errorf("reading %s: %w", f.path, err)
		}
		if !yield(n, line) {
			return nil
		}
	}
}

// maxSpoolLine bounds a line that is read from the spool: twice what base64
// makes of the largest message that Kafka's protocol can carry in a request of
// 100 MiB.
const maxSpoolLine = 256 << 20
