//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
)

// buildCommand builds the real command.
func buildCommand(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "typostream")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/typostream/typostream/cmd/typostream")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return path, nil
}

// brand is an invented domain and those of its look-alikes that are registered:
// what the topic must hold when its scan is completed.
type brand struct {
	seed  string
	names []string
}

// inventBrands makes brands that are different for each number from first on,
// and the DNS in which every fiftieth look-alike is registered.
func inventBrands(first, n int) (brands []brand, zone string, err error) {
	var text strings.Builder
	for i := first; i < first+n; i++ {
		b := brand{seed: inventedLabel(i) + ".com"}
		b.names = []string{b.seed}
		seed, err := fuzzer.ParseSeed(b.seed)
		if err != nil {
			return nil, "", err
		}
		for v := range fuzzer.Permute(seed, fuzzer.ContractPasses(seed, fuzzer.Lists{})...).All() {
			h := fnv.New32a()
			_, _ = io.WriteString(h, v.FQDN) // a hash takes all
			// A registered subdomain would make the name above it exist too.
			if h.Sum32()%50 != 0 || v.Algorithm == fuzzer.Subdomain {
				continue
			}
			b.names = append(b.names, v.FQDN)
			fmt.Fprintf(&text, "%s. 300 IN NS ns1.host.example.\n%s. 300 IN A 192.0.2.1\n", v.FQDN, v.FQDN)
		}
		brands = append(brands, b)
	}
	return brands, text.String(), nil
}

// inventedLabel is eight letters that no other number's label resembles.
func inventedLabel(i int) string {
	label := make([]byte, 8)
	r := rand.New(rand.NewPCG(uint64(i), 0))
	for n := range label {
		label[n] = 'a' + byte(r.IntN(26))
	}
	return string(label)
}

// command is a running typostream.
type command struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func (s *suite) startCommand(log string, env map[string]string, args ...string) (*command, error) {
	c := &command{cmd: exec.Command(s.binary, args...), log: log, done: make(chan struct{})}
	c.cmd.Env = []string{"HTTP_ADDR=127.0.0.1:0"}
	for name, value := range env {
		c.cmd.Env = append(c.cmd.Env, name+"="+value)
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c.cmd.Stderr = file
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // its exit code is looked at by who waits
	}()
	return c, nil
}

func (c *command) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	<-c.done
}

// wait returns the exit code.
func (c *command) wait(ctx context.Context) (int, error) {
	err := eventually(ctx, "the end of typostream", func() (bool, error) {
		select {
		case <-c.done:
			return true, nil
		default:
			return false, nil
		}
	})
	if err != nil {
		return 0, err
	}
	return c.cmd.ProcessState.ExitCode(), nil
}

func (c *command) text() string {
	b, _ := os.ReadFile(c.log) // an unreadable log says nothing
	return string(b)
}

func (c *command) awaitLog(ctx context.Context, text string) error {
	return eventually(ctx, "the log says "+text, func() (bool, error) {
		select {
		case <-c.done:
			return false, errors.New("typostream has ended: " + c.text()[max(0, len(c.text())-2000):])
		default:
			return strings.Contains(c.text(), text), nil
		}
	})
}

// environment is that of the real command, with topics of its own.
func (s *suite) environment(ctx context.Context, topic, dir, nameserver string) (map[string]string, error) {
	env := map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(s.cluster.Brokers(), ","), "NAMESERVERS": nameserver, "OUTPUT_DIR": dir, "KAFKA_GROUP_ID": topic,
		"KAFKA_SEND_BACKOFF": "100ms", "KAFKA_RETRY_DELAY": "500ms", "LOG_FORMAT": "json",
	}
	for name, suffix := range map[string]string{
		"KAFKA_OUTPUT_TOPIC": "", "KAFKA_INPUT_TOPIC": ".input", "KAFKA_CRAWL_TOPIC": ".crawl", "KAFKA_INACTIVE_TOPIC": ".inactive", "KAFKA_DLQ_TOPIC": ".dlq",
	} {
		env[name] = topic + suffix
		if err := s.cluster.CreateTopic(ctx, topic+suffix, 6, 3, 2); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// checkNames counts which names of the brands the topic does not hold, and which it holds again.
func (s *suite) checkNames(ctx context.Context, r *row, topic string, brands []brand) error {
	records, err := s.cluster.ReadAll(ctx, topic)
	if err != nil {
		return err
	}
	have := map[string]int64{}
	for _, rec := range records {
		have[string(rec.Key)]++
	}
	for _, n := range have {
		r.duplicated += n - 1
	}
	names := 0
	for _, b := range brands {
		for _, name := range b.names {
			names++
			if have[name] == 0 {
				r.lost++
				r.note("lost: %s of %s", name, b.seed)
			}
		}
	}
	if r.lost > 0 {
		r.fail("%d names are lost", r.lost)
	}
	r.note("%d seeds completed, all their %d names looked for", len(brands), names)
	return nil
}

// awaitNoLag returns when the group has committed all of the input.
func (s *suite) awaitNoLag(ctx context.Context, topic string) error {
	return eventually(ctx, "every message of the input committed", func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		ends, err := s.admin.ListEndOffsets(ctx, topic+".input")
		if err != nil || ends.Error() != nil {
			return false, nil // brokers that come back
		}
		commits, err := s.admin.FetchOffsets(ctx, topic)
		if err != nil {
			return false, nil
		}
		for _, end := range ends[topic+".input"] {
			at := int64(0)
			if c, ok := commits.Lookup(topic+".input", end.Partition); ok {
				at = max(c.At, 0)
			}
			if at < end.Offset {
				return false, nil
			}
		}
		return true, nil
	})
}

// bookWatch asks a worker for its books, again and again.
type bookWatch struct {
	cancel     context.CancelFunc
	done       chan struct{}
	last       emitter.Accounting
	unbalanced int
	looks      int
}

var httpField = regexp.MustCompile(`"http":"([^"]+)"`)

func watchBooks(c *command) (*bookWatch, error) {
	m := httpField.FindStringSubmatch(c.text())
	if m == nil {
		return nil, errors.New("the log does not say where HTTP is answered")
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &bookWatch{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			w.look(ctx, "http://"+m[1]+"/readyz?verbose")
			_ = pause(ctx, 20*time.Millisecond) // its end ends the loop
		}
	}()
	return w, nil
}

func (w *bookWatch) look(ctx context.Context, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return // counted by its absence
	}
	defer res.Body.Close()
	var body struct {
		Details struct {
			Events struct {
				Accepted, Acked, Spooled, Replayed, Ambiguous int64
				DeadLettered                                  int64 `json:"dead_lettered"`
				InFlight                                      int64 `json:"in_flight"`
			}
		}
	}
	if json.NewDecoder(res.Body).Decode(&body) != nil {
		return
	}
	e := body.Details.Events
	w.last = emitter.Accounting{
		Accepted: e.Accepted, Acked: e.Acked, Spooled: e.Spooled, DeadLettered: e.DeadLettered, InFlight: e.InFlight, Replayed: e.Replayed, Ambiguous: e.Ambiguous,
	}
	w.looks++
	if !balanced(w.last) {
		w.unbalanced++
	}
}

// stop returns the last books, and how many did not balance of how many.
func (w *bookWatch) stop() (last emitter.Accounting, unbalanced, looks int) {
	w.cancel()
	<-w.done
	return w.last, w.unbalanced, w.looks
}
