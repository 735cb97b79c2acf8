//go:build unix

package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"
)

// load is how many call at once, and with how many messages each time.
type load struct{ callers, slice int }

var loads = []load{{1, 1}, {64, 1}, {1024, 1}, {4, 1000}}

// figures of one measurement, per message where that makes sense.
type figures struct {
	perSecond float64
	p50, p99  time.Duration
	cpu       time.Duration
	allocs    float64
}

func (b *bench) compare(ctx context.Context, brokers []string, delay time.Duration) error {
	t := target{brokers: brokers, topic: topic, compression: b.compression, dial: delayed(delay)}
	events := makeEvents("e", 100_000)
	out := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(out, "callers × messages\tclient\tmessages/s\tp50\tp99\tCPU µs/message\tallocations/message\t\n")
	for _, l := range loads {
		if b.callers != 0 && b.callers != l.callers {
			continue
		}
		opens := []func(target) (client, error){typostream, writer, franz}
		if l == (load{1, 1}) {
			opens = append(opens, roundTrip)
		}
		names := make([]string, len(opens))
		runs := make([][]figures, len(opens))
		for round := range b.rounds {
			for i := range opens {
				i = (i + round) % len(opens)
				c, err := opens[i](t)
				if err != nil {
					return err
				}
				names[i] = c.name
				f, err := b.measure(ctx, c, l, events)
				c.close()
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				runs[i] = append(runs[i], f)
			}
		}
		for i, name := range names {
			f := median(runs[i])
			fmt.Fprintf(out, "%d × %d\t%s\t%.0f\t%v\t%v\t%.1f\t%.1f\t\n", l.callers, l.slice, name, f.perSecond,
				f.p50.Round(10*time.Microsecond), f.p99.Round(10*time.Microsecond), float64(f.cpu.Nanoseconds())/1000, f.allocs)
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// heat puts load on the brokers, a third of the time by each client.
func (b *bench) heat(ctx context.Context, brokers []string) error {
	if b.warm <= 0 {
		return nil
	}
	opens := []func(target) (client, error){typostream, writer, franz}
	for _, open := range opens {
		c, err := open(target{brokers: brokers, topic: topic, compression: b.compression, dial: delayed(0)})
		if err != nil {
			return err
		}
		_, _, err = drive(ctx, c, load{1024, 1}, makeEvents("w", 100_000), b.warm/time.Duration(len(opens)))
		c.close()
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// measure warms up for a quarter of the duration.
func (b *bench) measure(ctx context.Context, c client, l load, events []event) (figures, error) {
	if _, _, err := drive(ctx, c, l, events, b.duration/4); err != nil {
		return figures{}, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	calls, took, err := drive(ctx, c, l, events, b.duration)
	if err != nil {
		return figures{}, err
	}
	runtime.ReadMemStats(&after)
	n := float64(calls * l.slice)
	slices.Sort(took)
	return figures{
		perSecond: n / time.Since(start).Seconds(), p50: took[len(took)/2], p99: took[len(took)*99/100],
		cpu: time.Duration(float64(cpuTime()-cpu) / n), allocs: float64(after.Mallocs-before.Mallocs) / n,
	}, nil
}

// drive calls send for the duration and returns how long each call took.
func drive(ctx context.Context, c client, l load, events []event, d time.Duration) (calls int, took []time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var over atomic.Bool
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	each := make([][]time.Duration, l.callers)
	var wg sync.WaitGroup
	for caller := range l.callers {
		wg.Go(func() {
			for n := caller * 97; !over.Load() && ctx.Err() == nil; n++ {
				at := n * l.slice % (len(events) - l.slice)
				start := time.Now()
				if err := c.send(ctx, events[at:at+l.slice]); err != nil {
					cancel(err)
					return
				}
				each[caller] = append(each[caller], time.Since(start))
			}
		})
	}
	wg.Wait()
	took = slices.Concat(each...)
	if len(took) == 0 && ctx.Err() == nil {
		return 0, nil, fmt.Errorf("not one call in %v", d)
	}
	return len(took), took, context.Cause(ctx)
}

func median(runs []figures) figures {
	slices.SortFunc(runs, func(a, b figures) int { return int(a.perSecond - b.perSecond) })
	return runs[len(runs)/2]
}

// cpuTime is the process's user and system time.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
