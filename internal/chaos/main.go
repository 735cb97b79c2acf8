//go:build linux

// Command chaos proves on three real Kafka brokers that nothing is lost:
// make chaos.
//
//	go run ./internal/chaos                     # every scenario, 25 minutes at most
//	go run ./internal/chaos -short              # those and that much of the gate
//	go run ./internal/chaos -run 'kill|network' # these scenarios
//	go run ./internal/chaos -soak 1h            # instead: two workers for an hour, see soak.go
//
// A scenario has processes emit – the emitter in a process of its own, or the
// real command – while brokers, network, disk or the process itself fail. Then
// the books must balance, and the topic, read back by franz-go, must hold every
// event that was promised to be durable: lost is 0, always. It must hold none
// twice, but for those that the books call ambiguous and those that a process
// had under way when it was killed; these are counted.
//
// Exit codes: 0 all of this is so, 1 it is not, 3 not all was done in time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	if text := os.Getenv(orderEnv); text != "" {
		if err := runVictim(text, os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "chaos: a process that emits:", err)
			os.Exit(1)
		}
		return
	}
	short := flag.Bool("short", false, "shorter faults, fewer kills")
	only := flag.String("run", "", "the scenarios whose names match this `expression`")
	limit := flag.Duration("limit", 25*time.Minute, "`TIME` for all")
	length := flag.Duration("soak", 0, "instead of the scenarios, two workers for this `TIME` while brokers are restarted and one of them is killed")
	keep := flag.String("keep", "", "`FOLDER` for the logs and files of all scenarios; none: a temporary one")
	flag.Parse()
	names, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *length > 0 {
		if err := runSoak(ctx, options{dir: *keep, log: os.Stderr}, *length, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "soak: FAILED:", err)
			os.Exit(1)
		}
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, errOutOfTime)
	defer cancel()
	rows, err := run(ctx, options{short: *short, names: names, dir: *keep, log: os.Stderr})
	printTable(os.Stdout, rows)
	for _, r := range rows {
		if r.err != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", r.name, r.err))
		}
	}
	switch {
	case errors.Is(err, errOutOfTime):
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}
