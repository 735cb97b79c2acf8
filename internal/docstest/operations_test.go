package docstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/api"
	"github.com/typostream/typostream/internal/health"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

// none stands for an empty default in the document's tables.
const none = "–"

// The table of settings is what `typostream config` prints without any
// environment: name, variables, default.
func TestSettingsTable(t *testing.T) {
	var settings []struct {
		Name, Value string
		Environment []string
	}
	if err := json.Unmarshal([]byte(output(t.Context(), t, environment(), "config", "--json")), &settings); err != nil {
		t.Fatal(err)
	}
	var real []string
	for _, s := range settings {
		value := s.Value
		if value == "" {
			value = none
		}
		real = append(real, fmt.Sprintf("%s | %s | %s", s.Name, strings.Join(s.Environment, " "), value))
	}
	var documented []string
	for _, row := range table(section(t, readDocument(t, "docs/OPERATIONS.md"), "## Settings of the worker")) {
		if len(row) != 4 || row[3] == "" {
			t.Errorf("row %q: want name, environment, default and meaning", row)
			continue
		}
		plain := strings.ReplaceAll(row[1], "`", "")
		documented = append(documented, fmt.Sprintf("%s | %s | %s", row[0], plain, row[2]))
	}
	sameSet(t, "OPERATIONS.md, settings", documented, real)
}

// The table of what compat changes is that of the program.
func TestCompatTable(t *testing.T) {
	var settings []struct{ Name, Value, Source string }
	if err := json.Unmarshal([]byte(output(t.Context(), t, environment("TYPOSTREAM_COMPAT=ps02"), "config", "--json")), &settings); err != nil {
		t.Fatal(err)
	}
	var real []string
	for _, s := range settings {
		if s.Source == "compat ps02" {
			real = append(real, s.Name+" | "+s.Value)
		}
	}
	var documented []string
	for _, row := range table(section(t, readDocument(t, "docs/OPERATIONS.md"), "## In the place of the Python service")) {
		documented = append(documented, row[0]+" | "+row[1])
	}
	sameSet(t, "OPERATIONS.md, compat", documented, real)
}

// The tables of metrics name every collector of the product with its labels.
func TestMetricsTable(t *testing.T) {
	r, err := resolver.New(resolver.Config{Upstreams: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	kafka, err := emitter.NewKafka(emitter.KafkaConfig{Brokers: []string{"127.0.0.1:1"}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close(t.Context()) //nolint:errcheck // it holds no file
	collectors := slices.Concat(pipeline.NewMetrics().Collectors(), r.Metrics(), kafka.Metrics(), api.New(api.Config{}).Metrics(), []prometheus.Collector{&health.Watch{}})

	// A description can be read only as text.
	description := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	var real []string
	for _, collector := range collectors {
		descs := make(chan *prometheus.Desc)
		go func() { collector.Describe(descs); close(descs) }()
		for desc := range descs {
			m := description.FindStringSubmatch(desc.String())
			if m == nil {
				t.Fatalf("cannot read %s", desc)
			}
			real = append(real, strings.TrimSpace(m[1]+" "+m[2]))
		}
	}
	var documented []string
	for _, row := range table(section(t, readDocument(t, "docs/OPERATIONS.md"), "## Metrics")) {
		label, _, _ := strings.Cut(row[1], ":")
		if label == none {
			label = ""
		}
		documented = append(documented, strings.TrimSpace(row[0]+" "+strings.Trim(label, "` ")))
	}
	sameSet(t, "OPERATIONS.md, metrics", documented, real)
}

// Every log line of the document is one that the source can print. Words in
// capitals stand for what varies.
func TestLogLines(t *testing.T) {
	patterns := printable(t)
	rows := table(section(t, readDocument(t, "docs/OPERATIONS.md"), "## Log"))
	if len(rows) == 0 {
		t.Fatal("no log lines")
	}
	for _, line := range column(t, rows, 0) {
		if !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(line) }) {
			t.Errorf("no source prints %q", line)
		}
	}
}

// printable turns every string of the product's source that can be a message
// into a pattern: verbs and what is not constant match anything.
func printable(t *testing.T) []*regexp.Regexp {
	t.Helper()
	verb := regexp.MustCompile(`%[-+# 0-9.*]*[a-zA-Z]`)
	var patterns []*regexp.Regexp
	add := func(text string) {
		if len(strings.Fields(strings.ReplaceAll(text, "\x00", ""))) < 2 {
			return
		}
		text = verb.ReplaceAllString(text, "\x00")
		text = strings.ReplaceAll(regexp.QuoteMeta(text), "\x00", ".+")
		patterns = append(patterns, regexp.MustCompile("^"+text+"$"))
	}
	var text func(ast.Expr) string
	text = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
				return s
			}
		case *ast.BinaryExpr:
			if e.Op == token.ADD {
				return text(e.X) + text(e.Y)
			}
		}
		return "\x00"
	}
	for _, folder := range []string{"cmd", "pipeline", "emitter", "resolver", "fuzzer", "internal/httpd", "internal/api", "internal/health"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					add(text(n))
				case *ast.BinaryExpr:
					add(text(n))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return patterns
}

