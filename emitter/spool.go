package emitter

import (
	"io/fs"
	"log/slog"
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
	j *journal
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
	size := 0
	for i := range msgs {
		size += len(msgs[i].Topic) + len(msgs[i].Key) + len(msgs[i].Value) + 96
	}
	buf := make([]byte, 0, size)
	for i := range msgs {
		buf = appendSpoolLine(buf, &msgs[i], unknown)
	}
	return s.j.append(buf)
}

// Close closes the file and releases its lock. It is safe twice.
func (s *Spool) Close() error { return s.j.close() }
