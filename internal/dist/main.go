// Command dist makes what is handed out: `make image-root` the files of the
// image, `make dist` archives, packages, bills of materials and checksums for
// every system. What it writes depends on the commit, on the build flags and on
// the release of Go, and on nothing else: twice the same, byte for byte.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

// systems are those that `make dist` builds for.
const systems = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64,freebsd/amd64,freebsd/arm64"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("dist", flag.ContinueOnError)
	flags.SetOutput(stderr)
	build := flags.String("build", "", "the `flags` of go build, separated by spaces")
	targets := flags.String("targets", "", "systems, as os/arch, separated by commas (default for archives all, for an image Linux on this processor)")
	nfpm := flags.String("nfpm", "", "the nfpm `command`, for deb and rpm; none are made without")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: dist -build FLAGS [options] image|archives DIR")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 2 || *build == "" {
		flags.Usage()
		return 2
	}
	d := &dist{flags: strings.Fields(*build), nfpm: *nfpm, stdout: stdout, stderr: stderr}
	var err error
	switch what, dir := flags.Arg(0), flags.Arg(1); what {
	case "image":
		err = d.image(ctx, parseTargets(cmp.Or(*targets, "linux/"+runtime.GOARCH))[0], dir)
	case "archives":
		err = d.archives(ctx, parseTargets(cmp.Or(*targets, systems)), dir)
	default:
		flags.Usage()
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "dist:", err)
		return 1
	}
	return 0
}
