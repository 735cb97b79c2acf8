package emitter

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// SpoolConfig says where a spool writes and how much.
type SpoolConfig struct {
	// Dir is the output directory; it is created when the first message
	// comes. Required.
	Dir string
	// MaxBytes bounds the files of this spool, together with what is inside
	// the emitter and may yet come to be in them. At the limit Emit waits while
	// a replay makes room, and returns a *FullError if there is none. Default
	// 1 GiB.
	MaxBytes int64
	// SegmentBytes and SegmentAge close a file, after the group of lines that
	// reaches them; what comes later goes to another. A file is deleted as a
	// whole, so a small one gives its room back earlier. Default 16 MiB and
	// ten minutes.
	SegmentBytes int64
	SegmentAge   time.Duration
	// Now gives the time in file names and the age of files. Default time.Now.
	Now func() time.Time
	// Log gets disk failures and what was found. Default slog.Default().
	Log *slog.Logger

	open openFunc // tests give a disk that fails
}

// Spool keeps messages that Kafka did not take until it does, in JSONL files
// of mode 0600 named spool_<YYYYmmddTHHMMSSZ>.jsonl. A file is created when it
// is first needed, and locked as long as this spool has lines in it, so that no
// other process replays or adopts it. Which of its lines are through is known
// in memory and noted in the file of the same name with ".done" after it. A
// file whose every line is through is deleted. Spool is safe for concurrent use.
type Spool struct {
	cfg  SpoolConfig
	j    *journal
	room quota
	woke chan struct{} // told that Kafka takes events again

	waiting atomic.Int64 // lines that are not done, of all files

	damaged atomic.Int64 // lines that were, since the start

	passing *semaphore.Weighted // of one: held by who sends lines; before mu
	mu      sync.Mutex
	files   []*spoolFile // oldest first
	order   keyTable
	adding  int       // files whose lines are being put into order
	newest  time.Time // the latest time in a file's name
	closed  bool
}

// NewSpool touches no file.
func NewSpool(cfg SpoolConfig) (*Spool, error) {
	cfg.Now, cfg.Log, cfg.open = fileDefaults(cfg.Now, cfg.Log, cfg.open)
	def(&cfg.MaxBytes, 1<<30)
	def(&cfg.SegmentBytes, 16<<20)
	def(&cfg.SegmentAge, 10*time.Minute)
	var faults []string
	if cfg.Dir == "" {
		faults = append(faults, "Dir: must be set")
	}
	if cfg.MaxBytes < 0 || cfg.SegmentBytes < 0 || cfg.SegmentAge < 0 {
		faults = append(faults, "MaxBytes, SegmentBytes, SegmentAge: not negative")
	}
	if faults != nil {
		return nil, &ConfigError{faults}
	}
	s := &Spool{cfg: cfg, woke: make(chan struct{}, 1), passing: semaphore.NewWeighted(1)}
	s.room.max = cfg.MaxBytes
	s.j = &journal{log: cfg.Log, open: s.begin, closed: s.sealed, full: func(seg *segment) bool {
		return seg.size >= cfg.SegmentBytes || cfg.Now().Sub(seg.born) >= cfg.SegmentAge
	}}
	return s, nil
}

// spoolMode keeps events from other users: they may not be public yet.
const spoolMode fs.FileMode = 0o600

func fileDefaults(now func() time.Time, log *slog.Logger, open openFunc) (func() time.Time, *slog.Logger, openFunc) {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.Default()
	}
	if open == nil {
		open = openOS
	}
	return now, log, open
}

// begin opens the next file. Its name sorts after all that came before it,
// even if the clock was set back.
func (s *Spool) begin() (*segment, error) {
	now := s.cfg.Now()
	s.mu.Lock()
	if s.newest.After(now) {
		now = s.newest
	}
	s.mu.Unlock()
	seg, err := openNew(s.cfg.open, s.cfg.Dir, "spool_"+stamp(now)+".jsonl", spoolMode, true)
	if err != nil {
		return nil, err
	}
	// A process that crashed may have left the progress of an older file of
	// this name: it says nothing of ours.
	if err := os.Remove(seg.path + doneSuffix); err == nil {
		err = syncDir(s.cfg.Dir)
		if err != nil {
			_ = seg.close() // empty, so it goes
			_ = seg.lock.Close()
			return nil, &DirError{Dir: s.cfg.Dir, Err: err}
		}
	}
	seg.born = now
	s.mu.Lock()
	s.newest = now
	s.files = append(s.files, &spoolFile{path: seg.path, lock: seg.lock, seg: seg, born: now})
	s.mu.Unlock()
	if s.waiting.Load() == 0 {
		s.cfg.Log.Warn("events go to the spool", "file", seg.path)
	}
	return seg, nil
}

// sealed is told that no line will be added to the segment's file.
func (s *Spool) sealed(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.files, func(f *spoolFile) bool { return f.seg == seg })
	f := s.files[i]
	f.sealed, f.total = true, seg.lines
	if seg.lines == 0 { // a first write that failed: the file is gone already
		_ = f.lock.Close()
		s.files = slices.Delete(s.files, i, i+1)
	}
}

// Put returns when the messages are on disk. unknown says that they may be in
// their topic already. After an error none of them counts as spooled.
func (s *Spool) Put(msgs []Message, unknown bool) error {
	refs, err := s.put(msgs, unknown)
	s.release(refs)
	return err
}