// The table of exit codes is that of the command, here and in the README.
func TestExitCodes(t *testing.T) {
	source := readDocument(t, "cmd/typostream/main.go")
	var real []string
	for _, m := range regexp.MustCompile(`(?m)^\texit[A-Z]\w+ += (\d+) `).FindAllStringSubmatch(source, -1) {
		real = append(real, m[1])
	}
	for _, document := range []string{"docs/OPERATIONS.md", "README.md"} {
		sameSet(t, document+", exit codes", column(t, table(section(t, readDocument(t, document), "## Exit codes")), 0), real)
	}
}

// The table of doctor has its checks, in the order of the source.
func TestDoctorChecks(t *testing.T) {
	var real []string
	for _, m := range regexp.MustCompile(`(?m)^\tcheck[A-Z]\w+ += "([a-z-]+)"$`).FindAllStringSubmatch(readDocument(t, "cmd/typostream/doctor.go"), -1) {
		real = append(real, m[1])
	}
	rows := table(section(t, readDocument(t, "docs/OPERATIONS.md"), "## Doctor"))
	for _, row := range rows {
		if len(row) != 4 || slices.Contains(row, "") {
			t.Errorf("row %q: want check, of, passes if and else", row)
		}
	}
	documented := column(t, rows, 0)
	sameSet(t, "OPERATIONS.md, doctor", documented, real)
	if !slices.Equal(documented, real) {
		t.Errorf("the document's order is %q, the source's %q", documented, real)
	}
}

// A worker without Kafka, from its start to its end: what it serves, and the
// lines that announce it.
func TestWorkerServes(t *testing.T) {
	dns := startDNS(t)
	dir := t.TempDir()
	seeds := filepath.Join(dir, "seeds.csv")
	if err := os.WriteFile(seeds, []byte("ACME,my-bank.co.uk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "worker", "--no-kafka", "--seeds", seeds,
		"--output-dir", filepath.Join(dir, "out"), "--nameservers", dns.Addr(), "--http-addr", "127.0.0.1:0")
	cmd.Env = environment()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewScanner(stderr)
	addr := ""
	for log.Scan() {
		var line struct{ Msg, HTTP string }
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("not a line of JSON: %s", log.Text())
		}
		if line.Msg == "worker started" {
			addr = line.HTTP
		}
		if strings.HasPrefix(line.Msg, "All ") {
			break
		}
	}
	document := readDocument(t, "docs/OPERATIONS.md")
	for path, want := range map[string]string{"/livez": "alive\n", "/readyz": "{\"status\":\"ready\"}\n"} {
		if body := get(t, "http://"+addr+path); body != want {
			t.Errorf("%s: %q", path, body)
		}
		if !strings.Contains(document, strings.TrimSpace(want)) {
			t.Errorf("OPERATIONS.md does not show the body of %s", path)
		}
	}
	metrics := get(t, "http://"+addr+"/metrics")
	for _, name := range []string{"typostream_names_total{state=\"registered\"} ", "typostream_dns_queries_total{", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stderr)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, rest)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", url, response.Status)
	}
	return string(body)
}
