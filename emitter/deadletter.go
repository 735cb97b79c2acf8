package emitter

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gofrs/flock"
)

// Failure types of a dead letter. The first two are the emitter's own; the
// others are for whoever reads inputs. Others may be used.
const (
	FailureKafkaSend     = "kafka_send_error"
	FailureSpoolDamaged  = "spool_damaged"
	FailureJSONParse     = "json_parse_error"
	FailureMissingDomain = "missing_url"
	FailureInvalidDomain = "invalid_url"
	FailureInvalidBrand  = "invalid_cse_id"
)

// DeadLetter is what is known of a message or an input that can never be
// handled.
type DeadLetter struct {
	FailureType string // one of the Failure constants; required
	Reason      string // what was wrong with it, for people
	Raw         []byte // the original bytes, whole
	Topic       string // where it came from, or was to go
	Key         string
	Partition   *int   // of an input that came from Kafka
	Offset      *int64 // likewise
	Code        int    // Kafka's error code, 0 if there was none
	Attempts    int    // how often it was tried, 0 for inputs
}

// deadLetterLine is the record in the file, schema v1. raw_value is for
// people, raw_base64 is the truth.
type deadLetterLine struct {
	SchemaVersion string `json:"schema_version"`
	FailureType   string `json:"failure_type"`
	Reason        string `json:"error"`
	RawValue      string `json:"raw_value"`
	Topic         string `json:"topic,omitempty"`
	Key           string `json:"key,omitempty"`
	KeyBase64     string `json:"key_base64,omitempty"`
	Partition     *int   `json:"partition,omitempty"`
	Offset        *int64 `json:"offset,omitempty"`
	Code          int    `json:"code,omitempty"`
	Attempts      int    `json:"attempts,omitempty"`
	TS            int64  `json:"ts"`
	RawBase64     string `json:"raw_base64"`
}

// rawPreview bounds raw_value, in characters.
const rawPreview = 500

// DeadLettersConfig says where dead letters are kept.
type DeadLettersConfig struct {
	// Dir is the output directory; dead_letters.jsonl in it is created when
	// the first letter comes. Required.
	Dir string
	// MaxBytes bounds the file. At the limit Put returns a *FullError: events
	// then stay in the spool, and inputs with whoever read them. Default
	// 256 MiB.
	MaxBytes int64
	// Now gives the time of a letter. Default time.Now.
	Now func() time.Time
	// Log gets disk failures. Default slog.Default().
	Log *slog.Logger

	open openFunc // tests give a disk that fails
}

// DeadLetters appends to dead_letters.jsonl, mode 0600. Several processes may
// share the file: each write holds the lock of .dead_letters.lock, and a line
// torn by another's crash is closed before the next. DeadLetters is safe for
// concurrent use.
type DeadLetters struct {
	cfg    DeadLettersConfig
	j      *journal
	count  atomic.Int64
	recent tally
	tee    func(letter *deadLetterLine, line []byte) // told of each letter that is on disk; may be nil
}

// deadLetterFile is the name of the file.
const deadLetterFile = "dead_letters.jsonl"

// NewDeadLetters touches no file.
func NewDeadLetters(cfg DeadLettersConfig) (*DeadLetters, error) {
	cfg.Now, cfg.Log, cfg.open = fileDefaults(cfg.Now, cfg.Log, cfg.open)
	def(&cfg.MaxBytes, 256<<20)
	if cfg.Dir == "" {
		return nil, &ConfigError{[]string{"Dir: must be set"}}
	}
	d := &DeadLetters{cfg: cfg}
	d.j = &journal{log: cfg.Log, open: func() (*segment, error) {
		return openShared(cfg.open, cfg.Dir, cfg.MaxBytes)
	}}
	return d, nil
}

// openShared opens the file that several processes append to.
func openShared(open openFunc, dir string, limit int64) (*segment, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, &DirError{Dir: dir, Err: err}
	}
	path := filepath.Join(dir, deadLetterFile)
	f, err := open(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, spoolMode)
	if err != nil {
		return nil, &DirError{Dir: dir, Err: err}
	}
	if err := syncDir(dir); err != nil {
		return nil, &DirError{Dir: dir, Err: errors.Join(err, f.Close())}
	}
	return &segment{path: path, f: f, lock: letterLock(dir), shared: open, max: limit}, nil
}

// letterLock guards the file against other processes. It is not the file's
// own, since who takes letters out puts another file in its place.
func letterLock(dir string) *flock.Flock {
	return flock.New(filepath.Join(dir, ".dead_letters.lock"), flock.SetPermissions(spoolMode))
}

// Put returns when the letter is on disk. The context is looked at before
// writing only.
func (d *DeadLetters) Put(ctx context.Context, l DeadLetter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line := deadLetterLine{
		SchemaVersion: "v1", FailureType: l.FailureType, Reason: strings.ToValidUTF8(l.Reason, "\uFFFD"),
		RawValue: preview(l.Raw, rawPreview), RawBase64: base64.StdEncoding.EncodeToString(l.Raw),
		Topic: l.Topic, Key: l.Key, Partition: l.Partition, Offset: l.Offset,
		Code: l.Code, Attempts: l.Attempts, TS: d.cfg.Now().UnixMilli(),
	}
	if !utf8.ValidString(l.Key) {
		line.Key, line.KeyBase64 = "", base64.StdEncoding.EncodeToString([]byte(l.Key))
	}
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("encoding a dead letter: %w", err)
	}
	if _, err := d.j.append(append(b, '\n'), 1); err != nil {
		return err
	}
	d.count.Add(1)
	d.recent.add()
	if d.tee != nil {
		d.tee(&line, b)
	}
	return nil
}

// Count is the number of letters written by this process.
func (d *DeadLetters) Count() int64 { return d.count.Load() }

// Close closes the file. It is safe twice.
func (d *DeadLetters) Close() error { return d.j.close() }

// preview returns at most n characters of b, as valid UTF-8.
func preview(b []byte, n int) string {
	if len(b) > 4*n { // a character has at most four bytes
		b = b[:4*n]
	}
	s := []rune(strings.ToValidUTF8(string(b), "\uFFFD"))
	if len(s) > n {
		s = s[:n]
	}
	return string(s)
}
