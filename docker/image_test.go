//go:build image

package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/kafkatest"
	"github.com/typostream/typostream/resolver/resolvertest"
)

const (
	sizeLimit = 25_000_000
	user      = 65532
)

// image is one that `make image` built, in a store of its own, and a container
// of it whose files are at root.
type image struct {
	t               *testing.T
	env             []string // of buildah: where its store is
	container, root string
	config          config
}

type config struct {
	User, StopSignal     string
	Env, Entrypoint, Cmd []string
	Volumes              map[string]struct{}
	Labels               map[string]string
	Healthcheck          struct{ Test []string }
	ExposedPorts         map[string]struct{}
}

// newStore needs buildah and root's rights, and no registry.
func newStore(t *testing.T) *image {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests run containers without an engine, for which they must be root")
	}
	store := t.TempDir()
	conf := filepath.Join(store, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(store, "graph"), filepath.Join(store, "run"))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return &image{t: t, env: append(os.Environ(), "CONTAINERS_STORAGE_CONF="+conf, "STORAGE_DRIVER=vfs", "TMPDIR="+store)}
}

// open makes a container of an image in the store.
func (i *image) open(name string) {
	i.t.Helper()
	i.container = strings.TrimSpace(i.output("buildah", "from", "--pull-never", name))
	i.root = strings.TrimSpace(i.output("buildah", "mount", i.container))
}

func buildImage(t *testing.T) *image {
	t.Helper()
	i := newStore(t)
	i.output("make", "-C", "..", "--no-print-directory", "image", "ENGINE=buildah", "IMAGE=typostream-test")
	i.open("typostream-test")
	var about struct{ Docker struct{ Config config } }
	if err := json.Unmarshal([]byte(i.output("buildah", "inspect", i.container)), &about); err != nil {
		t.Fatal(err)
	}
	i.config = about.Docker.Config
	return i
}

// output runs a command, which must succeed.
func (i *image) output(name string, args ...string) string {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), name, args...)
	cmd.Env = i.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		i.t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out)
}

// run runs typostream in the container, as the user of the image.
func (i *image) run(args ...string) string {
	i.t.Helper()
	return i.output("buildah", append([]string{"run", "--isolation", "chroot", i.container, "--", "/typostream"}, args...)...)
}

func TestImage(t *testing.T) {
	i := buildImage(t)
	t.Run("is small and has nothing but what it needs", i.checkFiles)
	t.Run("is told from others and knows how to run", i.checkConfig)
	t.Run("runs", i.checkCommands)
	t.Run("works with a root file system that is read-only", i.checkWorker)
}

func (i *image) checkFiles(t *testing.T) {
	var files []string
	var size int64
	err := filepath.WalkDir(i.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		files = append(files, strings.TrimPrefix(path, i.root))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/etc/ssl/certs/ca-certificates.crt", "/typostream", "/usr/share/doc/typostream/LICENSE", "/usr/share/doc/typostream/THIRD_PARTY_NOTICES.txt"}
	if slices.Sort(files); !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
	if t.Logf("%d bytes", size); size > sizeLimit {
		t.Errorf("%d bytes, more than %d", size, sizeLimit)
	}
	certificates, err := os.ReadFile(filepath.Join(i.root, "etc", "ssl", "certs", "ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for block, rest := pem.Decode(certificates); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	if n < 100 {
		t.Errorf("%d certificates of authorities", n)
	}
}

func (i *image) checkConfig(t *testing.T) {
	c := i.config
	if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/typostream"}) || !slices.Equal(c.Cmd, []string{"worker"}) || c.StopSignal != "SIGTERM" {
		t.Errorf("config %+v", c)
	}
	if !slices.Equal(c.Healthcheck.Test, []string{"CMD", "/typostream", "healthcheck"}) {
		t.Errorf("health check %q", c.Healthcheck.Test)
	}
	if _, ok := c.Volumes["/out"]; !ok || len(c.Volumes) != 1 {
		t.Errorf("volumes %v", c.Volumes)
	}
	revision := strings.TrimSpace(i.output("git", "rev-parse", "HEAD"))
	if got := c.Labels["org.opencontainers.image.revision"]; got != revision {
		t.Errorf("revision %q, want %q", got, revision)
	}
	for _, label := range []string{"title", "description", "source", "documentation", "licenses", "version"} {
		if c.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("no label %s", label)
		}
	}
}

func (i *image) checkCommands(t *testing.T) {
	i.t = t
	version := strings.TrimPrefix(i.config.Labels["org.opencontainers.image.version"], "v")
	if got := i.run("version"); version == "" || !strings.Contains(got, version) && version != "0.0.0-devel" {
		t.Errorf("version: %q, by the label %q", got, version)
	}
	dns := startDNS(t)
	got := i.run("scan", "--nameservers", dns.Addr(), "-f", "list", "acme-trading.com")
	if want := "acme-tradin.com\nacme-tradng.com\n"; got != want {
		t.Errorf("scan: %q, want %q", got, want)
	}
}

