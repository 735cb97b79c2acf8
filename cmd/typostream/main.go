// Command typostream watches brands: it generates the look-alikes of their
// domains, asks the DNS about each and delivers the registered ones.
//
// What goes where: data on standard output, and nothing else; everything said
// to a person on standard error, each line beginning with "typostream: "; the
// worker's log on standard error, a JSON object a line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata" // time zones, where the system has none
	"unicode"
	"unicode/utf8"
)

// Exit codes are an interface; the README has the same table.
const (
	exitDone        = 0   // all done and delivered
	exitFailed      = 1   // something failed
	exitUsage       = 2   // usage, configuration, or an argument that is no domain
	exitIncomplete  = 3   // finished, but too many names unknown or events still in the spool
	exitInterrupted = 130 // ended by a signal
)

func main() {
	os.Exit(run(context.Background(), os.Args, os.LookupEnv, os.Stdin, os.Stdout, os.Stderr))
}

// terminal is the command's surroundings: everything that main took from the
// process, passed on so that tests can give their own.
type terminal struct {
	lookupEnv func(string) (string, bool)
	stdin     io.Reader
	stdout    io.Writer
	stderr    *screen

	// log is set when standard error is a log for machines: then what is said
	// to a person goes there too.
	log atomic.Pointer[slog.Logger]
}

// run is the whole command; only main knows the process. The first SIGINT or
// SIGTERM ends ctx, so that work in progress is finished; the second ends run at
// once, whatever is still going on. The same signal again within a second is
// the first one still: timeout(1) and terminals send it to the process and to
// its group.
func run(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, drain := context.WithCancel(ctx)
	defer drain()
	t := &terminal{lookupEnv: lookupEnv, stdin: &interruptible{ctx: ctx, r: stdin}, stdout: stdout, stderr: &screen{w: stderr}}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)

	var (
		signalled atomic.Bool
		first     os.Signal
		at        time.Time
	)
	finished := make(chan int, 1)
	go func() { finished <- t.exitCode(newCommand(t).Run(ctx, args), signalled.Load) }()
	for {
		select {
		case code := <-finished:
			return code
		case got := <-signals:
			if got == first && time.Since(at) < time.Second {
				continue
			}
			first, at = got, time.Now()
			if signalled.Swap(true) {
				t.say("stopped by a second signal")
				return exitInterrupted
			}
			drain()
		}
	}
}

// exitCode says on standard error what went wrong and turns it into the exit
// code.
func (t *terminal) exitCode(err error, signalled func() bool) int {
	var (
		usage      *usageError
		incomplete *incompleteError
	)
	switch {
	case err == nil:
		return exitDone
	case signalled() && errors.Is(err, context.Canceled):
		t.say("interrupted")
		return exitInterrupted
	case errors.As(err, &usage):
		t.complain(err)
		return exitUsage
	case errors.As(err, &incomplete):
		t.say("%s", incomplete)
		return exitIncomplete
	default:
		t.complain(err)
		return exitFailed
	}
}

// complain prints an error and, if some error of its chain knows one, a hint.
func (t *terminal) complain(err error) {
	hint := ""
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		hint = hinted.Hint()
	}
	if log := t.log.Load(); log != nil {
		if hint != "" {
			log = log.With("hint", hint)
		}
		log.Error(err.Error())
		return
	}
	t.say("error: %s", err)
	if hint != "" {
		t.say("hint: %s", hint)
	}
}

// say prints a line for a person.
func (t *terminal) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if log := t.log.Load(); log != nil {
		log.Warn(text)
		return
	}
	fmt.Fprintf(t.stderr, "typostream: %s\n", printable(text))
}

// printable is the text as one line without anything that a terminal obeys:
// names of files and texts of strangers may hold escape sequences.
func printable(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\n':
			b.WriteString("; ") // errors.Join
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
