package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/typostream/typostream/internal/store"
)

// feedChunk is how many rows are put into the queue at once.
const feedChunk = 256

// CSVFeedConfig is what a CSVFeed is made of.
type CSVFeedConfig struct {
	Path    string
	AtStart bool // read it at once, and not only when told
	// Optional makes no error of a file that is not there yet.
	Optional bool
	Queue    *QueueSource
	Rows     *store.Rows // nobody else's
	Metrics  *Metrics
	Log      *slog.Logger
}

// CSVFeed puts the seeds of a file into the queue: at the start all of them, for
// a scan that was interrupted is begun again, and when the file is read again
// those that it did not have before. It is a Source, but what it reads comes out
// of the queue's.
type CSVFeed struct {
	cfg      CSVFeedConfig
	reload   chan struct{}                                         // holds one token
	unlisted func(ctx context.Context, keys []store.SeedKey) error // may be nil

	mu      sync.Mutex
	feeding map[store.SeedKey]bool // on their way into the queue, and not marked
}

// NewCSVFeed reads nothing before Run.
func NewCSVFeed(cfg CSVFeedConfig) *CSVFeed {
	return &CSVFeed{cfg: cfg, reload: make(chan struct{}, 1), feeding: map[store.SeedKey]bool{}}
}

// Unlisted says who is told of rows that are gone; where that is an error they are
// told again. It must be called before Run.
func (c *CSVFeed) Unlisted(tell func(ctx context.Context, keys []store.SeedKey) error) {
	c.unlisted = tell
}

// Reload lets Run read the file again. It does not wait for that.
func (c *CSVFeed) Reload() {
	select {
	case c.reload <- struct{}{}:
	default:
	}
}

// Lists reports whether the file had the seed when it was read last.
func (c *CSVFeed) Lists(key store.SeedKey) (bool, error) {
	c.mu.Lock()
	feeding := c.feeding[key]
	c.mu.Unlock()
	if feeding {
		return true, nil
	}
	known, err := c.cfg.Rows.Known(key)
	return err == nil && known[0], err
}

// Run implements Source. A file that cannot be read is told, and waited for: it
// may be better when it is read again.
func (c *CSVFeed) Run(ctx context.Context, _ chan<- Delivery) error {
	if c.cfg.AtStart {
		err := c.read(ctx, false)
		switch {
		case c.absent(err):
			c.cfg.Log.Info("there is no file of seeds", "file", c.cfg.Path)
		case err != nil && ctx.Err() == nil:
			c.cfg.Log.Error("the file of seeds cannot be read; send SIGHUP when it can", "file", c.cfg.Path, "cause", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.reload:
		}
		err := c.read(ctx, true)
		switch {
		case c.absent(err):
			c.cfg.Log.Info("there is no file of seeds", "file", c.cfg.Path)
		case err != nil && ctx.Err() == nil:
			c.cfg.Log.Error("the file of seeds cannot be read again; nothing changes", "file", c.cfg.Path, "cause", err)
		}
	}
}

func (c *CSVFeed) absent(err error) bool { return c.cfg.Optional && errors.Is(err, fs.ErrNotExist) }

// read goes through the file once, or twice if it is read again: then it must be
// whole, and nothing changes before that is known.
func (c *CSVFeed) read(ctx context.Context, again bool) error {
	file, err := os.Open(c.cfg.Path)
	if err != nil {
		var system *fs.PathError
		if errors.As(err, &system) {
			return system.Err // the log names the file
		}
		return err
	}
	defer file.Close()
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if again {
		if err := c.check(file); err != nil {
			return err
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := unchanged(file, before); err != nil {
			return err
		}
	}
	r, err := c.queueRows(ctx, file, again)
	log := c.cfg.Log.Info
	if r.seeds == 0 && ctx.Err() == nil {
		log = c.cfg.Log.Warn
	}
	if err == nil && r.seeds > 0 {
		if err = unchanged(file, before); err == nil {
			r.gone, err = c.forget(ctx, r.reading)
		}
	}
	c.cfg.Optional = false // it is there
	log("seeds read", "file", c.cfg.Path, "seeds", r.seeds, "queued", r.queued, "gone", r.gone, "bad_rows", r.bad)
	return err
}

// unchanged is an error if somebody writes to the file.
func unchanged(file *os.File, before fs.FileInfo) error {
	now, err := file.Stat()
	if err != nil {
		return err
	}
	if now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime()) {
		return errors.New("it changed while it was read")
	}
	return nil
}

// check is an error if the file cannot be read to its end, has no seed, or ends
// within a line: then it is cut off, unless it had the very same row before.
func (c *CSVFeed) check(file io.Reader) error {
	end := &lastByte{r: file}
	seeds := 0
	var last Row
	for row := range ReadSeeds(end) {
		if row.Err != nil && row.Line == 0 {
			return row.Err
		}
		if last = row; row.Err == nil {
			seeds++
		}
	}
	if seeds == 0 {
		return errors.New("it holds no domain that can be used")
	}
	if end.last == '\n' {
		return nil
	}
	if last.Err == nil {
		if known, err := c.Lists(store.KeyOf(last.Seed.FQDN, last.Seed.Brand)); err != nil || known {
			return err
		}
	}
	return fmt.Errorf("line %d has no end, so it may be cut off; end it with a line feed if it is not", last.Line)
}

// lastByte remembers the last byte that was read.
type lastByte struct {
	r    io.Reader
	last byte
}

func (l *lastByte) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if n > 0 {
		l.last = p[n-1]
	}
	return n, err
}

