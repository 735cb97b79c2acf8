//go:build unix

package kafkatest

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestListenable(t *testing.T) {
	tests := []struct {
		name, ephemeral string
		lo, hi          int
	}{
		{"Linux", "32768\t60999\n", 20000, 32000},
		{"unknown", "", 20000, 32000},
		{"garbage", "many few", 20000, 32000},
		{"lower start", "25000 60999", 20000, 25000},
		{"low start", "15000 65000", 10000, 15000},
		{"nearly all, room above", "1024 60999", 61000, 65536},
		{"all", "1024 65535", 20000, 32000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if lo, hi := listenable(tt.ephemeral); lo != tt.lo || hi != tt.hi {
				t.Errorf("listenable(%q) = %d, %d, want %d, %d", tt.ephemeral, lo, hi, tt.lo, tt.hi)
			}
		})
	}
}

func TestFreePorts(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ports)
	if len(slices.Compact(slices.Clone(ports))) != 20 {
		t.Errorf("ports repeat: %v", ports)
	}
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])))
	if err != nil {
		t.Fatalf("a port that was said to be free: %v", err)
	}
	_ = l.Close()
}

func TestJavaMajor(t *testing.T) {
	tests := map[string]int{
		"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment": 17,
		`openjdk version "21" 2023-09-19`:                                     21,
		`java version "1.8.0_392"`:                                            8,
		`openjdk version "25-ea" 2025-09-16`:                                  25,
		"sh: java: not found":                                                 0,
	}
	for out, want := range tests {
		if got := javaMajor(out); got != want {
			t.Errorf("javaMajor(%q) = %d, want %d", out, got, want)
		}
	}
}

