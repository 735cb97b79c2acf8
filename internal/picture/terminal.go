package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/creack/pty"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// scanCommand is what is typed in the picture, and run.
const scanCommand = "typostream scan my-bank.co.uk"

// recordScan builds typostream, runs it on a terminal against a DNS server of
// our own, and returns the lines that stand on the terminal at its end.
func recordScan(ctx context.Context, root string) ([]string, error) {
	dir, err := os.MkdirTemp("", "typostream-picture-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "typostream")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/typostream")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building typostream: %w\n%s", err, out)
	}
	dns, err := resolvertest.StartFile(filepath.Join(root, "internal/docstest/testdata/readme.zone"))
	if err != nil {
		return nil, err
	}
	defer dns.Close()
	cmd := exec.CommandContext(ctx, binary, strings.Fields(scanCommand)[1:]...)
	cmd.Env, cmd.Dir = []string{"NAMESERVERS=" + dns.Addr(), "TERM=xterm-256color", "LC_ALL=C.UTF-8"}, dir
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: columns})
	if err != nil {
		return nil, fmt.Errorf("a terminal: %w", err)
	}
	defer terminal.Close()
	output, err := io.ReadAll(terminal)
	if err != nil && !errors.Is(err, syscall.EIO) { // so Linux says that nobody has the terminal open any more
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", scanCommand, err, output)
	}
	return screen(string(output))
}

// columns is the width of the terminal.
const columns = 92

// speed varies from run to run, and is left out.
var speed = regexp.MustCompile(`\d+\.\d s, \d+ qps`)

// screen is what a terminal shows of the output. It knows the sequence by which
// the status line is begun anew, and refuses what else would move or colour.
func screen(output string) ([]string, error) {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(output, "\r\n"), "\r\n") {
		if i := strings.LastIndex(line, "\r\x1b[K"); i >= 0 {
			line = line[i+len("\r\x1b[K"):]
		}
		if i := strings.IndexFunc(line, unicode.IsControl); i >= 0 {
			return nil, fmt.Errorf("the terminal gets %q, which the picture cannot show", line)
		}
		lines = append(lines, speed.ReplaceAllString(line, "… s, … qps"))
	}
	return lines, nil
}

// drawTerminal draws a prompt with the command and the lines below it.
func drawTerminal(command string, lines []string) []byte {
	const (
		advance = 8.4 // of a letter of 14 pixels
		pitch   = 20
		margin  = 18
	)
	width, height := int(math.Ceil(columns*advance))+2*margin, (len(lines)+1)*pitch+2*margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString("$ "+command))
	b.WriteString(`<rect width="100%" height="100%" rx="8" fill="#0d1117"/>` + "\n")
	b.WriteString(`<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#e6edf3" xml:space="preserve">` + "\n")
	for i, line := range append([]string{"$ " + command}, lines...) {
		colour := ""
		if i == 0 {
			colour = ` fill="#7ee787"`
		}
		// The length makes columns of a letter's width whatever the font.
		fmt.Fprintf(&b, `<text x="%d" y="%d" textLength="%.1f"%s>%s</text>`+"\n",
			margin, margin+pitch*i+15, advance*float64(utf8.RuneCountInString(line)), colour, html.EscapeString(line))
	}
	b.WriteString("</g>\n</svg>\n")
	return b.Bytes()
}
