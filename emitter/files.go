package emitter

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// FilesConfig says where the file-only mode writes.
type FilesConfig struct {
	// Dir is the output directory, created when the first message comes.
	// Required.
	Dir string
	// Name gives the file of a topic; it is asked once a topic and must end in
	// an extension. If that file exists a number is put before the extension.
	// Default RecordFile.
	Name func(topic string, at time.Time) string
	// Now gives the time in file names. Default time.Now.
	Now func() time.Time
	// Log gets disk failures. Default slog.Default().
	Log *slog.Logger

	open openFunc // tests give a disk that fails
}

// Files is the emitter without Kafka: each message's value becomes a line of
// its topic's file in Dir. A line that is fsynced counts as acked. Files is
// safe for concurrent use.
type Files struct {
	cfg   FilesConfig
	books ledger

	mu     sync.Mutex
	topics map[string]*journal
	closed bool
}

// RecordFile is <name>_<YYYYmmddTHHMMSSZ>.jsonl.
func RecordFile(name string, at time.Time) string { return name + "_" + stamp(at) + ".jsonl" }

// NewFiles touches no file.
func NewFiles(cfg FilesConfig) (*Files, error) {
	cfg.Now, cfg.Log, cfg.open = fileDefaults(cfg.Now, cfg.Log, cfg.open)
	if cfg.Name == nil {
		cfg.Name = RecordFile
	}
	if cfg.Dir == "" {
		return nil, &ConfigError{[]string{"Dir: must be set"}}
	}
	return &Files{cfg: cfg, topics: map[string]*journal{}}, nil
}

// Emit returns when every value is an fsynced line. Messages of one topic keep
// their order. The context is looked at before writing only; writing is not
// interrupted. On error the receipt counts the lines that are durable.
func (f *Files) Emit(ctx context.Context, msgs ...Message) (Receipt, error) {
	fates, err := f.EmitEach(ctx, msgs...)
	return Tally(fates), err
}

// EmitEach is Emit, and says of each message what became of it.
func (f *Files) EmitEach(ctx context.Context, msgs ...Message) ([]Fate, error) {
	fates := make([]Fate, len(msgs))
	if err := checkMessages(msgs); err != nil {
		return fates, err
	}
	for i := range msgs {
		if bytes.IndexByte(msgs[i].Value, '\n') >= 0 {
			return fates, &MessageError{i, msgs[i].Key, "the value holds a line feed and cannot be one line"}
		}
	}
	if err := ctx.Err(); err != nil {
		return fates, err
	}
	var lost *UndeliveredError
	for _, g := range byTopic(msgs) {
		n := len(g.members)
		f.books.accept(n)
		if err := f.write(g); err != nil {
			f.books.giveBack(n)
			if lost == nil {
				lost = &UndeliveredError{Cause: err}
			}
			lost.Count += n
			continue
		}
		f.books.settle(Receipt{Acked: n})
		for _, i := range g.members {
			fates[i] = FateAcked
		}
	}
	if lost != nil {
		return fates, lost
	}
	return fates, nil
}

// topicLines are the lines of one topic.
type topicLines struct {
	topic   string
	lines   []byte
	members []int // places among the messages
}

// byTopic keeps the order of the topics and of the messages within each.
func byTopic(msgs []Message) []*topicLines {
	var out []*topicLines
	index := map[string]*topicLines{}
	for i := range msgs {
		g := index[msgs[i].Topic]
		if g == nil {
			g = &topicLines{topic: msgs[i].Topic}
			index[g.topic] = g
			out = append(out, g)
		}
		g.lines = append(append(g.lines, msgs[i].Value...), '\n')
		g.members = append(g.members, i)
	}
	return out
}

func (f *Files) write(g *topicLines) error {
	j, err := f.journal(g.topic)
	if err != nil {
		return err
	}
	_, err = j.append(g.lines, len(g.members))
	return err
}

func (f *Files) journal(topic string) (*journal, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	j := f.topics[topic]
	if j == nil {
		j = &journal{log: f.cfg.Log}
		j.open = func() (*segment, error) {
			return openNew(f.cfg.open, f.cfg.Dir, f.cfg.Name(topic, f.cfg.Now()), 0o644, false)
		}
		f.topics[topic] = j
	}
	return j, nil
}

// Accounting returns the books as they are at this moment.
func (f *Files) Accounting() Accounting { return f.books.snapshot() }

// Metrics returns the collectors of this emitter, prefixed typostream_emit_.
func (f *Files) Metrics() []prometheus.Collector {
	return []prometheus.Collector{&bookCollector{books: &f.books}}
}

// Close closes all files after the writes under way. It is safe twice. The
// context is not used: a write to disk cannot be interrupted.
func (f *Files) Close(context.Context) error {
	f.mu.Lock()
	f.closed = true
	topics := f.topics
	f.mu.Unlock()
	var first error
	for _, j := range topics {
		if err := j.close(); err != nil && first == nil {
			first = fmt.Errorf("file-only mode: %w", err)
		}
	}
	return first
}
