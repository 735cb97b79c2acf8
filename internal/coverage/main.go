// Command coverage measures how many known squats the fuzzer generates, and
// makes the counts that its ranking is built on.
//
//	go run ./internal/coverage FILE         # the table, cross-validated by brand
//	go run ./internal/coverage -missed FILE # besides, source, seed, squat and places of what it missed
//	go run ./internal/coverage nested FILE  # how the model's weights are chosen, by nested cross-validation; minutes
//	go run ./internal/coverage train FILE   # a new fuzzer/ranking.tsv, on standard output
//
// FILE is a table with the columns seed, squat and source, separated by tabs,
// under a line that names them.
package main

import (
	"bufio"
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
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "coverage: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	mode := ""
	if len(args) == 2 {
		mode, args = args[0], args[1:]
	}
	if len(args) != 1 || mode != "" && mode != "train" && mode != "nested" && mode != "-missed" {
		return fmt.Errorf("usage: coverage [train | nested | -missed] FILE")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	list, err := readSquats(file)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	for _, reason := range list.refused {
		fmt.Fprintf(stderr, "coverage: warning: %s: %s\n", args[0], reason)
	}
	out := bufio.NewWriter(stdout)
	switch mode {
	case "train":
		err = train(out, list)
	case "nested":
		err = wholeSearch().nested(ctx, stdout, list) // minutes: each group is told as it is done
	default:
		var report report
		if report, err = measure(ctx, list); err == nil {
			err = report.print(out, mode == "-missed")
		}
	}
	if err != nil {
		return err
	}
	return out.Flush()
}
