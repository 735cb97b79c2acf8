//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/typostream/typostream/emitter"
)

// orderEnv holds the order of a process that emits, in JSON. Such a process is
// this program again, so that it can be killed.
const orderEnv = "TYPOSTREAM_CHAOS_ORDER"

// order says what a process emits, and how.
type order struct {
	Brokers []string
	Via     map[string]string // where to connect to instead of an address
	Topic   string
	Dir     string
	Tag     string // begins every key; no two processes have the same

	Callers, Slice int
	Count          int           // events in all; 0: until told to stop
	Pause          time.Duration // of a caller, after each call
	BigEvery       int           // every so many events one is BigBytes large, of random letters; 0: none
	BigBytes       int

	CreateTopics bool
	Security     emitter.Security
	SegmentBytes int64
	JumpingClock bool
}

// books are the last words of a process that was not killed.
type books struct {
	emitter.Accounting
	Stall      time.Duration // longest time without an acknowledgement
	Unbalanced int           // how many snapshots of the books did not balance
	Left       int64         // in the spool when the process had no patience left
}

// breakerPeriod is shorter than the default, to save time: the scenarios wait for it.
const breakerPeriod = 2 * time.Second

// victim is a process that emits. On standard output it names each event that
// Emit took, and what became of it; standard input brings commands.
type victim struct {
	order order
	k     *emitter.Kafka

	phase   atomic.Int64
	next    atomic.Int64
	stopped atomic.Bool

	out    sync.Mutex
	w      *bufio.Writer
	stderr io.Writer
}

func runVictim(text string, stdin io.Reader, stdout, stderr io.Writer) error {
	v := &victim{w: bufio.NewWriter(stdout), stderr: stderr}
	if err := json.Unmarshal([]byte(text), &v.order); err != nil {
		return err
	}
	if err := v.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var background sync.WaitGroup
	background.Go(func() { v.k.Run(ctx) })
	background.Go(func() { v.check(ctx) })
	var b books
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	var watch sync.WaitGroup
	watch.Go(func() { v.watch(watching, &b) })
	commands := make(chan string, 16)
	go func() {
		defer close(commands)
		for in := bufio.NewScanner(stdin); in.Scan(); {
			commands <- in.Text()
		}
	}()
	last, err := v.obey(commands)
	if err != nil {
		return err
	}
	unwatch()
	watch.Wait()
	if last == "stop" {
		b.Left = v.awaitEmptySpool()
	}
	err = v.k.Close(context.Background())
	cancel()
	background.Wait()
	b.Accounting = v.k.Accounting()
	if !balanced(b.Accounting) {
		b.Unbalanced++
	}
	said, merr := json.Marshal(b)
	fmt.Fprintf(v.w, "B %s\n", said)
	return errors.Join(err, merr, v.w.Flush())
}

// limitFiles makes every write to a file beyond so many bytes fail; a limit for each file.
func limitFiles(n uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: math.MaxUint64})
}

func (v *victim) open() error {
	o := &v.order
	now := time.Now
	if o.JumpingClock {
		now = func() time.Time {
			return time.Now().Add(time.Duration(rand.Int64N(int64(96*time.Hour))) - 48*time.Hour)
		}
	}
	log := slog.New(slog.NewTextHandler(v.stderr, nil))
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: o.Dir, SegmentBytes: o.SegmentBytes, Now: now, Log: log})
	if err != nil {
		return err
	}
	dead, err := emitter.NewDeadLetters(emitter.DeadLettersConfig{Dir: o.Dir, Now: now, Log: log})
	if err != nil {
		return err
	}
	dial := o.Security.Dial
	if o.Via != nil {
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return o.Security.Dial(ctx, network, o.Via[addr])
		}
	}
	v.k, err = emitter.NewKafka(emitter.KafkaConfig{
		Brokers: o.Brokers, CreateTopics: o.CreateTopics, BreakerPeriod: breakerPeriod, Dial: dial, Log: log,
	}, spool, dead)
	if err != nil {
		return err
	}
	return v.k.Recover()
}

