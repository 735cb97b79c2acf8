package emitter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// EmitFunc is the Emit of the emitter that a replay sends through. It must not
// spool: a Kafka without a spool.
type EmitFunc func(ctx context.Context, msgs ...Message) (Receipt, error)

// ReplayOptions says where saved events go and how much is sent at once.
type ReplayOptions struct {
	// Topic is for bare events. Spool lines name their own topic.
	Topic string
	// CrawlTopic is for bare records of schema v1 with a url, InactiveTopic
	// for those with a status. Empty: such lines are bad lines.
	CrawlTopic, InactiveTopic string
	// BatchLines is how many lines are sent at once. Default 500; a batch also
	// closes at 4 MiB.
	BatchLines int
	// MaxLine bounds a line in bytes; a longer one is a bad line. Default
	// 16 MiB.
	MaxLine int
}

// BadLine is a line that was not sent.
type BadLine struct {
	Line   int // from 1
	Reason string
}

// maxBadLines bounds ReplayReport.Bad; BadCount counts on.
const maxBadLines = 100

// ReplayReport says what became of a file.
type ReplayReport struct {
	Path         string
	Lines        int // without empty ones
	Sent         int // acknowledged
	DeadLettered int
	BadCount     int
	Bad          []BadLine // the first 100
	// Torn says that the last line was cut off by a crash. Nobody was told
	// that it was durable, so it is no loss; it was not sent.
	Torn bool
	// RenamedTo is the new name of a spool whose every line was delivered.
	RenamedTo string
}

// LiveSpoolError reports a file that another process, or this one, is writing
// to or replaying.
type LiveSpoolError struct{ Path string }

func (e *LiveSpoolError) Error() string { return e.Path + " is in use" }

// Hint says what to do, for people.
func (e *LiveSpoolError) Hint() string {
	return "stop the worker that writes to it, or wait for the other replay"
}

// NotDeliveredError reports a replay that Kafka did not let finish. The file
// is as it was; what is counted as sent will be sent again by the next replay.
type NotDeliveredError struct {
	Path  string
	Line  int // the first line that is not known to be delivered
	Cause error
}

func (e *NotDeliveredError) Error() string {
	return fmt.Sprintf("%s: stopped before line %d: %v", e.Path, e.Line, e.Cause)
}

func (e *NotDeliveredError) Unwrap() error { return e.Cause }

// Hint says what to do, for people.
func (e *NotDeliveredError) Hint() string {
	return "the file was kept: bring Kafka back and replay it again"
}

// Replay sends each message of a spool or of a file of saved events, key and
// value byte for byte as they were, in their order. Lines that are no events
// are counted and left out. A spool of which every whole line was acked or
// dead-lettered is renamed to <name>.replayed, so that *.jsonl no longer
// matches it; every other file stays as it is. A file that is being written to
// is refused with a *LiveSpoolError.
func Replay(ctx context.Context, path string, emit EmitFunc, opts ReplayOptions) (ReplayReport, error) {
	def(&opts.BatchLines, 500)
	def(&opts.MaxLine, 16<<20)
	rep := ReplayReport{Path: path}
	f, err := os.Open(path)
	if err != nil {
		return rep, err
	}
	defer f.Close()
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	ok, err := lock.TryLock()
	if err != nil {
		return rep, fmt.Errorf("locking %s: %w", path, err)
	}
	if !ok {
		return rep, &LiveSpoolError{path}
	}
	defer lock.Close()
	r := &replay{
		rep: &rep, emit: emit, opts: opts, allSpooled: true,
		topics: replayTopics{opts.Topic, opts.CrawlTopic, opts.InactiveTopic},
	}
	if err := r.run(ctx, bufio.NewReaderSize(f, 64<<10)); err != nil {
		return rep, err
	}
	if r.allSpooled && rep.BadCount == 0 && rep.Sent+rep.DeadLettered > 0 {
		rep.RenamedTo, err = retire(path)
	}
	return rep, err
}

// replay is one file on its way.
type replay struct {
	rep    *ReplayReport
	emit   EmitFunc
	opts   ReplayOptions
	topics replayTopics

	line       int // number of the line last read
	first      int // number of the batch's first line
	batch      []Message
	bytes      int
	allSpooled bool
}

// batchBytes closes a replay's batch.
const batchBytes = 4 << 20

func (r *replay) run(ctx context.Context, in *bufio.Reader) error {
	for {
		line, whole, err := readLine(in, r.opts.MaxLine)
		if errors.Is(err, io.EOF) {
			return r.flush(ctx)
		}
		r.line++
		if err != nil && !errors.Is(err, errLongLine) {
			return fmt.Errorf("reading %s: %w", r.rep.Path, err)
		}
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		r.rep.Lines++
		if err != nil {
			r.bad(err)
			continue
		}
		r.take(line, whole)
		if len(r.batch) >= r.opts.BatchLines || r.bytes >= batchBytes {
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// take decodes one line into the batch.
func (r *replay) take(line []byte, whole bool) {
	if r.line == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	m, spooled, err := decodeLine(line, r.topics)
	if errors.Is(err, errDelivered) {
		r.rep.Sent++
		return
	}
	if err != nil {
		if !whole {
			r.rep.Torn = true
			return
		}
		r.bad(err)
		return
	}
	r.allSpooled = r.allSpooled && spooled
	if len(r.batch) == 0 {
		r.first = r.line
	}
	r.batch = append(r.batch, m)
	r.bytes += len(m.Value)
}

func (r *replay) bad(err error) {
	r.rep.BadCount++
	if len(r.rep.Bad) < maxBadLines {
		r.rep.Bad = append(r.rep.Bad, BadLine{r.line, err.Error()})
	}
}

func (r *replay) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	got, err := r.emit(ctx, r.batch...)
	r.rep.Sent += got.Acked
	r.rep.DeadLettered += got.DeadLettered
	if err == nil && got.Acked+got.DeadLettered < len(r.batch) {
		err = fmt.Errorf("%d events went to a spool again", got.Spooled)
	}
	if err != nil {
		return &NotDeliveredError{Path: r.rep.Path, Line: r.first, Cause: err}
	}
	clear(r.batch)
	r.batch, r.bytes = r.batch[:0], 0
	return nil
}

var errLongLine = errors.New("line too long")

// readLine returns the next line without its ending; whole is false for a last
// line that has none. Of a line over most bytes the rest is skipped, and the
// error is errLongLine. io.EOF comes alone.
func readLine(in *bufio.Reader, most int) (line []byte, whole bool, err error) {
	long := false
	for {
		part, err := in.ReadSlice('\n')
		switch {
		case long:
		case len(line)+len(part) > most+1:
			long, line = true, nil
		default:
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			if len(line) == 0 && !long {
				return nil, false, io.EOF
			}
			err = nil
		} else if err == nil {
			whole = true
		}
		if err == nil && long {
			err = errLongLine
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		return bytes.TrimSuffix(line, []byte("\r")), whole, err
	}
}

// retire renames a spool that is through, never over another file.
func retire(path string) (string, error) {
	for n := 1; n <= 10_000; n++ {
		to := path + ".replayed"
		if n > 1 {
			to = fmt.Sprintf("%s.%d.replayed", path, n)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Rename(path, to); err != nil {
			return "", err
		}
		return to, syncDir(filepath.Dir(path))
	}
	return "", fmt.Errorf("%s: no free name to mark it as replayed", path)
}
