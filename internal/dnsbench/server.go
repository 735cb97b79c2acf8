//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/typostream/typostream/internal/dnsbench/responder"
)

// settle is how long the server is left alone after a run, for what the tool
// sent and did not wait for.
const settle = 100 * time.Millisecond

// A server is "dnsbench serve" in a process of its own, on one core.
type server struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	out       *bufio.Reader
	addresses []string
}

func startServer(ctx context.Context, self string, core int, list string, count int, f responder.Faults, stderr io.Writer) (*server, error) {
	cmd := exec.CommandContext(ctx, self, "serve", "-list", list, "-servers", strconv.Itoa(count),
		"-delay", f.Delay.String(), "-loss", fmt.Sprint(f.Loss), "-servfail", fmt.Sprint(f.ServFail),
		"-cap", strconv.Itoa(f.Cap), "-seed", strconv.FormatUint(f.Seed, 10), "-no-gso="+strconv.FormatBool(f.NoGSO))
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(core, cmd); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the DNS server did not start: %w", err), s.close())
	}
	s.addresses = strings.Fields(line)
	return s, nil
}

// stats returns the counts when nothing is under way any more.
func (s *server) stats() (responder.Stats, error) {
	last, err := s.ask()
	for err == nil {
		time.Sleep(settle)
		var now responder.Stats
		if now, err = s.ask(); now == last {
			break
		}
		last = now
	}
	return last, err
}

func (s *server) ask() (stats responder.Stats, err error) {
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		return stats, err
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return stats, err
	}
	return stats, json.Unmarshal(line, &stats)
}

func (s *server) close() error {
	return errors.Join(s.in.Close(), s.cmd.Wait())
}
