//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A usage is what one run of a tool took.
type usage struct {
	Wall    time.Duration `json:"wall_ns"` // from its start to its end
	CPU     time.Duration `json:"cpu_ns"`  // user and system, with its children
	MaxRSS  int64         `json:"max_rss"` // bytes, of the largest of its processes
	Exit    int           `json:"exit"`
	Samples []sample      `json:"samples,omitempty"`
}

// A sample is the resident memory at one moment.
type sample struct {
	At  time.Duration `json:"at_ns"`
	RSS int64         `json:"rss"` // bytes
}

// launch runs a command on one core and writes its usage. It is a process of
// its own because the kernel counts the memory of whoever starts a program as
// that of the program (getrusage(2), exec), and the benchmark holds much.
func launch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("dnsbench launch", flag.ContinueOnError)
	flags.SetOutput(stderr)
	core := flags.Int("core", 0, "run on this core")
	report := flags.String("report", "", "write the usage to `FILE`")
	every := flags.Duration("sample", 0, "sample the memory at this interval; 0 for never")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 || *report == "" {
		return errors.New("usage: dnsbench launch -core N -report FILE COMMAND")
	}
	cmd := exec.CommandContext(ctx, flags.Arg(0), flags.Args()[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	begun := time.Now()
	if err := startOn(*core, cmd); err != nil {
		return err
	}
	stop, sampled := make(chan struct{}), make(chan []sample, 1)
	go func() { sampled <- sampleMemory(cmd.Process.Pid, begun, *every, stop) }()
	err := cmd.Wait()
	u := usage{Wall: time.Since(begun)}
	close(stop)
	u.Samples = <-sampled
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	state := cmd.ProcessState
	u.CPU, u.Exit = state.UserTime()+state.SystemTime(), state.ExitCode()
	u.MaxRSS = state.SysUsage().(*syscall.Rusage).Maxrss << 10
	text, err := json.Marshal(u)
	if err != nil {
		return err
	}
	return os.WriteFile(*report, text, 0o600)
}

// startOn starts a command that stays on one core with all that it starts.
func startOn(core int, cmd *exec.Cmd) error {
	runtime.LockOSThread() // a new process has the cores of the thread that made it
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	only.Set(core)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return err
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

func sampleMemory(pid int, begun time.Time, every time.Duration, stop <-chan struct{}) []sample {
	if every == 0 {
		return nil
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var samples []sample
	for {
		select {
		case <-stop:
			return samples
		case <-ticker.C:
		}
		if pages := residentPages(pid); pages > 0 {
			samples = append(samples, sample{At: time.Since(begun), RSS: pages * int64(unix.Getpagesize())})
		}
	}
}

// residentPages is 0 when the process has ended.
func residentPages(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages
}
