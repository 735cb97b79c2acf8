//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/typostream/typostream/internal/dnsbench/responder"
)

// A measurement is one run of one tool.
type measurement struct {
	usage
	verdict
	Server responder.Stats `json:"server"` // of this run
}

// A row is all runs of one tool in a scenario.
type row struct {
	Tool    string        `json:"tool"`
	Setting []string      `json:"setting,omitempty"`
	Runs    []measurement `json:"runs"`
	figures
}

// measure runs the tools in turn.
func (b *benchmark) measure(ctx context.Context, sc scenario) (*result, error) {
	w, err := b.prepare(ctx, sc)
	if err != nil {
		return nil, err
	}
	w.faulty = sc.faults != responder.Faults{}
	sc.faults.Seed, sc.faults.NoGSO = 1, b.noGSO
	s, err := startServer(ctx, b.self, b.cores[1], w.list, sc.servers, sc.faults, b.stderr)
	if err != nil {
		return nil, err
	}
	defer s.close()
	w.servers = s.addresses
	r := &result{Scenario: sc.name, About: sc.about, Names: len(w.names), Needed: w.needed, Ours: len(b.ours)}
	tools := slices.Clone(b.ours)
	for _, name := range sc.peers {
		if t, ok := b.peers[name]; ok {
			tools = append(tools, t)
		} else {
			r.Missing = append(r.Missing, name)
		}
	}
	for _, t := range tools {
		setting, err := b.calibrate(ctx, t, w, s)
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, &row{Tool: t.name, Setting: setting})
	}
	rounds := b.rounds
	if sc.rounds > 0 {
		rounds = sc.rounds
	}
	for round := range rounds {
		for k := range tools {
			i := (round + k) % len(tools) // nobody is always the first
			m, err := b.once(ctx, tools[i], r.Rows[i].Setting, w, s, sc.sample)
			if err != nil {
				return nil, err
			}
			r.Rows[i].Runs = append(r.Rows[i].Runs, m)
			r.GSO = m.Server.GSO
		}
	}
	for _, row := range r.Rows {
		row.figures = summarise(row.Runs, len(w.names), w.needed)
	}
	return r, nil
}

// calibrate returns the setting with the fewest bad answers, and of these the
// one with which the tool is the fastest.
func (b *benchmark) calibrate(ctx context.Context, t tool, w *work, s *server) ([]string, error) {
	candidates := t.settings
	if w.faulty {
		candidates = slices.Concat(candidates, t.patient)
	}
	if len(candidates) == 1 {
		return candidates[0], nil
	}
	var best measurement
	var setting []string
	for i, candidate := range candidates {
		m, err := b.once(ctx, t, candidate, w, s, 0)
		if err != nil {
			return nil, err
		}
		// A handful of losses decides nothing: a peer is not to be slowed for them.
		slack := len(w.names) / 1000
		if i == 0 || m.bad()+slack < best.bad() || m.bad() <= best.bad()+slack && m.Wall < best.Wall {
			best, setting = m, candidate
		}
	}
	return setting, nil
}

// once runs a tool and checks its answers.
func (b *benchmark) once(ctx context.Context, t tool, setting []string, w *work, s *server, sample time.Duration) (m measurement, err error) {
	if err := errors.Join(os.RemoveAll(w.dir), os.Mkdir(w.dir, 0o700)); err != nil {
		return m, err
	}
	before, err := s.stats()
	if err != nil {
		return m, err
	}
	output := filepath.Join(b.dir, "output")
	if m.usage, err = b.launch(ctx, t.command(w, setting), output, w.dir, sample); err != nil {
		return m, fmt.Errorf("%s: %w", t.name, err)
	}
	if m.Exit != 0 && !slices.Contains(t.exits, m.Exit) {
		return m, fmt.Errorf("%s: exit status %d", t.name, m.Exit)
	}
	after, err := s.stats()
	if err != nil {
		return m, err
	}
	m.Server = after.Minus(before)
	file, err := os.Open(output)
	if err != nil {
		return m, err
	}
	defer file.Close()
	if m.verdict, err = t.check(w, file); err != nil {
		return m, fmt.Errorf("%s: its output: %w", t.name, err)
	}
	if b.verbose {
		fmt.Fprintf(b.stderr, "%-24s %-18v %8.3f s  %+v  %+v\n", t.name, setting, m.Wall.Seconds(), m.verdict, m.Server)
	}
	return m, nil
}

// launch runs a command on the core of the tools, with its output into a file.
func (b *benchmark) launch(ctx context.Context, command []string, output, dir string, sample time.Duration) (u usage, err error) {
	out, err := os.Create(output)
	if err != nil {
		return u, err
	}
	defer out.Close()
	report := filepath.Join(b.dir, "usage")
	args := append([]string{"launch", "-core", strconv.Itoa(b.cores[0]), "-report", report, "-sample", sample.String(), "--"}, command...)
	cmd := exec.CommandContext(ctx, b.self, args...)
	// No setting of the user's is to change what is measured, nor is a tool to leave files with him.
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	cmd.Dir, cmd.Stdout = dir, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	complaints, err := os.Create(filepath.Join(b.dir, "complaints"))
	if err != nil {
		return u, err
	}
	defer complaints.Close()
	cmd.Stderr = complaints
	if err := cmd.Run(); err != nil {
		return u, err
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return u, err
	}
	if err := json.Unmarshal(text, &u); err != nil {
		return u, err
	}
	if u.Exit != 0 {
		if _, err := complaints.Seek(0, io.SeekStart); err != nil {
			return u, err
		}
		_, err = io.Copy(b.stderr, io.LimitReader(complaints, 4096))
	}
	return u, err
}