// put writes the messages as lines that no replay sends until release.
func (s *Spool) put(msgs []Message, unknown bool) ([]lineRef, error) {
	size := 0
	for i := range msgs {
		size += int(lineRoom(&msgs[i]))
	}
	buf := make([]byte, 0, size)
	for i := range msgs {
		buf = appendSpoolLine(buf, &msgs[i], unknown)
	}
	at, err := s.j.append(buf, len(msgs))
	if err != nil {
		return nil, err
	}
	s.room.force(int64(len(buf)))
	refs := make([]lineRef, len(msgs))
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fileOf(at.seg)
	f.grow(at.lines, at.size)
	for i := range msgs {
		refs[i] = lineRef{file: f, n: at.first + i, slot: s.order.add(&msgs[i])}
	}
	s.waiting.Add(int64(len(msgs)))
	return refs, nil
}

// fileOf finds the file that a segment writes to; s.mu is held.
func (s *Spool) fileOf(seg *segment) *spoolFile {
	for _, f := range slices.Backward(s.files) {
		if f.seg == seg {
			return f
		}
	}
	panic("emitter: a segment of no file of the spool")
}

// lineRoom is at least what a message's line may need, unless its topic or key
// have to be escaped a lot.
func lineRoom(m *Message) int64 {
	return int64(len(m.Topic) + 2*len(m.Key) + len(m.Value)*4/3 + 112)
}

// release lets a replay send the lines.
func (s *Spool) release(refs []lineRef) { s.turn(refs, lineHeld, linePending) }

// hold keeps the lines from a replay until they are released or done.
func (s *Spool) hold(refs []lineRef) { s.turn(refs, linePending, lineHeld) }

func (s *Spool) turn(refs []lineRef, from, to lineState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range refs {
		if r.file.state[r.n] == from {
			r.file.state[r.n] = to
		}
	}
}

// done says that the lines are acked or dead-lettered.
func (s *Spool) done(refs []lineRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range refs {
		if r.file.state[r.n] == lineDone {
			continue
		}
		r.file.finish(r.n)
		s.order.remove(r.slot)
		s.waiting.Add(-1)
	}
	if s.waiting.Load() == 0 && s.adding == 0 {
		s.order.clear()
	}
}

// behind tells whether an older message of the same key waits in the spool.
func (s *Spool) behind(m *Message) bool {
	if s.waiting.Load() == 0 || m.Key == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.order.has(m)
}

// wake says that Kafka takes events again.
func (s *Spool) wake() {
	select {
	case s.woke <- struct{}{}:
	default: // it has been said
	}
}

// seal closes the file that is written to, so that its lines can be sent.
func (s *Spool) seal() error {
	s.mu.Lock()
	open := len(s.files) > 0 && !s.files[len(s.files)-1].sealed
	s.mu.Unlock()
	if !open {
		return nil
	}
	return s.j.rotate()
}

// retire deletes the files whose every line is through; passing is held.
func (s *Spool) retire() {
	for _, f := range s.snapshot() {
		s.mu.Lock()
		through := f.through()
		s.mu.Unlock()
		if !through {
			continue
		}
		if err := f.remove(); err != nil {
			s.cfg.Log.Warn("a file of the spool is through and could not be deleted", "file", f.path, "cause", err)
			continue
		}
		s.mu.Lock()
		s.files = slices.DeleteFunc(s.files, func(g *spoolFile) bool { return g == f })
		s.mu.Unlock()
		s.room.release(f.size)
	}
}

// snapshot returns the files to which nothing is added, oldest first.
func (s *Spool) snapshot() []*spoolFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.files), func(f *spoolFile) bool { return !f.sealed })
}

// SpoolStats is what a spool holds.
type SpoolStats struct {
	Records int64
	Bytes   int64 // of all its files, lines that are through included
	Limit   int64 // of Bytes, and of what is inside the emitter
	Files   int
	Age     time.Duration // since the oldest file was begun; 0 if there is none
	Full    bool          // someone waits for room, or was refused it a moment ago
}

// Stats returns what the spool holds now.
func (s *Spool) Stats() SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats()
}

// stats is Stats; s.mu is held.
func (s *Spool) stats() SpoolStats {
	st := SpoolStats{Records: s.waiting.Load(), Limit: s.cfg.MaxBytes, Files: len(s.files), Full: s.room.full()}
	for _, f := range s.files {
		st.Bytes += f.size
	}
	if len(s.files) > 0 {
		st.Age = max(0, s.cfg.Now().Sub(s.files[0].born))
	}
	return st
}

// Close closes the files and releases their locks; what is not through stays
// for the next process. It is safe twice. It waits for the batch that is being
// sent from the spool.
func (s *Spool) Close() error {
	err := s.j.close()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.passing.Acquire(context.Background(), 1) // that has no end
	defer s.passing.Release(1)
	s.retire()
	s.mu.Lock()
	files := s.files
	s.files = nil
	s.mu.Unlock()
	for _, f := range files {
		s.save(f, 0)
		f.close()
	}
	return err
}

func (s *Spool) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// reserve takes room for messages that may come to be spooled. It waits only
// while a replay is there to make room.
func (s *Spool) reserve(ctx context.Context, n int64) error {
	if err := s.room.acquire(ctx, n); err != nil {
		if errors.Is(err, errNoRoom) {
			return &FullError{Path: filepath.Join(s.cfg.Dir, "spool_*.jsonl"), Limit: s.cfg.MaxBytes}
		}
		return err
	}
	return nil
}
