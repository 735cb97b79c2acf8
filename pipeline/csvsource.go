package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// maxReportedRows bounds the bad rows of one file that get a line of their own
// in the log; the rest is counted.
const maxReportedRows = 20

// CSVSource hands out the seeds of one file, once.
type CSVSource struct {
	Name    string // for messages
	Open    func() (io.ReadCloser, error)
	Metrics *Metrics
	Log     *slog.Logger

	seeds atomic.Int64
}

// Seeds is how many seeds the file has given so far. Safe for concurrent use.
func (c *CSVSource) Seeds() int { return int(c.seeds.Load()) }

// Run implements Source. A file that cannot be opened or read to its end is an
// error; a bad row is a warning and a count. A seed that could not be finished
// because ctx ended is not remembered: the file is read again at the next start.
func (c *CSVSource) Run(ctx context.Context, out chan<- Delivery) error {
	file, err := c.Open()
	if err != nil {
		return fmt.Errorf("seeds: %w", err)
	}
	defer file.Close()
	var deliveries sync.WaitGroup
	defer deliveries.Wait()
	scan := fmt.Sprintf("csv-%d", time.Now().UnixMilli())
	bad := 0
	defer func() {
		log := c.Log.Info
		if c.Seeds() == 0 && ctx.Err() == nil {
			log = c.Log.Warn
		}
		log("seeds read", "file", c.Name, "seeds", c.Seeds(), "bad_rows", bad)
	}()
	for row := range ReadSeeds(file) {
		if row.Err != nil {
			if row.Line == 0 {
				return fmt.Errorf("seeds: %s: %w", c.Name, row.Err)
			}
			bad++
			c.Metrics.badRow()
			if bad <= maxReportedRows {
				c.Log.Warn("row cannot be used", "file", c.Name, "line", row.Line, "cause", row.Err)
			}
			continue
		}
		seed := row.Seed
		seed.Origin, seed.Scan = FromCSV, fmt.Sprintf("%s-%d", scan, row.Line)
		deliveries.Add(1)
		select {
		case out <- Delivery{Seed: seed, Context: context.Background(), Done: func(error) { deliveries.Done() }}:
			c.seeds.Add(1)
		case <-ctx.Done():
			deliveries.Done()
			return nil
		}
	}
	return nil
}
