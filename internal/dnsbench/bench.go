//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/typostream/typostream/internal/dnsbench/zone"
)

// settings are the options of the benchmark.
type settings struct {
	rounds   int
	only     string
	install  bool
	asJSON   bool
	noGSO    bool
	portable string
	ours     binaries
	peers    map[string]string // paths by tool; "" is to be looked for
	verbose  bool
}

// binaries are given as NAME=PATH.
type binaries []tool

func (b *binaries) String() string { return "" }

func (b *binaries) Set(value string) error {
	name, path, ok := strings.Cut(value, "=")
	if !ok || name == "" || path == "" {
		return errors.New("is to be NAME=PATH")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	*b = append(*b, typostreamTool(name, path))
	return nil
}

func parseSettings(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{peers: map[string]string{}}
	flags := flag.NewFlagSet("dnsbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&s.rounds, "rounds", 5, "runs of each tool in each scenario")
	flags.StringVar(&s.only, "run", "", "run these scenarios only, separated by commas (default all)")
	flags.BoolVar(&s.install, "install", false, "install dnsx and dnstwist into a temporary folder")
	flags.BoolVar(&s.asJSON, "json", false, "print JSON instead of tables")
	flags.BoolVar(&s.noGSO, "no-gso", false, "let the server send each answer as a datagram of its own")
	flags.StringVar(&s.portable, "portable", "portable", "without -typostream, measure besides what is built with this build `TAG`, which leaves out the system calls of Linux; empty for nothing")
	flags.Var(&s.ours, "typostream", "measure the typostream at `NAME=PATH`; may be repeated, the first is what others are compared with (default: those built from here)")
	flags.BoolVar(&s.verbose, "v", false, "tell every run on standard error")
	for _, name := range []string{"dnsperf", "dnsx", "massdns", "python"} {
		flags.Func(name, "`PATH` of "+name+" (default: looked for, except massdns)", func(path string) error {
			s.peers[name] = path
			return nil
		})
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 || s.rounds < 1 {
		return nil, errors.New("usage: dnsbench [options]; -rounds must be at least 1")
	}
	return s, nil
}

// A benchmark is what all scenarios need.
type benchmark struct {
	*settings
	self   string // this program
	dir    string // temporary
	cores  [2]int // of the tool, of the server
	ours   []tool
	peers  map[string]tool
	stderr io.Writer
}

// bench runs the scenarios. That a goal was missed is no error: it is told.
func bench(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parseSettings(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	chosen, err := s.chosen()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "typostream-dnsbench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &benchmark{settings: s, dir: dir, peers: map[string]tool{}, stderr: stderr}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.cores, err = twoCores(); err != nil {
		return err
	}
	if err := b.findTools(ctx); err != nil {
		return err
	}
	var results []*result
	for _, sc := range chosen {
		r, err := b.measure(ctx, sc)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
		r.judge(sc)
		results = append(results, r)
		if !s.asJSON {
			r.print(stdout)
		}
	}
	if s.asJSON {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		return out.Encode(results)
	}
	return nil
}

func (s *settings) chosen() ([]scenario, error) {
	all := scenarios()
	if s.only == "" {
		return all, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(s.only, ",") {
		i := slices.IndexFunc(all, func(sc scenario) bool { return sc.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario is named %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// twoCores returns two cores that this process may use.
func twoCores() (cores [2]int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cores, err
	}
	found := 0
	for core := 0; core < 1024 && found < 2; core++ {
		if set.IsSet(core) {
			cores[found] = core
			found++
		}
	}
	if found < 2 {
		return cores, errors.New("two cores are needed, one for the tool and one for the server")
	}
	return cores, nil
}

// prepare makes the files of a scenario.
func (b *benchmark) prepare(ctx context.Context, sc scenario) (*work, error) {
	w := &work{single: sc.single, seed: sc.seed, dir: filepath.Join(b.dir, "run")}
	w.list, w.queries = filepath.Join(b.dir, "names"), filepath.Join(b.dir, "queries")
	if sc.seed == "" {
		w.names = zone.Names(sc.names)
	} else {
		names, err := b.lookAlikes(ctx, sc.seed)
		if err != nil {
			return nil, err
		}
		w.names = names
	}
	w.needed = neededQueries(w.names, w.single)
	var list, queries bytes.Buffer
	for _, name := range w.names {
		fmt.Fprintln(&list, name)
		fmt.Fprintln(&queries, name, "NS")
		if _, registered := zone.Of(name); registered && !w.single {
			fmt.Fprintf(&queries, "%[1]s A\n%[1]s AAAA\n%[1]s MX\n", name)
		}
	}
	return w, errors.Join(os.WriteFile(w.list, list.Bytes(), 0o600), os.WriteFile(w.queries, queries.Bytes(), 0o600))
}

// lookAlikes is the set that dnstwist makes of a domain, from dnstwist itself if it is there.
func (b *benchmark) lookAlikes(ctx context.Context, seed string) ([]string, error) {
	args := b.ours[0].command(&work{seed: seed}, nil)[:1]
	args = append(args, "generate", "--profile", "dnstwist", "-f", "list", seed)
	if t, ok := b.peers["dnstwist"]; ok {
		args = []string{t.command(&work{servers: []string{""}}, nil)[0], "-m", "dnstwist", "-f", "list", seed}
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out)), nil
}
