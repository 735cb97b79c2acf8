package emitter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// spoolName is how the spool's files are called; what is called otherwise is
// not touched.
var spoolName = regexp.MustCompile(`^spool_(\d{8}T\d{6}Z)(?:_(\d+))?\.jsonl$`)

// found is a file of the directory that may be one of the spool.
type found struct {
	path string
	at   time.Time
	n    int
}

// adopt takes over the files of the directory that belong to nobody: an earlier
// process left them, or another one that has ended. It returns how many lines
// wait in them. A file that cannot be used is logged and left as it is.
func (s *Spool) adopt() (lines int, err error) {
	candidates, err := spoolFiles(s.cfg.Dir)
	if err != nil {
		return 0, err
	}
	for _, c := range candidates {
		s.mu.Lock()
		ours := s.closed || slices.ContainsFunc(s.files, func(f *spoolFile) bool { return f.path == c.path })
		if !ours && c.at.After(s.newest) {
			s.newest = c.at // also of a file that another process writes to
		}
		if !ours {
			s.adding++
		}
		s.mu.Unlock()
		if ours {
			continue
		}
		f, err := s.takeOver(c)
		waiting := 0
		if err == nil {
			waiting = f.left
			s.enlist(f)
		}
		s.mu.Lock()
		s.adding--
		s.mu.Unlock()
		if _, live := errors.AsType[*LiveSpoolError](err); live || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			s.cfg.Log.Error("a file of the spool cannot be read; it is left as it is", "file", c.path, "cause", err)
			continue
		}
		s.cfg.Log.Info("a file of the spool was found, its events are sent when Kafka takes them", "file", c.path, "events", waiting)
		lines += waiting
	}
	_ = s.passing.Acquire(context.Background(), 1) // that has no end
	defer s.passing.Release(1)
	s.retire() // of those found some may be through
	sweepNotes(s.cfg.Dir)
	return lines, nil
}

// sweepNotes deletes notes on files that are gone: their process was killed after
// it had deleted the one and before the other. It is only tidiness.
func sweepNotes(dir string) {
	notes, _ := filepath.Glob(filepath.Join(dir, "spool_*"+doneSuffix)) // the pattern is good
	for _, note := range notes {
		path := strings.TrimSuffix(note, doneSuffix)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && spoolName.MatchString(filepath.Base(path)) {
			_ = os.Remove(note)
		}
	}
}

// enlist puts an adopted file into its place: before those of this process, in
// the order of their names.
func (s *Spool) enlist(f *spoolFile) {
	s.room.force(f.size)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	for i < len(s.files) && s.files[i].seg == nil {
		i++
	}
	s.files = slices.Insert(s.files, i, f)
	s.waiting.Add(int64(f.left))
}

// spoolFiles lists the files of a directory that are called like the spool's,
// oldest first.
func spoolFiles(dir string) ([]found, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, &DirError{Dir: dir, Err: err}
	}
	var out []found
	for _, e := range entries {
		m := spoolName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		at, err := time.Parse("20060102T150405Z", m[1])
		if err != nil {
			continue
		}
		n, _ := strconv.Atoi(m[2]) // none: 0
		out = append(out, found{filepath.Join(dir, e.Name()), at, n})
	}
	slices.SortFunc(out, func(a, b found) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.n - b.n
	})
	return out, nil
}

// takeOver locks a file, sets its torn end aside, and finds out which of its
// lines wait.
func (s *Spool) takeOver(c found) (*spoolFile, error) {
	lock, err := tryLock(c.path)
	if err != nil {
		return nil, err
	}
	f := &spoolFile{path: c.path, lock: lock, born: c.at, sealed: true}
	if err = s.inspect(f); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (s *Spool) inspect(f *spoolFile) error {
	whole, torn, err := ends(f.path)
	if err != nil {
		return err
	}
	if torn {
		// Nobody was told that these bytes are durable. If the disk does not
		// let us keep them, that must not keep the lines before them from Kafka.
		err := setAside(f.path, whole)
		s.cfg.Log.Warn("the last line of a spool file was cut off by a crash; it is kept beside it", "file", f.path+tornSuffix, "cause", err)
	}
	notes, err := readProgress(f.path)
	if err != nil {
		return err
	}
	f.size, f.tried = whole, notes.tried
	done := notes.lines(whole)
	err = f.lines(whole, func(n int, line []byte) bool {
		if n < len(done) && done[n] {
			f.state = append(f.state, lineDone)
			return true
		}
		f.state = append(f.state, linePending)
		f.left++
		if m, ok := lineKey(line); ok {
			s.mu.Lock()
			s.order.add(&m)
			s.mu.Unlock()
		}
		return true
	})
	f.total = len(f.state)
	return err
}

const tornSuffix = ".torn"

// ends returns the offset of the end of the last whole line, and whether
// something follows it.
func ends(path string) (whole int64, torn bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return 0, false, err
	}
	whole, err = lastLineEnd(file, st.Size())
	return whole, whole < st.Size(), err
}

// setAside moves what follows the whole lines to a file of the same name with
// ".torn" after it.
func setAside(path string, whole int64) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	tail, err := io.ReadAll(io.NewSectionReader(file, whole, 1<<62))
	if err != nil {
		return err
	}
	if err := replaceFile(path+tornSuffix, tail); err != nil {
		return err
	}
	if err := file.Truncate(whole); err != nil {
		return err
	}
	return file.Sync()
}

// lastLineEnd returns the offset after the last line feed, 0 if there is none.
func lastLineEnd(r io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for at := size; at > 0; {
		n := min(at, int64(len(buf)))
		if _, err := r.ReadAt(buf[:n], at-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return at - n + int64(i) + 1, nil
		}
		at -= n
	}
	return 0, nil
}

// replaceFile puts a file of that content at path, durably, or leaves what is
// there.
func replaceFile(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".typostream-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // only tidiness
		return err
	}
	return syncDir(filepath.Dir(path))
}