// check asks after Kafka as the worker does.
func (v *victim) check(ctx context.Context) {
	for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
		_ = v.k.Check(ctx, v.order.Topic) // the emitter notes what it finds
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// watch looks at the books again and again.
func (v *victim) watch(ctx context.Context, b *books) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	var acked int64
	var since time.Time
	for ctx.Err() == nil {
		a := v.k.Accounting()
		if !balanced(a) {
			b.Unbalanced++
		}
		now := time.Now()
		if !since.IsZero() {
			b.Stall = max(b.Stall, now.Sub(since))
		}
		if a.Acked != acked {
			acked, since = a.Acked, now
		}
		<-tick.C
	}
}

func balanced(a emitter.Accounting) bool {
	return a.Accepted == a.Acked+a.Spooled+a.DeadLettered+a.InFlight
}

// obey emits until all is emitted or a command ends it; that is returned.
func (v *victim) obey(commands <-chan string) (last string, err error) {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		var callers sync.WaitGroup
		for range v.order.Callers {
			callers.Go(v.emit)
		}
		callers.Wait()
	}()
	for {
		select {
		case c, ok := <-commands:
			if !ok {
				return "", errors.New("whoever started us is gone")
			}
			switch c {
			case "phase":
				v.phase.Add(1)
				v.say("P\n")
			case "full", "room":
				signal.Ignore(syscall.SIGXFSZ)
				if err := limitFiles(map[string]uint64{"full": 1, "room": math.MaxUint64}[c]); err != nil {
					return "", fmt.Errorf("the limit on the size of files: %w", err)
				}
			case "nosync":
				if err := breakSync(); err != nil {
					return "", err
				}
			case "stop", "end":
				v.stopped.Store(true)
				<-finished
				return c, nil
			}
		case <-finished:
			if v.order.Count > 0 {
				return "stop", nil
			}
		}
	}
}

func (v *victim) say(text string) {
	v.out.Lock()
	defer v.out.Unlock()
	_, _ = v.w.WriteString(text)
	_ = v.w.Flush()
}

func (v *victim) emit() {
	o := &v.order
	msgs := make([]emitter.Message, 0, o.Slice)
	for !v.stopped.Load() {
		msgs = msgs[:0]
		for range o.Slice {
			n := v.next.Add(1)
			if o.Count > 0 && n > int64(o.Count) {
				break
			}
			msgs = append(msgs, v.message(n))
		}
		if len(msgs) == 0 {
			return
		}
		fates, _ := v.k.EmitEach(context.Background(), msgs...) // the fates say it all
		var text strings.Builder
		for i, fate := range fates {
			fmt.Fprintf(&text, "%c %s\n", "RASD"[fate], msgs[i].Key)
		}
		v.say(text.String())
		if o.Pause > 0 {
			time.Sleep(o.Pause)
		}
	}
}

func (v *victim) message(n int64) emitter.Message {
	key := fmt.Sprintf("%s.%d.%07d", v.order.Tag, v.phase.Load(), n)
	pad := strings.Repeat("x", 200)
	if v.order.BigEvery > 0 && n%int64(v.order.BigEvery) == 0 {
		key += ".big"
		big := make([]byte, v.order.BigBytes)
		for i := range big {
			big[i] = 'A' + byte(rand.IntN(58))
			if big[i] == '\\' {
				big[i] = 'x'
			}
		}
		pad = string(big)
	}
	return emitter.Message{Topic: v.order.Topic, Key: key, Value: fmt.Appendf(nil, `{"canonical_fqdn":%q,"pad":%q}`, key, pad)}
}

// awaitEmptySpool returns how many events are still in the spool.
func (v *victim) awaitEmptySpool() int64 {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); ; <-tick.C {
		if left := v.k.Accounting().Spooled; left == 0 || time.Now().After(until) {
			return left
		}
	}
}
