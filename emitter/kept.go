package emitter

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Kept is an event as a file of the output directory holds it.
type Kept struct {
	File string
	Line int // from 1
	// Since is when the file was begun.
	Since time.Time
	Message
	// Unknown says, of an event in the spool, that it may be in its topic
	// already.
	Unknown bool
}

// ReadSpool yields the events of the directory's spool that wait for Kafka, the
// oldest file first. Nothing is changed and no lock taken: beside a worker that
// is about to send them some may be through a moment later. Lines that are
// damaged, or cut off, are counted in bad and left out. yield may return false
// to end it.
func ReadSpool(dir string, yield func(Kept) bool) (bad int, err error) {
	files, err := spoolFiles(dir)
	if err != nil {
		return 0, err
	}
	for _, c := range files {
		notes, err := readProgress(c.path)
		if err != nil {
			return bad, err
		}
		var done []bool
		more, err := keptLines(c.path, func(n int, line []byte, size int64) bool {
			if n == 1 {
				done = notes.lines(size)
			}
			if n <= len(done) && done[n-1] {
				return true
			}
			m, unknown, err := decodeSpooled(line)
			if err != nil {
				bad++
				return true
			}
			return yield(Kept{File: c.path, Line: n, Since: c.at, Message: m, Unknown: unknown || n <= notes.tried})
		})
		if err != nil || !more {
			return bad, err
		}
	}
	return bad, nil
}

// eventFile matches the files of the mode without Kafka: anything, and the time
// at which the file was begun.
var eventFile = regexp.MustCompile(`^(.+)_(\d{8}T\d{6}Z)(?:_\d+)?\.jsonl$`)

// ReadFiles yields the lines of the directory's files that Files has written,
// in the order of the files' names. Topic and Key are not known of them. What
// else is said of ReadSpool holds too; a line is not looked into.
func ReadFiles(dir string, yield func(Kept) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &DirError{Dir: dir, Err: err}
	}
	for _, e := range entries {
		m := eventFile.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() || spoolName.MatchString(e.Name()) {
			continue
		}
		at, err := time.Parse("20060102T150405Z", m[2])
		if err != nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		more, err := keptLines(path, func(n int, line []byte, _ int64) bool {
			return yield(Kept{File: path, Line: n, Since: at, Message: Message{Value: bytes.Clone(line)}})
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// keptLines yields the whole lines of a file, numbered from 1, with the file's
// size. more is false if yield ended it. A file that is gone by now has none:
// its last event was sent.
func keptLines(path string, yield func(n int, line []byte, size int64) bool) (more bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return false, err
	}
	in := bufio.NewReaderSize(io.LimitReader(file, st.Size()), 256<<10)
	for n := 1; ; n++ {
		line, whole, err := readLine(in, maxSpoolLine)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return false, fmt.Errorf("reading %s: %w", path, err)
		}
		if whole && err == nil && !yield(n, line, st.Size()) {
			return false, nil
		}
	}
}

// Identity is what a record says of whose it is; ID and Seed are empty in one
// of the topics beside that of candidates.
type Identity struct {
	ID   string // of the event
	Name string // FQDN
	Seed string // FQDN, or the registrable domain where that is all there is
}

// IdentityOf reads the value of a message of ours. ok is false for what is none.
func IdentityOf(value []byte) (who Identity, ok bool) {
	var record struct {
		Name        string `json:"canonical_fqdn"`
		Registrable string `json:"seed_registrable"`
		Detail      struct {
			ID   string `json:"id"`
			Seed string `json:"seed"`
		} `json:"typostream"`
	}
	if json.Unmarshal(value, &record) != nil || record.Name == "" {
		return Identity{}, false
	}
	who = Identity{ID: record.Detail.ID, Name: record.Name, Seed: record.Detail.Seed}
	if who.Seed == "" {
		who.Seed = record.Registrable
	}
	return who, true
}
