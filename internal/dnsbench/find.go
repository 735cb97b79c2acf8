//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// What -install installs.
const (
	dnsxPackage     = "github.com/projectdiscovery/dnsx"
	dnsxVersion     = "v1.2.3"
	dnstwistRelease = "dnstwist==20250130"
	dnspython       = "dnspython>=2.7"
)

// findTools builds typostream and looks for the others; what is not there is
// named in the results.
func (b *benchmark) findTools(ctx context.Context) error {
	if b.ours = b.settings.ours; len(b.ours) == 0 {
		if err := b.buildOurs(ctx); err != nil {
			return err
		}
	}
	dnsx, python := b.settings.peers["dnsx"], b.settings.peers["python"]
	if b.install {
		if dnsx == "" {
			dnsx = b.installed(ctx, "dnsx", b.installDNSX)
		}
		if python == "" {
			python = b.installed(ctx, "dnstwist", b.installDNSTwist)
		}
	}
	if path, ok := b.look(b.settings.peers["dnsperf"], "dnsperf"); ok {
		b.peers["dnsperf"] = dnsperfTool(path)
	}
	if path, ok := b.look(dnsx, "dnsx"); ok {
		b.peers["dnsx"] = dnsxTool(path)
	}
	if path := b.settings.peers["massdns"]; path != "" {
		if path, ok := b.look(path, ""); ok {
			b.peers["massdns"] = massdnsTool(path)
		}
	}
	if path, ok := b.look(python, "python3"); ok && exec.CommandContext(ctx, path, "-c", "import dnstwist, dns.resolver").Run() == nil {
		b.peers["dnstwist"] = dnstwistTool(path)
	}
	return nil
}

func (b *benchmark) buildOurs(ctx context.Context) error {
	path := filepath.Join(b.dir, "typostream")
	if err := b.build(ctx, path, ""); err != nil {
		return err
	}
	b.ours = []tool{typostreamTool("typostream", path)}
	changes, err := b.tagChanges(ctx, b.portable)
	if err != nil || !changes {
		return err
	}
	path += "-portable"
	b.ours = append(b.ours, typostreamTool(portableName, path))
	return b.build(ctx, path, b.portable)
}

// look returns the absolute path of a program, by preference of the one given.
func (b *benchmark) look(given, name string) (string, bool) {
	path, err := exec.LookPath(cmp.Or(given, name))
	if err == nil {
		path, err = filepath.Abs(path)
	}
	return path, err == nil
}

// build builds typostream as `make build` does, without the tags that only make it smaller.
func (b *benchmark) build(ctx context.Context, path, tag string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags="+tag, "-o", path, "./cmd/typostream")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = b.stderr, b.stderr
	return cmd.Run()
}

// tagChanges reports whether a build tag makes a difference to the resolver.
func (b *benchmark) tagChanges(ctx context.Context, tag string) (bool, error) {
	if tag == "" {
		return false, nil
	}
	var files [2]string
	for i, tags := range []string{"", tag} {
		cmd := exec.CommandContext(ctx, "go", "list", "-tags="+tags, "-f", "{{.GoFiles}}", "./resolver")
		cmd.Stderr = b.stderr
		out, err := cmd.Output()
		if err != nil {
			return false, fmt.Errorf("go list: %w", err)
		}
		files[i] = string(out)
	}
	if files[0] == files[1] {
		fmt.Fprintf(b.stderr, "dnsbench: warning: the build tag %s changes nothing in the resolver; no portable path is measured\n", tag)
	}
	return files[0] != files[1], nil
}

// installed returns the path of a tool that install brings, or "" after telling why not.
func (b *benchmark) installed(ctx context.Context, name string, install func(context.Context, string) (string, error)) string {
	fmt.Fprintf(b.stderr, "dnsbench: installing %s\n", name)
	path, err := install(ctx, filepath.Join(b.dir, name))
	if err != nil {
		fmt.Fprintf(b.stderr, "dnsbench: warning: %s: %v\n", name, err)
		return ""
	}
	return path
}

// installDNSX builds dnsx in a module of its own. `go install` would ask for a
// list of all versions besides, which not every proxy has.
func (b *benchmark) installDNSX(ctx context.Context, dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	module := fmt.Sprintf("module dnsx.test\n\ngo 1.26.0\n\nrequire %s %s\n", dnsxPackage, dnsxVersion)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(module), 0o600); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "dnsx")
	return path, b.execute(ctx, dir, "go", "build", "-mod=mod", "-o", path, dnsxPackage+"/cmd/dnsx")
}

// installDNSTwist returns the Python of a virtual environment that has it.
func (b *benchmark) installDNSTwist(ctx context.Context, dir string) (string, error) {
	if err := b.execute(ctx, b.dir, "python3", "-m", "venv", dir); err != nil {
		return "", err
	}
	python := filepath.Join(dir, "bin", "python")
	return python, b.execute(ctx, b.dir, python, "-m", "pip", "install", "-q", dnstwistRelease, dnspython)
}

func (b *benchmark) execute(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, b.stderr
	return cmd.Run()
}
