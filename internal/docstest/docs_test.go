// Package docstest has no code: its tests hold README.md and docs/ to what the
// program really does.
package docstest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/typostream/typostream/resolver/resolvertest"
)

const root = "../.."

// binary is the product, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "typostream-docs-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "typostream")
	build := exec.Command("go", "build", "-o", binary, "./cmd/typostream")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// readDocument returns a file of the repository as text.
func readDocument(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startDNS serves the zone of the documents' examples.
func startDNS(t *testing.T) *resolvertest.Server {
	t.Helper()
	server, err := resolvertest.StartFile(filepath.Join("testdata", "readme.zone"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// startKafka runs a broker with the topics that the program uses by default.
func startKafka(t *testing.T) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(12, "raw.hosts", "domains.candidates", "phish.urls.crawl", "phish.urls.inactive"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// environment is that of the process without the program's own variables, and
// with those given.
func environment(extra ...string) []string {
	env := []string{"PATH=" + filepath.Dir(binary) + string(filepath.ListSeparator) + os.Getenv("PATH"), "LC_ALL=C"}
	return append(env, extra...)
}

// output runs the program to its end.
func output(ctx context.Context, t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Dir = env, t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("typostream %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// section returns what stands under a heading, up to the next of its level or
// above.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	level := len(heading) - len(strings.TrimLeft(heading, "#"))
	var out []string
	inside, fenced := false, false
	for line := range strings.Lines(document) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if depth := len(line) - len(strings.TrimLeft(line, "#")); !fenced && depth > 0 && depth <= level {
			inside = line == heading
			continue
		}
		if inside {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no section %q", heading)
	}
	return strings.Join(out, "\n")
}

// table returns the cells of a Markdown table's rows, without its heading.
// Code marks are taken off cells that are code as a whole.
func table(text string) [][]string {
	var rows [][]string
	heading := true
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			heading = true // of the next table
			continue
		}
		if strings.HasPrefix(line, "|--") || strings.HasPrefix(line, "| --") {
			heading = false
			continue
		}
		if heading {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i, cell := range cells {
			cell = strings.TrimSpace(cell)
			if code := strings.Trim(cell, "`"); cell == "`"+code+"`" {
				cell = code
			}
			cells[i] = cell
		}
		rows = append(rows, cells)
	}
	return rows
}

// column is one column of a table.
func column(t *testing.T, rows [][]string, n int) []string {
	t.Helper()
	var values []string
	for _, row := range rows {
		if n >= len(row) {
			t.Fatalf("row %q has no column %d", row, n+1)
		}
		values = append(values, row[n])
	}
	return values
}

// sameSet compares what a document names with what there is.
func sameSet(t *testing.T, what string, documented, real []string) {
	t.Helper()
	for _, name := range documented {
		if !slices.Contains(real, name) {
			t.Errorf("%s: %q is documented and does not exist", what, name)
		}
	}
	for _, name := range real {
		if !slices.Contains(documented, name) {
			t.Errorf("%s: %q is not documented", what, name)
		}
	}
	sorted := slices.Sorted(slices.Values(documented))
	if len(slices.Compact(slices.Clone(sorted))) != len(sorted) {
		t.Errorf("%s: something is documented twice: %q", what, sorted)
	}
}
