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

	"golang.org/x/time/rate"
)

// EmitFunc is the EmitEach of the emitter that a replay sends through. It must
// not spool: a Kafka without a spool.
type EmitFunc func(ctx context.Context, msgs ...Message) ([]Fate, error)

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
	// Rate bounds the events a second. 0 or negative: no bound.
	Rate int
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
	Earlier      int // an earlier replay of this spool was through with them
	Doubtful     int // of those sent, how many may have been in their topic before
	BadCount     int
	Bad          []BadLine // the first 100
	// Torn says that the last line was cut off by a crash. Nobody was told
	// that it was durable, so it is no loss; it was not sent.
	Torn bool
	// Unnoted is why it could not be noted how far the replay is; nil if it was.
	Unnoted error
	// RenamedTo is the new name of a spool whose every line was delivered.
	RenamedTo string
}

// LiveSpoolError reports a file that another process, or this one, is writing
// to or replaying.
type LiveSpoolError struct{ Path string }

func (e *LiveSpoolError) Error() string { return e.Path + " is in use" }

// Hint says what to do, for people.
func (e *LiveSpoolError) Hint() string {
	return "the worker that holds it sends its events by itself when Kafka takes them; else wait for the other replay"
}

// NotDeliveredError reports a replay that Kafka did not let finish. A spool
// remembers what was sent; of another file it will be sent again by the next
// replay.
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

// Replay sends each message of a spool, of a file of saved events or of dead
// letters, key and value byte for byte as they were, in their order. Lines that
// are no events are counted and left out. How far it is in a spool is noted
// beside it, so that the next replay goes on there. A spool of which every whole
// line was acked or dead-lettered is renamed to <name>.replayed, so that *.jsonl
// no longer matches it; every other file stays as it is. A file that is in use
// is refused with a *LiveSpoolError.
func Replay(ctx context.Context, path string, emit EmitFunc, opts ReplayOptions) (ReplayReport, error) {
	def(&opts.BatchLines, 500)
	def(&opts.MaxLine, 16<<20)
	rep := ReplayReport{Path: path}
	lock, err := tryLock(path)
	if err != nil {
		return rep, err
	}
	f := &spoolFile{path: path, lock: lock}
	defer f.close()
	file, err := os.Open(path)
	if err != nil {
		return rep, err
	}
	defer file.Close()
	r := &replay{
		rep: &rep, emit: emit, opts: opts, file: f, allSpooled: true,
		topics: replayTopics{opts.Topic, opts.CrawlTopic, opts.InactiveTopic},
		limit:  rate.NewLimiter(rate.Inf, 0),
	}
	if opts.Rate > 0 {
		r.limit = newLimit(opts.Rate)
		r.opts.BatchLines = min(opts.BatchLines, r.limit.Burst())
	}
	if err := r.resume(file); err != nil {
		return rep, err
	}
	if err := r.run(ctx, bufio.NewReaderSize(file, 64<<10)); err != nil {
		return rep, err
	}
	if r.allSpooled && rep.BadCount == 0 && rep.Sent+rep.DeadLettered+rep.Earlier > 0 {
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
	limit  *rate.Limiter
	file   *spoolFile
	done   []bool // lines that an earlier replay was through with
	tried  int    // lines before it were given to Kafka by an earlier one

	line       int // number of the line last read, from 1
	batch      []Message
	at         []int  // the number of each message's line
	doubtful   []bool // of each message: it may be in its topic
	bytes      int
	allSpooled bool
}

// batchBytes closes a replay's batch.
const batchBytes = 4 << 20

// resume reads how far an earlier replay of the file came.
func (r *replay) resume(file *os.File) error {
	st, err := file.Stat()
	if err != nil {
		return err
	}
	notes, err := readProgress(r.rep.Path)
	r.done, r.tried = notes.lines(st.Size()), notes.tried
	return err
}

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
		switch {
		case r.line <= len(r.done) && r.done[r.line-1]:
			r.rep.Earlier++
		case err != nil:
			r.bad(err)
		default:
			r.take(line, whole)
		}
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
	m, kind, unknown, err := decodeLine(line, r.topics)
	if err != nil {
		if !whole {
			r.rep.Torn = true
			return
		}
		r.bad(err)
		return
	}
	r.allSpooled = r.allSpooled && kind == spoolEvent
	r.batch = append(r.batch, m)
	r.at = append(r.at, r.line)
	r.doubtful = append(r.doubtful, unknown || r.line <= r.tried)
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
	if err := r.limit.WaitN(ctx, len(r.batch)); err != nil {
		return err
	}
	r.note(notes(nil, r.at[len(r.at)-1]))
	fates, err := r.emit(ctx, r.batch...)
	first, err := r.count(fates, err)
	r.note(notes(r.file.unsaved(), 0))
	if err != nil {
		return &NotDeliveredError{Path: r.rep.Path, Line: first, Cause: err}
	}
	clear(r.batch)
	r.batch, r.at, r.doubtful, r.bytes = r.batch[:0], r.at[:0], r.doubtful[:0], 0
	return nil
}

// count books the fates of the batch. It returns the first line that is not
// delivered, and why.
func (r *replay) count(fates []Fate, err error) (first int, cause error) {
	spooled := 0
	r.file.grow(r.line, 0) // its size is of no interest here
	for i, n := range r.at {
		got := FateUndelivered
		if i < len(fates) {
			got = fates[i]
		}
		switch got {
		case FateAcked:
			r.rep.Sent++
			if r.doubtful[i] {
				r.rep.Doubtful++
			}
			r.file.finish(n - 1)
		case FateDeadLettered:
			r.rep.DeadLettered++
			r.file.finish(n - 1)
		default:
			if got == FateSpooled {
				spooled++
			}
			if first == 0 {
				first = n
			}
		}
	}
	if err == nil && first > 0 {
		err = fmt.Errorf("%d events went to a spool again", spooled)
	}
	return first, err
}

// note writes how far the replay is, if the file is a spool so far. If that
// fails the next replay sends more again than it had to.
func (r *replay) note(text string) {
	if !r.allSpooled || text == "" {
		return
	}
	r.file.noting.Lock()
	defer r.file.noting.Unlock()
	if err := r.file.note(text); err != nil {
		r.rep.Unnoted = err
	}
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
		if err := syncDir(filepath.Dir(path)); err != nil {
			return to, err
		}
		_ = os.Remove(path + doneSuffix) // what it says is of no use any more
		return to, nil
	}
	return "", fmt.Errorf("%s: no free name to mark it as replayed", path)
}