// Whoever lacks Java or the jars gets one line that says what to do.
func TestStartSaysWhatIsMissing(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	wantMissing(t, func(ctx context.Context) error { _, err := Start(ctx, Options{}); return err },
		"real Kafka brokers need Java 17 or newer: apt-get install openjdk-17-jre-headless maven")
	wantMissing(t, Fetch,
		"real Kafka brokers need Java 17 or newer: apt-get install openjdk-17-jre-headless maven")

	java := filepath.Join(os.Getenv("PATH"), "java")
	writeScript(t, java, "#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
	wantMissing(t, func(ctx context.Context) error { _, err := Start(ctx, Options{}); return err },
		"real Kafka brokers need Java 17 or newer ("+java+" is openjdk version \"11.0.2\"): apt-get install openjdk-17-jre-headless maven")

	writeScript(t, java, "#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
	libs := t.TempDir()
	wantMissing(t, func(ctx context.Context) error { _, err := Start(ctx, Options{Libs: libs}); return err },
		"real Kafka brokers need their jars in "+libs+": make kafka-jars")
	t.Setenv(LibsEnv, libs)
	wantMissing(t, Fetch,
		"real Kafka brokers need Maven: apt-get install openjdk-17-jre-headless maven")
}

func wantMissing(t *testing.T, f func(context.Context) error, want string) {
	t.Helper()
	var m *MissingError
	if err := f(t.Context()); !errors.As(err, &m) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func writeScript(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Fetch with a Maven that is a script: the directory appears whole or not at all, and nothing foreign is replaced.
func TestFetch(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	writeScript(t, filepath.Join(bin, "java"), "#!/bin/sh\necho 'openjdk version \"17.0.15\"' >&2\n")
	mvn := filepath.Join(bin, "mvn")
	libs := filepath.Join(t.TempDir(), "libs")
	t.Setenv(LibsEnv, libs)

	writeScript(t, mvn, "#!/bin/sh\necho no network; exit 1\n")
	if err := Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "Maven could not bring the Kafka jars: exit status 1\nno network") {
		t.Errorf("Maven failed: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(libs)); len(left) > 0 {
		t.Errorf("a failed fetch left %v", left)
	}

	writeScript(t, mvn, `#!/bin/sh
for a; do case $a in -DoutputDirectory=*) echo jar > "${a#*=}/kafka_2.13-0.jar";; esac; done
`)
	if err := Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := (&site{libs: libs}).needJars(); err != nil {
		t.Error(err)
	}
	writeScript(t, mvn, "#!/bin/sh\nexit 1\n")
	if err := Fetch(t.Context()); err != nil {
		t.Errorf("the jars are there, and Maven was asked again: %v", err)
	}

	own := t.TempDir()
	writeScript(t, filepath.Join(own, "kafka_2.13-9.jar"), "jar")
	t.Setenv(LibsEnv, own)
	if err := Fetch(t.Context()); err != nil {
		t.Errorf("one's own jars: %v", err)
	}
	t.Setenv(LibsEnv, bin)
	if err := Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "has other files") {
		t.Errorf("a directory with other files: %v", err)
	}
}

func TestServerProperties(t *testing.T) {
	nodes := []*node{{id: 1}, {id: 2}, {id: 3}}
	dir := t.TempDir()
	if err := layOut(dir, nodes, "", map[string]string{"broker.session.timeout.ms": "9000"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(nodes[1].properties())
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{
		"node.id=2\n",
		"listeners=PLAINTEXT://127.0.0.1:" + strconv.Itoa(nodes[1].brokerPort) + ",CONTROLLER://127.0.0.1:" + strconv.Itoa(nodes[1].controllerPort) + "\n",
		"2@127.0.0.1:" + strconv.Itoa(nodes[1].controllerPort) + ",3@127.0.0.1:",
		"log.dirs=" + filepath.Join(dir, "node2", "data") + "\n",
		"min.insync.replicas=2\n",
		"broker.session.timeout.ms=9000\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestUnsettled(t *testing.T) {
	type part struct {
		leader        int32
		replicas, isr []int32
	}
	all := []int32{1, 2, 3}
	tests := []struct {
		name    string
		brokers []int32
		up      []int32
		parts   []part
		code    int16
		want    string
	}{
		{name: "settled", brokers: []int32{3, 1, 2}, up: all, parts: []part{{2, all, []int32{3, 2, 1}}}},
		{name: "no topics", brokers: all, up: all},
		{name: "one not registered", brokers: []int32{1, 2}, up: all, want: "brokers [1 2], up are [1 2 3]"},
		{name: "a dead one not fenced", brokers: all, up: []int32{1, 2}, want: "brokers [1 2 3], up are [1 2]"},
		{name: "dead leader", brokers: []int32{1, 2}, up: []int32{1, 2}, parts: []part{{3, all, []int32{1, 2}}}, want: "t/0 with leader 3 and replicas [1 2] in sync, up are [1 2]"},
		{name: "no leader", brokers: all, up: all, parts: []part{{1, all, all}, {-1, all, all}}, want: "t/1 with leader -1 and replicas [1 2 3] in sync, up are [1 2 3]"},
		{name: "one behind", brokers: all, up: all, parts: []part{{1, all, []int32{1, 2}}}, want: "t/0 with leader 1 and replicas [1 2] in sync, up are [1 2 3]"},
		{name: "settled on two", brokers: []int32{1, 3}, up: []int32{1, 3}, parts: []part{{1, all, []int32{1, 3}}}},
		{name: "fewer replicas than nodes", brokers: all, up: all, parts: []part{{3, []int32{3}, []int32{3}}}},
		{name: "topic in trouble", brokers: all, up: all, code: kerr.LeaderNotAvailable.Code, want: "topic t: " + kerr.LeaderNotAvailable.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &kmsg.MetadataResponse{}
			for _, id := range tt.brokers {
				m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: id})
			}
			if tt.parts != nil || tt.code != 0 {
				topic := kmsg.MetadataResponseTopic{Topic: kmsg.StringPtr("t"), ErrorCode: tt.code}
				for i, p := range tt.parts {
					topic.Partitions = append(topic.Partitions, kmsg.MetadataResponseTopicPartition{
						Partition: int32(i), Leader: p.leader, Replicas: p.replicas, ISR: p.isr,
					})
				}
				m.Topics = append(m.Topics, topic)
			}
			if got := unsettled(m, tt.up); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLogTail(t *testing.T) {
	n := &node{id: 1, dir: t.TempDir()}
	if got := n.tail(); got != "" {
		t.Errorf("no log yet: %q", got)
	}
	var b strings.Builder
	for i := range 5000 {
		b.WriteString("line " + strconv.Itoa(i) + "\n")
	}
	if err := os.WriteFile(n.logFile(), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := n.tail()
	if !strings.HasPrefix(got, "line ") || !strings.HasSuffix(got, "line 4999\n") || len(got) > logTail {
		t.Errorf("%d bytes: %.20q … %q", len(got), got, got[len(got)-20:])
	}
}

// A node is any process to its lifecycle: here it is a sleep.
func TestNodeLifecycle(t *testing.T) {
	defer goleak.VerifyNone(t)
	sp := newSpawner()
	defer sp.close()
	n := &node{id: 1, dir: t.TempDir()}
	if err := n.kill(); err == nil {
		t.Error("killed before it was started")
	}
	sleep := func() *exec.Cmd { return exec.Command("sleep", "3600") }
	wantUp := func(want bool) {
		t.Helper()
		if up, err := n.up(); err != nil || up != want {
			t.Errorf("up: %v, %v, want %v", up, err, want)
		}
	}
	ends := []struct {
		how  func() error
		says string
	}{{n.kill, "signal: killed"}, {n.stop, "signal: terminated"}} // both while it hangs
	for _, end := range ends {
		if err := n.start(sp, sleep()); err != nil {
			t.Fatal(err)
		}
		if err := n.start(sp, sleep()); err == nil {
			t.Error("started twice")
		}
		wantUp(true)
		if err := n.pause(true); err != nil {
			t.Fatal(err)
		}
		wantUp(false)
		if err := n.pause(false); err != nil {
			t.Fatal(err)
		}
		wantUp(true)
		if err := n.pause(true); err != nil {
			t.Fatal(err)
		}
		if err := end.how(); err != nil {
			t.Fatal(err)
		}
		if n.state == nil || n.state.Error() != end.says {
			t.Errorf("it ended by %v, want %s", n.state, end.says)
		}
		wantUp(false)
		if err := n.pause(false); err == nil {
			t.Error("resumed what does not run")
		}
	}

	if err := n.start(sp, exec.Command("/bin/sh", "-c", "echo cannot; exit 3")); err != nil {
		t.Fatal(err)
	}
	<-n.exited
	if _, err := n.up(); err == nil || !strings.Contains(err.Error(), "ended by itself (exit status 3)") || !strings.Contains(err.Error(), "cannot") {
		t.Errorf("a node that ended by itself: %v", err)
	}
}
