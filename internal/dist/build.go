package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const command = "./cmd/typostream"

// sizeLimit is what a stripped binary may have, on any system; the image, which has
// the one for Linux and little else, may have 25 MB.
const sizeLimit = 26_000_000

// A dist builds with the given flags of go build, in the directory of the module.
type dist struct {
	flags          []string
	nfpm           string // the command; "" for no packages
	stdout, stderr io.Writer
}

// target is a system to build for.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

// host is the system that dist runs on.
func host() target { return target{runtime.GOOS, runtime.GOARCH} }

// executable is the name of the binary.
func (t target) executable() string {
	if t.os == "windows" {
		return "typostream.exe"
	}
	return "typostream"
}

// parseTargets leaves it to Go to say which systems there are.
func parseTargets(text string) (list []target) {
	for name := range strings.SplitSeq(text, ",") {
		system, arch, _ := strings.Cut(name, "/")
		list = append(list, target{system, arch})
	}
	return list
}

// tool is the go command for a target: no C, and the oldest processors,
// whatever the environment asks for.
func (d *dist) tool(ctx context.Context, t target, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOAMD64=v1", "GOARM64=v8.0")
	cmd.Stderr = d.stderr
	return cmd
}

// built is a binary and what Go wrote into it.
type built struct {
	target
	path string
	info *buildinfo.BuildInfo
}

// build builds a target's binary into a directory.
func (d *dist) build(ctx context.Context, t target, dir string) (built, error) {
	b := built{target: t, path: filepath.Join(dir, t.executable())}
	args := append([]string{"build"}, d.flags...)
	if err := d.tool(ctx, t, append(args, "-o", b.path, command)...).Run(); err != nil {
		return b, fmt.Errorf("building for %s: %w", t, err)
	}
	stat, err := os.Stat(b.path)
	if err != nil {
		return b, err
	}
	if stat.Size() > sizeLimit {
		return b, fmt.Errorf("the binary for %s has %d bytes, more than %d: has a dependency come that looks up methods by name? See docs/ARCHITECTURE.md", t, stat.Size(), sizeLimit)
	}
	b.info, err = buildinfo.ReadFile(b.path)
	return b, err
}

func (b built) setting(key string) string {
	for _, s := range b.info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// version is the module's, without the v: a tag, or one that Go makes from the
// commit; 0.0.0-devel where Go knows no commit.
func (b built) version() string {
	v := strings.TrimPrefix(b.info.Main.Version, "v")
	if v == "" || v == "(devel)" {
		return "0.0.0-devel"
	}
	return v
}

// time is that of the commit; the first second of 1980, before which a zip
// archive knows none, where Go knows no commit.
func (b built) time() time.Time {
	t, err := time.Parse(time.RFC3339, b.setting("vcs.time"))
	if err != nil {
		return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.UTC()
}

// output runs the binary, which must be one for this machine.
func (b built) output(ctx context.Context, args ...string) ([]byte, error) {
	if b.target != host() {
		return nil, errors.New("a binary for " + b.String() + " does not run here")
	}
	path, err := filepath.Abs(b.path)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("typostream %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}
