package emitter

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// SpoolConfig says where a spool writes.
type SpoolConfig struct {
	// Dir is the output directory; it is created when the first message
	// comes. Required.
	Dir string
	// Now gives the time in file names. Default time.Now.
	Now func() time.Time
	// Log gets disk failures. Default slog.Default().
	Log *slog.Logger

	open openFunc // tests give a disk that fails
}

// Spool keeps messages that Kafka did not take, in a JSONL file of mode 0600
// named spool_<YYYYmmddTHHMMSSZ>.jsonl. The file is created when it is first
// needed and locked as long as this spool writes to it, so that a replay of it
// is refused; when Kafka takes events again the file is closed, and what comes
// later goes to another. Spool is safe for concurrent use.
type Spool struct {
	j    *journal
	held atomic.Int32 // Held that are neither delivered nor released
}

// NewSpool touches no file.
func NewSpool(cfg SpoolConfig) (*Spool, error) {
	cfg.Now, cfg.Log, cfg.open = fileDefaults(cfg.Now, cfg.Log, cfg.open)
	if cfg.Dir == "" {
		return nil, &ConfigError{[]string{"Dir: must be set"}}
	}
	s := &Spool{j: &journal{log: cfg.Log}}
	s.j.open = func() (*segment, error) {
		seg, err := openNew(cfg.open, cfg.Dir, "spool_"+stamp(cfg.Now())+".jsonl", spoolMode, true)
		if err == nil {
			cfg.Log.Warn("events go to the spool", "file", seg.path)
		}
		return seg, err
	}
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

// Put returns when the messages are on disk. unknown says that they may be in
// their topic already. After an error none of them counts as spooled.
func (s *Spool) Put(msgs []Message, unknown bool) error {
	return s.j.append(spoolLines(msgs, unknown))
}

func spoolLines(msgs []Message, unknown bool) []byte {
	size := 0
	for i := range msgs {
		size += len(msgs[i].Topic) + len(msgs[i].Key) + len(msgs[i].Value) + 96
	}
	buf := make([]byte, 0, size)
	for i := range msgs {
		buf = appendSpoolLine(buf, &msgs[i], unknown)
	}
	return buf
}

// Held are lines whose outcome is unknown and still being found out. The
// spool's file stays in use, so that no replay sends them, until either
// Delivered or Release is called, once.
type Held struct {
	s     *Spool
	books *ledger
	path  string
	marks []int64 // offsets of the value of "unknown" of each line
}

// PutHeld is Put of messages that may be in their topic already, while someone
// is about to find out.
func (s *Spool) PutHeld(msgs []Message) (*Held, error) {
	buf := spoolLines(msgs, true)
	path, at, err := s.j.join(buf, false)
	if err != nil {
		return nil, err
	}
	s.held.Add(1)
	h := &Held{s: s, path: path, marks: make([]int64, 0, len(msgs))}
	for line := range bytes.Lines(buf) {
		mark := bytes.Index(line, []byte(unknownMark)) + len(unknownMark) - len("true")
		h.marks = append(h.marks, at+int64(mark))
		at += int64(len(line))
	}
	return h, nil
}

// Delivered marks the lines: Kafka has their messages, and no replay sends
// them. After an error a replay may send some of them again.
func (h *Held) Delivered() error {
	defer h.Release()
	f, err := os.OpenFile(h.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, at := range h.marks {
		if _, err = f.WriteAt([]byte(unknownDelivered), at); err != nil {
			break
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && h.books != nil {
		h.books.unspool(Receipt{Acked: len(h.marks)})
	}
	return err
}

// Release says that it cannot be known any more: a replay sends the lines, and
// their messages may come to be in the topic twice.
func (h *Held) Release() { h.s.held.Add(-1) }

// free closes the file, so that it can be replayed, unless lines are held.
func (s *Spool) free() error {
	if s.held.Load() > 0 {
		return nil
	}
	return s.j.rotate()
}

// Close closes the file and releases its lock. It is safe twice.
func (s *Spool) Close() error { return s.j.close() }
