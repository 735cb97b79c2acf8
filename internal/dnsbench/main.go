//go:build linux

// Command dnsbench measures typostream against other bulk resolvers, all of
// them on a DNS server of its own that it can tell apart from a perfect one.
//
//	go run ./internal/dnsbench                   # every scenario, with the tools that are found
//	go run ./internal/dnsbench -install          # besides, install dnsx and dnstwist into a temporary folder
//	go run ./internal/dnsbench -run scan,soak    # these scenarios
//	go run ./internal/dnsbench serve -list FILE  # the DNS server alone
//
// Tools run in turn, round after round, each on one core and the server on
// another, and every answer that a tool keeps is compared with what the server
// has. docs/BENCH.md explains the columns.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "dnsbench: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "serve":
		return serve(ctx, args[1:], stdin, stdout, stderr)
	case "launch": // started by this program only
		return launch(ctx, args[1:], stdin, stdout, stderr)
	default:
		return bench(ctx, args, stdout, stderr)
	}
}
