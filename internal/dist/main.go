// Command dist makes what is handed out: `make image-root` the files of the
// image. What it writes depends on the commit, on the build flags and on
// the release of Go, and on nothing else: twice the same, byte for byte.
package main

import (
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
	system := flags.String("target", "linux/"+runtime.GOARCH, "the system, as os/arch")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: dist -build FLAGS [options] image DIR")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() != 2 || *build == "" {
		flags.Usage()
		return 2
	}
	d := &dist{flags: strings.Fields(*build), stdout: stdout, stderr: stderr}
	var err error
	switch what, dir := flags.Arg(0), flags.Arg(1); what {
	case "image":
		err = d.image(ctx, parseTargets(*system)[0], dir)
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
