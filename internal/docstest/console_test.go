package docstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// step is one command of a console block and what is printed below it.
type step struct {
	line    int // of the document
	command string
	want    []string
}

// consoleBlocks returns the steps of each fenced block of kind console: lines
// "$ command", and below each what it prints.
func consoleBlocks(t *testing.T, document string) [][]step {
	t.Helper()
	var blocks [][]step
	inside := false
	for i, line := range strings.Split(document, "\n") {
		switch command, isCommand := strings.CutPrefix(line, "$ "); {
		case line == "```console":
			inside = true
			blocks = append(blocks, nil)
		case strings.HasPrefix(line, "```"):
			inside = false
		case !inside:
		case isCommand:
			last := &blocks[len(blocks)-1]
			*last = append(*last, step{line: i + 1, command: command})
		default:
			block := blocks[len(blocks)-1]
			if len(block) == 0 {
				t.Fatalf("line %d: output before the first command", i+1)
			}
			s := &block[len(block)-1]
			s.want = append(s.want, line)
		}
	}
	return blocks
}

// varying are the figures of an output that differ from run to run or with the
// lists that a version embeds. Both sides are compared without them.
var varying = []struct {
	what    *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`\d+\.\d s, \d+ qps`), "T s, N qps"},                                       // the machine's speed
	{regexp.MustCompile(`\d{4}-\d\d-\d\d(T[\d:]+Z)?`), "TIME"},                                     // now
	{regexp.MustCompile(`\d{8}T\d{6}Z`), "STAMP"},                                                  // in file names
	{regexp.MustCompile(`"observed_at":\d+(\.\d+)?`), `"observed_at":T`},                           // now
	{regexp.MustCompile(`\b(scan|csv)-\d{10,}`), "$1-T"},                                           // ids hold the time
	{regexp.MustCompile(`"id":"[0-9a-f]{32}"`), `"id":"ID"`},                                       // and so do these
	{regexp.MustCompile(`127\.0\.0\.1:\d{2,5}\b`), "127.0.0.1:PORT"},                               // test servers choose a free port
	{regexp.MustCompile(`\b\d+ names of|\b\d+ absent\b`), "N"},                                     // word lists grow
	{regexp.MustCompile(`\b(generated|absent|registered)=\d+|"(generated|absent)":\d+`), "$1$2=N"}, // likewise
	{regexp.MustCompile(`[ \t]+`), " "},                                                            // width of columns
}

func comparable(line string) string {
	for _, v := range varying {
		line = v.what.ReplaceAllString(line, v.instead)
	}
	return strings.TrimSpace(line)
}

// matches reports whether the wanted lines are stdout and stderr, merged in
// some order. A line "..." stands for any number of lines, "..." at the end of
// a line for its rest.
func matches(want, stdout, stderr []string) bool {
	type place struct{ want, stdout, stderr int }
	tried := map[place]bool{}
	var at func(place) bool
	at = func(p place) bool {
		if tried[p] {
			return false
		}
		tried[p] = true
		if p.want == len(want) {
			return p.stdout == len(stdout) && p.stderr == len(stderr)
		}
		skip := want[p.want] == "..."
		if skip && at(place{p.want + 1, p.stdout, p.stderr}) {
			return true
		}
		step := 1
		if skip {
			step = 0
		}
		if p.stdout < len(stdout) && (skip || same(want[p.want], stdout[p.stdout])) && at(place{p.want + step, p.stdout + 1, p.stderr}) {
			return true
		}
		return p.stderr < len(stderr) && (skip || same(want[p.want], stderr[p.stderr])) && at(place{p.want + step, p.stdout, p.stderr + 1})
	}
	return at(place{})
}

func same(want, got string) bool {
	want, got = comparable(want), comparable(got)
	if begin, cut := strings.CutSuffix(want, "..."); cut {
		return strings.HasPrefix(got, strings.TrimSpace(begin))
	}
	return want == got
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// console runs the steps of a document in one directory. $? is that of the
// step before.
type console struct {
	env  []string
	dir  string
	code int
}

func (c *console) run(ctx context.Context, command string) (stdout, stderr []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // a step may wait for what never comes
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("(exit %d)\n%s", c.code, command))
	shell.Env, shell.Dir, shell.WaitDelay = c.env, c.dir, 5*time.Second
	var out, problems bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &problems
	err = shell.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, nil, err
	}
	c.code = shell.ProcessState.ExitCode()
	return lines(out.String()), lines(problems.String()), nil
}

// endRest kills what the steps began in the background and did not end: what
// still has a file with its process id.
func (c *console) endRest(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(c.dir, "*.pid")) // the pattern is good
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Errorf("%s: the document does not end what it began", filepath.Base(file))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			if process, err := os.FindProcess(pid); err == nil {
				_ = process.Kill() // it may have ended
			}
		}
	}
}

