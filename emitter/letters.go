package emitter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// StoredLetter is a dead letter as it stands in the file.
type StoredLetter struct {
	// ID tells it from others: the begin of its line's SHA-256, in hex.
	ID string
	// Time is when it was written, to the millisecond.
	Time time.Time
	DeadLetter
	// Line is the line itself, without its line feed.
	Line []byte
}

// Message returns the event that the letter holds, as it was to be sent. ok is
// false for a letter that holds no event of ours: an input that nobody could
// use, or a damaged line of the spool.
func (l *StoredLetter) Message() (m Message, ok bool) {
	if l.FailureType != FailureKafkaSend {
		return Message{}, false
	}
	m = Message{Topic: l.Topic, Key: l.Key, Value: l.Raw}
	return m, checkLine(&m) == nil
}

// parseLetter reads one line of the file.
func parseLetter(line []byte) (StoredLetter, error) {
	var l deadLetterLine
	if err := json.Unmarshal(line, &l); err != nil {
		return StoredLetter{}, jsonFault(err)
	}
	if l.SchemaVersion != "v1" || l.FailureType == "" {
		return StoredLetter{}, errors.New("no dead letter of schema v1")
	}
	raw, err := base64.StdEncoding.DecodeString(l.RawBase64)
	if err != nil {
		return StoredLetter{}, fmt.Errorf("raw_base64: %w", err)
	}
	key := l.Key
	if l.KeyBase64 != "" {
		b, err := base64.StdEncoding.DecodeString(l.KeyBase64)
		if err != nil {
			return StoredLetter{}, fmt.Errorf("key_base64: %w", err)
		}
		key = string(b)
	}
	sum := sha256.Sum256(line)
	return StoredLetter{
		ID: hex.EncodeToString(sum[:8]), Time: time.UnixMilli(l.TS).UTC(), Line: bytes.Clone(line),
		DeadLetter: DeadLetter{
			FailureType: l.FailureType, Reason: l.Reason, Raw: raw, Topic: l.Topic, Key: key,
			Partition: l.Partition, Offset: l.Offset, Code: l.Code, Attempts: l.Attempts,
		},
	}, nil
}

// ReadDeadLetters yields the letters of the directory's file in their order. A
// line that is none, torn by a crash, is counted in bad and left out. Without a
// file there are none. yield may return false to end it.
func ReadDeadLetters(dir string, yield func(StoredLetter) bool) (bad int, err error) {
	file, err := os.Open(filepath.Join(dir, deadLetterFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	err = letterLines(file, func(line []byte) bool {
		l, err := parseLetter(line)
		if err != nil {
			bad++
			return true
		}
		return yield(l)
	})
	return bad, err
}

// letterLines yields the lines that are not empty.
func letterLines(file *os.File, yield func(line []byte) bool) error {
	in := bufio.NewReaderSize(file, 256<<10)
	for {
		line, _, err := readLine(in, maxSpoolLine)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return fmt.Errorf("reading %s: %w", file.Name(), err)
		}
		if len(line) > 0 && !yield(line) {
			return nil
		}
	}
}

// RemoveDeadLetters takes the letters out of the directory's file for which
// remove is true, and returns how many. It is safe while others write to the
// file: they wait. A line that is no letter stays. The file is replaced as a
// whole, so that a crash leaves the old or the new one.
func RemoveDeadLetters(ctx context.Context, dir string, remove func(StoredLetter) bool) (removed int, err error) {
	path := filepath.Join(dir, deadLetterFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	lock := letterLock(dir)
	if _, err := lock.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return 0, fmt.Errorf("locking %s: %w", path, err)
	}
	defer lock.Unlock() //nolint:errcheck // the end of the process releases it too
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	tmp, err := os.CreateTemp(dir, ".typostream-*") // mode 0600
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriter(tmp)
	err = letterLines(file, func(line []byte) bool {
		if l, lerr := parseLetter(line); lerr == nil && remove(l) {
			removed++
			return true
		}
		_, _ = out.Write(line) // Flush returns its error
		_ = out.WriteByte('\n')
		return true
	})
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil && removed > 0 {
		err = os.Rename(tmp.Name(), path)
	} else {
		_ = os.Remove(tmp.Name()) // nothing changes
	}
	if err != nil {
		return 0, err
	}
	return removed, syncDir(dir)
}

// events counts the letters of the file that hold events of ours, whole or
// damaged; those of inputs are in other books.
func (d *DeadLetters) events() (n int, err error) {
	_, err = ReadDeadLetters(d.cfg.Dir, func(l StoredLetter) bool {
		if l.FailureType == FailureKafkaSend || l.FailureType == FailureSpoolDamaged {
			n++
		}
		return true
	})
	return n, err
}
