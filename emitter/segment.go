package emitter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// diskFile is what a segment needs of a file; tests give one that fails.
type diskFile interface {
	io.Writer
	io.ReaderAt
	Size() (int64, error)
	Sync() error
	Truncate(size int64) error
	Close() error
	// At tells whether the file is the one that stands at path.
	At(path string) (bool, error)
}

// openFunc opens the file at path as os.OpenFile does.
type openFunc func(path string, flag int, perm fs.FileMode) (diskFile, error)

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) At(path string) (bool, error) {
	own, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(own, there), nil
}

func openOS(path string, flag int, perm fs.FileMode) (diskFile, error) {
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// segment is one append-only file.
type segment struct {
	path  string
	f     diskFile
	size  int64 // bytes that are durable
	lines int   // lines that are durable, of those written through this segment
	born  time.Time
	// lock is held as long as the segment is in use; with shared it is taken
	// for each write, since other processes append to the file too.
	lock   *flock.Flock
	shared openFunc // opens the file again after another process replaced it
	max    int64    // of a shared file: larger it does not get; 0: no limit
}

// lockWait bounds the wait for another process that writes to a shared file.
const lockWait = 10 * time.Second

// write appends p, n lines, and makes it durable. After an error the file is
// as it was before, as far as the disk allows, and must not be used again.
func (s *segment) write(p []byte, n int) error {
	if s.shared != nil {
		unlock, err := s.take()
		if err != nil {
			return err
		}
		defer unlock()
		torn, err := s.measure()
		if err != nil {
			return err
		}
		if s.max > 0 && s.size+int64(len(p)) > s.max {
			return &FullError{Path: s.path, Limit: s.max}
		}
		if torn {
			p = append([]byte{'\n'}, p...)
		}
	}
	_, err := s.f.Write(p)
	if err == nil {
		err = s.f.Sync()
	}
	if err == nil {
		s.size += int64(len(p))
		s.lines += n
		return nil
	}
	if terr := s.f.Truncate(s.size); terr != nil {
		return errors.Join(err, terr)
	}
	return err
}

// take locks a shared file and sees to it that f is what stands at its path: a
// process that rewrote the file has put another there.
func (s *segment) take() (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	if _, err := s.lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return nil, fmt.Errorf("locking %s: %w", s.path, err)
	}
	unlock = func() { _ = s.lock.Unlock() } // closing the file drops the lock as well
	if same, err := s.f.At(s.path); err == nil && same {
		return unlock, nil
	}
	f, err := s.shared(s.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, spoolMode)
	if err == nil {
		err = syncDir(filepath.Dir(s.path))
	}
	if err != nil {
		unlock()
		return nil, err
	}
	_ = s.f.Close() // every line in it was fsynced
	s.f = f
	return unlock, nil
}

// measure learns the length of a shared file, and whether its last line was
// torn by a crash.
func (s *segment) measure() (torn bool, err error) {
	if s.size, err = s.f.Size(); err != nil || s.size == 0 {
		return false, err
	}
	var last [1]byte
	if _, err := s.f.ReadAt(last[:], s.size-1); err != nil {
		return false, fmt.Errorf("reading the end of %s: %w", s.path, err)
	}
	return last[0] != '\n', nil
}

// close closes the file. One that never held anything is removed: it would be
// harmless, but untidy. The lock of a file that is not shared stays.
func (s *segment) close() error {
	err := s.f.Close()
	if s.shared != nil {
		return errors.Join(err, s.lock.Close())
	}
	if s.size == 0 {
		_ = os.Remove(s.path)
	}
	return err
}

// errTaken reports that a file of that name exists or is in use.
var errTaken = errors.New("name taken")

// openNew creates dir/name, with a number before the ending if that exists.
func openNew(open openFunc, dir, name string, perm fs.FileMode, locked bool) (*segment, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &DirError{Dir: dir, Err: err}
	}
	ext := filepath.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	for n := 1; n <= 10_000; n++ {
		if n > 1 {
			name = fmt.Sprintf("%s_%d%s", stem, n, ext)
		}
		seg, err := createExclusive(open, filepath.Join(dir, name), perm, locked)
		if errors.Is(err, errTaken) {
			continue
		}
		if err != nil {
			return nil, &DirError{Dir: dir, Err: err}
		}
		return seg, nil
	}
	return nil, &DirError{Dir: dir, Err: fmt.Errorf("10000 files named %s*%s exist", stem, ext)}
}

func createExclusive(open openFunc, path string, perm fs.FileMode, locked bool) (*segment, error) {
	f, err := open(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, perm)
	if errors.Is(err, fs.ErrExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, err
	}
	seg := &segment{path: path, f: f}
	if locked {
		if seg.lock, err = tryLock(path); err != nil {
			_ = f.Close() // nothing was written
			if _, live := errors.AsType[*LiveSpoolError](err); live || errors.Is(err, fs.ErrNotExist) {
				return nil, errTaken // an adopter was quicker: it holds the empty file, or has removed it
			}
			return nil, err
		}
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		_ = seg.close() // and with it the empty file goes
		if seg.lock != nil {
			_ = seg.lock.Close()
		}
		return nil, err
	}
	return seg, nil
}

// tryLock takes the lock of the file at path, or fails at once with a
// *LiveSpoolError if another process has it, and with fs.ErrNotExist if the
// file is no longer there.
func tryLock(path string) (*flock.Flock, error) {
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	ok, err := lock.TryLock()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if !ok {
		return nil, errors.Join(&LiveSpoolError{path}, lock.Close())
	}
	// The one who had the lock may have removed the file before it let go.
	locked, err := lock.Stat()
	if err == nil {
		var there fs.FileInfo
		if there, err = os.Stat(path); err == nil && !os.SameFile(locked, there) {
			err = fs.ErrNotExist
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// syncDir makes a directory's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing directory %s: %w", dir, err)
	}
	return nil
}

// DirError reports an output directory that cannot be written to.
type DirError struct {
	Dir string
	Err error
}

func (e *DirError) Error() string { return fmt.Sprintf("output directory %s: %v", e.Dir, e.Err) }
func (e *DirError) Unwrap() error { return e.Err }

// Hint says what to do, for people.
func (e *DirError) Hint() string {
	return "set OUTPUT_DIR to a directory that this user may write to, on a disk with free space"
}

// CheckDir creates dir if it is missing and proves that a file in it can be
// written and fsynced. The error is a *DirError.
func CheckDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return &DirError{Dir: dir, Err: err}
	}
	f, err := os.CreateTemp(dir, ".write-test-*")
	if err != nil {
		return &DirError{Dir: dir, Err: err}
	}
	_, err = f.WriteString("write test\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
		return &DirError{Dir: dir, Err: err}
	}
	return nil
}

// stamp is how times are written in file names.
func stamp(t time.Time) string { return t.UTC().Format("20060102T150405Z") }