// reading is what came of reading the file.
type reading struct {
	reading                  uint64
	seeds, queued, gone, bad int
}

// queueRows puts the rows into the queue, in order and as there is room.
func (c *CSVFeed) queueRows(ctx context.Context, file io.Reader, changed bool) (r reading, err error) {
	if r.reading, err = c.cfg.Rows.Begin(); err != nil {
		return r, err
	}
	var chunk []Submission
	flush := func() error {
		queued, err := c.queueChunk(ctx, r.reading, chunk, changed)
		r.queued += queued
		chunk = chunk[:0]
		return err
	}
	for row := range ReadSeeds(file) {
		switch {
		case row.Err != nil && row.Line == 0:
			return r, errors.Join(flush(), row.Err)
		case row.Err != nil:
			r.bad++
			c.cfg.Metrics.badRow()
			if r.bad <= maxReportedRows {
				c.cfg.Log.Warn("row cannot be used", "file", c.cfg.Path, "line", row.Line, "cause", row.Err)
			}
			continue
		}
		r.seeds++
		row.Seed.Origin = FromCSV
		chunk = append(chunk, Submission{Seed: row.Seed, Priority: ByFile, Source: FromCSV.String()})
		if len(chunk) == feedChunk {
			if err := flush(); err != nil {
				return r, err
			}
		}
	}
	return r, flush()
}

// queueChunk puts rows into the queue and then notes that the file had them, so
// that a crash in between costs a repeat. With changed only those are queued that
// the file did not have.
func (c *CSVFeed) queueChunk(ctx context.Context, reading uint64, chunk []Submission, changed bool) (queued int, err error) {
	keys := make([]store.SeedKey, len(chunk))
	for i, s := range chunk {
		keys[i] = store.KeyOf(s.Seed.FQDN, s.Seed.Brand)
	}
	wanted := chunk
	if changed {
		known, err := c.cfg.Rows.Known(keys...)
		if err != nil {
			return 0, err
		}
		wanted = nil
		for i, s := range chunk {
			if !known[i] {
				wanted = append(wanted, s)
			}
		}
	}
	c.mu.Lock()
	for _, key := range keys {
		c.feeding[key] = true
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		clear(c.feeding)
	}()
	if err := c.cfg.Queue.Feed(ctx, wanted); err != nil {
		return 0, err
	}
	return len(wanted), c.cfg.Rows.Mark(reading, keys...)
}

// forget forgets the rows that the reading did not have.
func (c *CSVFeed) forget(ctx context.Context, reading uint64) (gone int, err error) {
	err = c.cfg.Rows.Gone(reading, func(keys []store.SeedKey) error {
		gone += len(keys)
		if c.unlisted == nil {
			return nil
		}
		return c.unlisted(ctx, keys)
	})
	return gone, err
}
