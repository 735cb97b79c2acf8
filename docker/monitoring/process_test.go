//go:build e2e

package monitoring

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running program.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	env  map[string]string
	dir  string // OUTPUT_DIR
	addr string

	ended chan struct{}
	mu    sync.Mutex
	log   strings.Builder
}

// worker starts a worker with further variables and names it to Prometheus.
func (w *world) worker(name string, env map[string]string) *process {
	w.t.Helper()
	all := maps.Clone(w.env)
	all["OUTPUT_DIR"] = w.t.TempDir()
	maps.Copy(all, env)
	p := launch(w.t, name, all, regexp.MustCompile(`"http":"(127\.0\.0\.1:\d+)"`), w.binary, "worker")
	p.dir = all["OUTPUT_DIR"]
	w.addrs = append(w.addrs, p.addr)
	w.names[p.addr] = "worker " + name
	w.nameTargets()
	return p
}

// launch starts a program and waits for the address that its log names.
func launch(t *testing.T, name string, env map[string]string, addr *regexp.Regexp, binary string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(binary, args...), env: env, ended: make(chan struct{})}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	output, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 1)
	go func() {
		defer close(p.ended)
		lines := bufio.NewScanner(output)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
			if m := addr.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
		_ = p.cmd.Wait() // its exit code is in ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			text := p.log.String()
			t.Logf("end of the log of %s:\n%s", name, text[max(0, len(text)-4000):])
		}
	})
	select {
	case p.addr = <-found:
	case <-p.ended:
		t.Fatalf("%s has ended", name)
	case <-time.After(patience):
		t.Fatalf("%s does not say where it listens", name)
	}
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) submit(domains ...string) {
	p.t.Helper()
	for _, domain := range domains {
		answer, err := http.Post("http://"+p.addr+"/api/submit", "application/json", strings.NewReader(fmt.Sprintf(`{"domain":%q}`, domain))) //nolint:noctx // it ends with the process
		if err != nil {
			p.t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			p.t.Fatalf("%s: %s", domain, answer.Status)
		}
	}
}

func (p *process) metrics() string {
	p.t.Helper()
	return get(p.t, "http://"+p.addr+"/metrics")
}

func (p *process) awaitMetric(name string, good func(float64) bool) {
	p.t.Helper()
	pattern := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`)
	eventually(p.t, name, func() bool {
		m := pattern.FindStringSubmatch(p.metrics())
		if m == nil {
			return false
		}
		v, err := strconv.ParseFloat(m[1], 64)
		return err == nil && good(v)
	})
}

func get(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); eventuallyStep(t) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// eventuallyStep is the time between two looks.
func eventuallyStep(t *testing.T) {
	select {
	case <-time.After(250 * time.Millisecond):
	case <-t.Context().Done():
	}
}
