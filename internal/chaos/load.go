//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for something that must come. It is generous: a
// slow machine is no fault.
const patience = 3 * time.Minute

// load is a process that emits, as seen from outside.
type load struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   string // file
	done  chan struct{}

	mu     sync.Mutex
	fates  map[string]byte // by key: A acked, S spooled, D dead-lettered; what was handed back is not in it
	counts map[byte]int
	phases int
	books  *books
	err    error // of the process
}

// startLoad starts a process that ends with us.
func startLoad(o order, log string) (*load, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &load{cmd: exec.Command(self), log: log, done: make(chan struct{}), fates: map[string]byte{}, counts: map[byte]int{}}
	l.cmd.Env = append(l.cmd.Environ(), orderEnv+"="+string(text))
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	l.cmd.Stderr = file
	stdout, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	go l.read(stdout)
	return l, nil
}

func (l *load) read(stdout io.Reader) {
	defer close(l.done)
	in := bufio.NewReader(stdout)
	for {
		line, err := in.ReadString('\n')
		if err != nil { // a line that was cut was said by nobody
			break
		}
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		l.mu.Lock()
		switch kind {
		case "P":
			l.phases++
		case "B":
			l.books = &books{}
			l.err = json.Unmarshal([]byte(rest), l.books)
		default:
			l.counts[kind[0]]++
			if kind != "R" {
				l.fates[rest] = kind[0]
			}
		}
		l.mu.Unlock()
	}
	if err := l.cmd.Wait(); l.err == nil {
		l.err = err
	}
}

func (l *load) command(c string) error {
	_, err := io.WriteString(l.stdin, c+"\n")
	return err
}

func (l *load) count(fate byte) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[fate]
}

// await returns when n more events than now have met that fate.
func (l *load) await(ctx context.Context, fate byte, n int) error {
	want := l.count(fate) + n
	return l.until(ctx, fmt.Sprintf("%d more events of fate %c", n, fate), func() bool { return l.count(fate) >= want })
}

func (l *load) until(ctx context.Context, what string, condition func() bool) error {
	ended := errors.New("the process has ended: " + l.tail())
	return eventually(ctx, what, func() (bool, error) {
		if condition() {
			return true, nil
		}
		select {
		case <-l.done:
			return false, ended
		default:
			return false, nil
		}
	})
}

// newPhase returns when every later event has a key that tells so.
func (l *load) newPhase(ctx context.Context) error {
	l.mu.Lock()
	want := l.phases + 1
	l.mu.Unlock()
	if err := l.command("phase"); err != nil {
		return err
	}
	return l.until(ctx, "a new phase", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.phases >= want
	})
}

// finish tells the process to end in order, with an empty spool, and returns when it has.
func (l *load) finish(ctx context.Context) error {
	_ = l.command("stop") // it may have ended by itself; what counts follows
	return l.wait(ctx)
}

func (l *load) wait(ctx context.Context) error {
	timer := time.NewTimer(2 * patience)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return errors.New("the process does not end")
	}
	if l.err != nil || l.books == nil {
		return fmt.Errorf("the process failed: %w\n%s", l.err, l.tail())
	}
	return nil
}

// kill ends the process at once (SIGKILL) and returns when all it said is read.
func (l *load) kill() {
	_ = l.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	<-l.done
}

// said counts the lines of the log that hold the text.
func (l *load) said(text string) (n int) {
	b, _ := os.ReadFile(l.log) // an unreadable log says nothing
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// tail is the end of the log.
func (l *load) tail() string {
	b, err := os.ReadFile(l.log)
	if err != nil {
		return err.Error()
	}
	return filepath.Base(l.log) + ": …" + string(b[max(0, len(b)-2000):])
}

// eventually asks until the condition is true.
func eventually(ctx context.Context, what string, condition func() (bool, error)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		if ok, err := condition(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return fmt.Errorf("never came, in %v: %s", patience, what)
		}
	}
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