// notRun checks what a test cannot run: that the targets, packages and files
// of the command exist. It is false for every other command.
func notRun(t *testing.T, s step) bool {
	t.Helper()
	words := strings.Fields(s.command)
	switch words[0] {
	case "make":
		targets := makeTargets(t)
		for _, target := range words[1:] {
			if !targets[target] {
				t.Errorf("line %d: the Makefile has no target %q", s.line, target)
			}
		}
	case "go": // go install MODULE/DIR@VERSION
		pkg, _, _ := strings.Cut(words[len(words)-1], "@")
		dir, ours := strings.CutPrefix(pkg, "github.com/typostream/typostream/")
		if !ours || words[1] != "install" {
			t.Errorf("line %d: not a go install of this module", s.line)
		}
		if source := readDocument(t, dir+"/main.go"); !strings.Contains(source, "\npackage main\n") {
			t.Errorf("line %d: %s is no command", s.line, dir)
		}
	case "docker":
		for i, word := range words {
			if word == "-f" {
				readDocument(t, words[i+1])
			}
		}
	default:
		return false
	}
	return true
}

func makeTargets(t *testing.T) map[string]bool {
	t.Helper()
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(readDocument(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	return targets
}

// The commands of the documents do what stands below them.
func TestConsole(t *testing.T) {
	for _, document := range []string{"README.md", "docs/MIGRATION.md", "docs/TUTORIAL.md"} {
		t.Run(document, func(t *testing.T) { runBlocks(t, consoleBlocks(t, readDocument(t, document))) })
	}
}

func runBlocks(t *testing.T, blocks [][]step) {
	t.Helper()
	dns, kafka := startDNS(t), startKafka(t)
	c := &console{
		dir: t.TempDir(), env: environment(
			"NAMESERVERS="+dns.Addr(), "KAFKA_BOOTSTRAP="+strings.Join(kafka.ListenAddrs(), ","),
			"HTTP_ADDR=127.0.0.1:0",    // the default may be in use here
			"KAFKA_SEND_BACKOFF=10ms"), // patience is not what is tested
	}
	t.Cleanup(func() { c.endRest(t) })
	ran := 0
	for _, block := range blocks {
		for i, s := range block {
			if notRun(t, s) {
				continue
			}
			ran++
			stdout, stderr, err := c.run(t.Context(), s.command)
			if err != nil {
				t.Fatalf("line %d: %s: %v", s.line, s.command, err)
			}
			if !matches(s.want, stdout, stderr) {
				t.Errorf("line %d: $ %s\n--- documented\n%s\n--- standard output\n%s\n--- standard error\n%s",
					s.line, s.command, strings.Join(s.want, "\n"), strings.Join(stdout, "\n"), strings.Join(stderr, "\n"))
			}
			if c.code != 0 && (i+1 == len(block) || block[i+1].command != "echo $?") {
				t.Errorf("line %d: $ %s ends with %d, and the document does not say so", s.line, s.command, c.code)
			}
		}
	}
	if ran == 0 {
		t.Error("no command was run")
	}
}

func TestREADMEIsShort(t *testing.T) {
	if n := len(lines(readDocument(t, "README.md"))); n >= 200 {
		t.Errorf("README.md has %d lines", n)
	}
}

// Links between the documents lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, document := range []string{
		"README.md", "CHANGELOG.md", "docs/ARCHITECTURE.md", "docs/EVENTS.md", "docs/FUZZERS.md", "docs/MIGRATION.md", "docs/OPERATIONS.md",
		"docs/TUTORIAL.md", "docs/MONITORING.md", "docs/SECURITY.md", "docs/CONTRIBUTING.md", "testdata/README.md",
	} {
		for _, m := range link.FindAllStringSubmatch(readDocument(t, document), -1) {
			target := filepath.Join(root, filepath.Dir(document), m[1])
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", document, m[1], err)
			}
		}
	}
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		want, stdout, stderr string
		match                bool
	}{
		{"a b", "a b", "", true},
		{"e a", "a", "e", true},
		{"a e", "a", "e", true},
		{"a", "a b", "", false},
		{"a ...", "a b c", "", true},
		{"... c", "a b c", "e f", true},
		{"b a", "a b", "", false},
		{"ab...", "abc", "", true},
		{"", "a", "", false},
		{"...", "", "", true},
	} {
		if got := matches(strings.Fields(test.want), strings.Fields(test.stdout), strings.Fields(test.stderr)); got != test.match {
			t.Errorf("%q against %q and %q: %v", test.want, test.stdout, test.stderr, got)
		}
	}
}
