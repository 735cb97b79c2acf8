//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/typostream/typostream/internal/dnsbench/responder"
)

// serve prints the addresses of its servers on one line, and then the counts of
// all of them together, as JSON, for each line that it reads. It ends at the end
// of its input or of ctx.
func serve(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var f responder.Faults
	flags := flag.NewFlagSet("dnsbench serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := flags.String("list", "", "the names that exist are among those in `FILE`, one a line")
	count := flags.Int("servers", 1, "number of servers, each with an address of its own")
	flags.DurationVar(&f.Delay, "delay", 0, "time before an answer is sent")
	flags.Float64Var(&f.Loss, "loss", 0, "share of queries that vanish, 0 to 1")
	flags.Float64Var(&f.ServFail, "servfail", 0, "share of queries that are answered with SERVFAIL, 0 to 1")
	flags.IntVar(&f.Cap, "cap", 0, "queries a second and server beyond which they vanish; 0 for no limit")
	flags.Uint64Var(&f.Seed, "seed", 1, "seed of what is random")
	flags.BoolVar(&f.NoGSO, "no-gso", false, "send each answer as a datagram of its own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *list == "" || flags.NArg() > 0 || *count < 1 {
		return errors.New("usage: dnsbench serve -list FILE [options]")
	}
	text, err := os.ReadFile(*list)
	if err != nil {
		return err
	}
	table := responder.NewTable(strings.Fields(string(text)))
	servers := make([]*responder.Server, 0, *count)
	defer func() {
		for _, s := range servers {
			s.Close()
		}
	}()
	var addresses []string
	for range *count {
		s, err := responder.Start(table, f)
		if err != nil {
			return err
		}
		servers = append(servers, s)
		addresses = append(addresses, s.Addr().String())
		f.Seed += 1 << 32 // each server has luck of its own
	}
	fmt.Fprintln(stdout, strings.Join(addresses, " "))
	return tellStats(ctx, servers, stdin, stdout)
}

func tellStats(ctx context.Context, servers []*responder.Server, stdin io.Reader, stdout io.Writer) error {
	lines := make(chan struct{})
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(stdin); in.Scan(); {
			select {
			case lines <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-lines:
			if !ok {
				return nil
			}
		}
		total := servers[0].Stats()
		for _, s := range servers[1:] {
			total = total.Plus(s.Stats())
		}
		if err := json.NewEncoder(stdout).Encode(total); err != nil {
			return err
		}
	}
}