// startDNS knows two look-alikes of acme-trading.com and one of example-shop.com.
func startDNS(t *testing.T) *resolvertest.Server {
	t.Helper()
	dns, err := resolvertest.Start(`
com. 300 IN SOA ns.example. host.example. 1 3600 600 86400 300
acme-tradin.com. 300 IN NS ns1.host.example.
acme-tradin.com. 300 IN A 192.0.2.1
acme-tradng.com. 300 IN NS ns1.host.example.
exampl-shop.com. 300 IN NS ns1.host.example.
`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	return dns
}

// The worker as a container has it: the user of the image, its environment, its
// files read-only, one volume to write to. buildah run knows no read-only root,
// and fails when it is given one, so unshare and chroot take its place.
const container = `
mount --bind "$ROOT" "$ROOT"
mount --bind "$VOLUME" "$ROOT/out"
mount -o remount,bind,ro "$ROOT"
exec chroot --userspec=65532:65532 --groups= "$ROOT" "$@"
`

// process is a worker in its container.
type process struct {
	cmd  *exec.Cmd
	log  output
	done chan struct{}
}

// start starts the image's command with further variables.
func (i *image) start(t *testing.T, volume string, env ...string) *process {
	t.Helper()
	args := append([]string{"--mount", "sh", "-ec", container, "sh"}, i.config.Entrypoint...)
	p := &process{cmd: exec.Command("unshare", append(args, i.config.Cmd...)...), done: make(chan struct{})}
	p.cmd.Env = slices.Concat(i.config.Env, []string{"ROOT=" + i.root, "VOLUME=" + volume}, env)
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}()
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			_ = p.cmd.Process.Kill() // a failed test left it
			<-p.done
		}
		if t.Failed() {
			t.Logf("log of the worker:\n%s", p.log.String())
		}
	})
	return p
}

// terminate sends SIGTERM and returns the exit code.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatal("the worker does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// address waits until the worker says where it serves.
func (p *process) address(t *testing.T) string {
	t.Helper()
	var found []string
	eventually(t, "the worker serves", func() bool { found = address.FindStringSubmatch(p.log.String()); return found != nil })
	return found[1]
}

// With Kafka there, a seed's candidates are in the topic; with Kafka gone, a
// seed is taken over HTTP and its events are in the spool, in the volume, when
// SIGTERM has ended the worker with 0; the next worker brings them to the topic.
func (i *image) checkWorker(t *testing.T) {
	i.t = t
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cluster := startKafka(ctx, t)
	volume := t.TempDir()
	if err := os.Chown(volume, user, user); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"KAFKA_BOOTSTRAP=" + strings.Join(cluster.Brokers(), ","), "NAMESERVERS=" + startDNS(t).Addr(), "HTTP_ADDR=127.0.0.1:0",
		"KAFKA_SEND_BACKOFF=100ms", "KAFKA_RETRY_DELAY=500ms", "TZ=Asia/Kolkata",
	}
	elsewhere := i.start(t, volume, append(env, "OUTPUT_DIR=/elsewhere")...)
	if <-elsewhere.done; elsewhere.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(elsewhere.log.String(), "read-only file system") {
		t.Errorf("the root file system is not read-only: %s", elsewhere.log.String())
	}
	first := i.start(t, volume, env...)
	submit(t, first.address(t), "acme-trading.com")
	wantTopic(ctx, t, cluster, "acme-trading.com", "acme-tradin.com", "acme-tradng.com")
	eventually(t, "the health check passes", func() bool {
		return exec.CommandContext(ctx, "chroot", "--userspec=65532:65532", i.root, "/typostream", "healthcheck", "--http-addr", first.address(t)).Run() == nil
	})
	if !strings.Contains(first.log.String(), "+05:30") {
		t.Error("the log's times are not in the zone of TZ")
	}

	if err := cluster.Kill(cluster.Nodes()...); err != nil {
		t.Fatal(err)
	}
	submit(t, first.address(t), "example-shop.com")
	eventually(t, "the second seed is scanned", func() bool { return strings.Contains(first.log.String(), "Completed example-shop.com") })
	if code := first.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	wantSpool(t, volume, "example-shop.com", "exampl-shop.com")

	if err := cluster.StartNode(cluster.Nodes()...); err != nil {
		t.Fatal(err)
	}
	if err := cluster.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	second := i.start(t, volume, env...)
	wantTopic(ctx, t, cluster, "acme-trading.com", "acme-tradin.com", "acme-tradng.com", "example-shop.com", "exampl-shop.com")
	if code := second.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	wantSpool(t, volume)
	if _, err := os.Stat(filepath.Join(i.root, "out", ".typostream")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the worker wrote into the image: %v", err)
	}
}

func startKafka(ctx context.Context, t *testing.T) *kafkatest.Cluster {
	t.Helper()
	cluster, err := kafkatest.Start(ctx, kafkatest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, topic := range []string{"raw.hosts", "domains.candidates", "phish.urls.crawl", "phish.urls.inactive"} {
		if err := cluster.CreateTopic(ctx, topic, 3, 3, 2); err != nil {
			t.Fatal(err)
		}
	}
	return cluster
}

// wantTopic waits until exactly these candidates are in the topic.
func wantTopic(ctx context.Context, t *testing.T, cluster *kafkatest.Cluster, names ...string) {
	t.Helper()
	slices.Sort(names)
	var got []string
	defer func() {
		if t.Failed() {
			t.Logf("in the topic: %q", got)
		}
	}()
	eventually(t, fmt.Sprintf("%q are in the topic", names), func() bool {
		records, err := cluster.ReadAll(ctx, "domains.candidates")
		if err != nil {
			return false
		}
		got = got[:0]
		for _, r := range records {
			got = append(got, string(r.Key))
		}
		slices.Sort(got)
		return slices.Equal(got, names)
	})
}

// wantSpool finds exactly these candidates waiting in the volume's spool, in
// files of the image's user.
func wantSpool(t *testing.T, volume string, names ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(volume, "spool_*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid != user {
			t.Errorf("%s is not of user %d", name, user)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var message struct{ Topic, Key string }
			if err := json.Unmarshal(line, &message); err != nil {
				t.Fatal(err)
			}
			if message.Topic == "domains.candidates" {
				got = append(got, message.Key)
			}
		}
	}
	slices.Sort(names)
	if slices.Sort(got); !slices.Equal(got, names) {
		t.Errorf("in the spool: %q, want %q", got, names)
	}
}
