//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what is seen of both workers at one moment.
type sample struct {
	at             time.Duration // since the clock started
	fed            int
	steady, mortal reading
	events         []string
}

// reading is what one worker's /metrics and directory say.
type reading struct {
	up         bool    // it answered
	rss        float64 // bytes
	live       float64 // bytes that the last collection left
	goroutines int
	inWork     int
	lag        int
	accepted   int64
	acked      int64
	spooled    int64
	balanced   bool
	files      int
	bytes      int64
}

// What the directory of a worker whose history is in Redis may hold at most: the
// state file, dead letters, and while brokers restart a spool.
const (
	maxFiles = 24
	maxBytes = 32 << 20
)

var asking = &http.Client{Timeout: 5 * time.Second}

// metrics are all series that the process shows, named as they are there.
func (c *command) metrics() (map[string]float64, error) {
	res, err := asking.Get(c.url() + "/metrics")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	series := map[string]float64{}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if !ok || name == "#" {
			continue
		}
		if value, err := strconv.ParseFloat(text, 64); err == nil {
			series[name] = value
		}
	}
	return series, lines.Err()
}

// read looks at the worker. One that is dead or has just been started does not
// answer.
func (t *tenant) read() (r reading) {
	c := t.now()
	r = reading{balanced: true}
	_ = filepath.WalkDir(t.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a file of the spool that has just been removed
		}
		if info, err := d.Info(); err == nil {
			r.files++
			r.bytes += info.Size()
		}
		return nil
	})
	m, err := c.metrics()
	if err != nil {
		return r
	}
	count := func(name string) int64 { return int64(m["typostream_emit_"+name]) }
	r.up, r.rss, r.goroutines = true, m["process_resident_memory_bytes"], int(m["go_goroutines"])
	r.live = m["go_memstats_next_gc_bytes"] / (1 + soakGOGC/100.0) // when the next is due
	r.inWork, r.lag = int(m["typostream_seeds_in_work"]), int(m["typostream_intake_lag_messages"])
	r.accepted, r.acked, r.spooled = count("accepted_events"), count("acked_total"), count("spooled_events")
	r.balanced = r.accepted == r.acked+r.spooled+count("dead_lettered_events")+count("in_flight_events")
	return r
}

func (k *soak) look() sample {
	s := sample{steady: k.steady.read(), mortal: k.mortal.read()}
	if k.begun.IsZero() {
		k.burst = max(k.burst, s.steady.rss, s.mortal.rss)
	}
	return s
}

// take adds a sample and prints it.
func (k *soak) take(out io.Writer) {
	s := k.look()
	s.at = time.Since(k.begun)
	k.mu.Lock()
	s.fed, s.events = k.fed, k.events
	k.events = nil
	k.samples = append(k.samples, s)
	k.mu.Unlock()
	printSample(out, s)
	for _, r := range []reading{s.steady, s.mortal} {
		if !r.balanced {
			k.fail("after %v: the books do not balance: %+v", s.at.Round(time.Second), r)
		}
		if r.files > maxFiles || r.bytes > maxBytes {
			k.fail("after %v: %d files with %d bytes in a worker's directory", s.at.Round(time.Second), r.files, r.bytes)
		}
	}
}

func printSampleHead(out io.Writer) {
	fmt.Fprintf(out, "%7s %6s | %-50s | %-50s |\n%7s %6s |%s|%s| what happened\n", "", "", "steady worker", "mortal worker", "time", "seeds", readingHead, readingHead)
}

const readingHead = "  RSS MiB   live goroutines lag   acked spool files KiB "

func printSample(out io.Writer, s sample) {
	fmt.Fprintf(out, "%7s %6d |%s|%s| %s\n", s.at.Round(time.Second), s.fed, s.steady, s.mortal, strings.Join(s.events, ", "))
}

func (r reading) String() string {
	if !r.up {
		return fmt.Sprintf("%*s ", len(readingHead)-1, "does not answer")
	}
	return fmt.Sprintf(" %8.1f %6.1f %10d %3d %7d %5d %5d %3d ", r.rss/(1<<20), r.live/(1<<20), r.goroutines, r.lag, r.acked, r.spooled, r.files, r.bytes>>10)
}

// shortSoak is the length below which a worker's end is measured amid a burst, or
// its beginning; burstSlack is how much one burst may take more than another. See
// judge.
const (
	shortSoak  = 30 * time.Minute
	burstSlack = 128 << 20
)

// judge compares the end with the beginning.
//
// What would grow by a leak is what collections leave: of that the least while
// seeds are scanned one at a time, after the soak, may be 1.2 times and 8 MiB
// what it was before.
//
// Resident memory is flat if the median of the steady worker's last twelfth is at
// most 1.2 times that of its second. But it swings with the work: after a kill
// the group stands still for half a minute or more, what gathered is scanned at
// once, and the kernel gets the memory back half a minute later. An hour has room
// for that; a short soak grants 128 MiB more. And no process of either worker may
// ever exceed 1.2 times and 128 MiB what the first ones had in the warm-up, a burst
// too: so a process that took a killed one's place is measured at any age.
//
// Goroutines: those of an idle worker after the soak, beside those of the idle
// one before it; amid a scan their number is the work's.
func (k *soak) judge(out io.Writer, before, after sample) {
	slack := 0.0
	if k.length < shortSoak {
		slack = burstSlack
	}
	most := 0.0
	var early, late []float64
	for _, s := range k.samples {
		if !s.steady.up {
			k.fail("after %v the steady worker does not answer", s.at.Round(time.Second))
		}
		largest := max(s.steady.rss, s.mortal.rss)
		switch twelfth := k.length / 12; {
		case s.at >= twelfth && s.at < 2*twelfth:
			early = append(early, s.steady.rss)
		case s.at >= 11*twelfth:
			late = append(late, s.steady.rss)
		}
		most = max(most, largest)
	}
	if len(early) == 0 || len(late) == 0 {
		k.fail("too few samples: %d early, %d late", len(early), len(late))
		return
	}
	k.compare(out, "left by a collection in the steady worker, one seed at a time", before.steady.live, after.steady.live, 8<<20)
	k.compare(out, "resident in the steady worker, median of the last twelfth", median(early), median(late), slack)
	k.compare(out, "resident in any process, at most", k.burst, most, burstSlack)
	fmt.Fprintf(out, "goroutines of the idle steady worker: %d, before %d\n", after.steady.goroutines, before.steady.goroutines)
	allowed := max(before.steady.goroutines, before.mortal.goroutines) * 6 / 5
	for _, r := range []reading{after.steady, after.mortal} {
		if r.goroutines > allowed {
			k.fail("an idle worker has %d goroutines, more than %d", r.goroutines, allowed)
		}
	}
}

func (k *soak) compare(out io.Writer, what string, before, after, slack float64) {
	fmt.Fprintf(out, "%s: %.1f MiB, in the beginning %.1f\n", what, after/(1<<20), before/(1<<20))
	if after > 1.2*before+slack {
		k.fail("%s: %.1f MiB, in the beginning %.1f", what, after/(1<<20), before/(1<<20))
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
