//go:build dist

package docker

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/resolver/resolvertest"
)

const (
	unit     = "typostream.service"
	settings = "etc/typostream/typostream.env"
)

// service is the unit on a machine.
type service struct{ *machine }

// show returns a property of the unit.
func (s service) show(property string) string {
	s.t.Helper()
	return strings.TrimSpace(s.run("systemctl", "show", "--value", "--property="+property, unit))
}

func (s service) want(property, value string) {
	s.t.Helper()
	if got := s.show(property); got != value {
		s.t.Errorf("%s is %q, want %q", property, got, value)
	}
}

// journal is what the worker has logged.
func (s service) journal() string {
	s.t.Helper()
	return s.run("journalctl", "--unit="+unit, "--output=cat", "--no-pager")
}

// started waits until the worker has started for the nth time, and returns where it serves.
func (s service) started(n int) string {
	s.t.Helper()
	var found [][]string
	eventually(s.t, fmt.Sprintf("start %d of the worker", n), func() bool {
		found = address.FindAllStringSubmatch(s.journal(), -1)
		return len(found) >= n
	})
	s.want("ActiveState", "active")
	if len(found) != n {
		s.t.Errorf("%d starts, want %d", len(found), n)
	}
	return found[n-1][1]
}

// The package is installed on a machine of its own where systemd runs, and the
// unit does there what OPERATIONS.md says of it. Only RestartSec is shorter.
func (r release) checkUnit(t *testing.T) {
	dns, err := resolvertest.Start(`
com. 300 IN SOA ns.example. host.example. 1 3600 600 86400 300
acme-tradin.com. 300 IN NS ns1.host.example.
acme-tradin.com. 300 IN A 192.0.2.1
exampl-shop.com. 300 IN NS ns1.host.example.
exampl-shop.com. 300 IN A 192.0.2.1
`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	s := service{boot(t, filepath.Join(r.dir, fmt.Sprintf("typostream_%s_linux_%s.deb", r.version, runtime.GOARCH)))}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", s.run("sh", "-c", "systemctl status --no-pager --full "+unit+" || :"), s.journal())
		}
	})
	common := []string{"NAMESERVERS=" + dns.Addr(), "HTTP_ADDR=127.0.0.1:0", "RESCAN_INTERVAL=0"}

	// Installed, it waits for its settings.
	s.run("dpkg", "--install", "/typostream.deb")
	s.want("ActiveState", "inactive")
	s.want("UnitFileState", "disabled")
	s.write("etc/systemd/system/"+unit+".d/test.conf", "[Service]", "RestartSec=100ms")
	s.run("systemctl", "daemon-reload")

	s.write(settings, "LOG_LEVEL=loud")
	s.run("systemctl", "start", unit)
	eventually(s.t, "a wrong setting ends the worker", func() bool { return s.show("ActiveState") == "failed" })
	s.want("ExecMainStatus", "2")
	s.want("NRestarts", "0")

	s.write("etc/typostream/seeds.csv", "acme-trading.com")
	s.write(settings, append(common, "KAFKA_ENABLED=false", "SEEDS_CSV=/etc/typostream/seeds.csv")...)
	s.run("systemctl", "enable", "--now", unit)
	s.started(1)
	if status := s.run("systemctl", "status", "--no-pager", unit); !strings.Contains(status, "active (running)") {
		t.Errorf("status:\n%s", status)
	}
	s.wantLines("acme-tradin.com", "acme-trading.com")
	s.wantConfined()

	before := s.show("MainPID")
	s.run("systemctl", "kill", "--signal=KILL", unit)
	s.started(2)
	s.want("NRestarts", "1")
	if got := s.show("MainPID"); got == before {
		t.Error("the worker was not killed")
	}

	s.run("dpkg", "--install", "/typostream.deb") // over itself
	s.started(3)
	s.checkConnected(common)

	s.run("systemctl", "stop", unit)
	s.want("ActiveState", "inactive")
	s.want("Result", "success") // within TimeoutStopSec
	s.want("ExecMainStatus", "0")

	s.run("systemctl", "start", unit)
	s.started(5)
	s.run("dpkg", "--remove", "typostream")
	s.want("LoadState", "not-found")
	s.want("ActiveState", "inactive")
	s.wantLines("acme-tradin.com", "acme-trading.com") // they are the operator's
}

// checkConnected restarts the worker with Kafka and Redis: a seed that is handed
// in over HTTP becomes a candidate in the topic and a mark in Redis.
func (s service) checkConnected(common []string) {
	s.t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "raw.hosts", "domains.candidates", "phish.urls.inactive", "phish.urls.crawl", "typostream.dlq"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(kafka.Close)
	redis := miniredis.RunT(s.t)
	_, port, _ := strings.Cut(kafka.ListenAddrs()[0], ":")
	s.write(settings, append(common, "KAFKA_BOOTSTRAP=localhost:"+port, "REDIS_HOST=localhost", "REDIS_PORT="+redis.Port())...)
	s.run("systemctl", "restart", unit)
	s.want("Result", "success")
	submit(s.t, s.started(4), "example-shop.com")
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.ConsumeTopics("domains.candidates"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	for found := false; !found; {
		records := client.PollRecords(s.t.Context(), 1).Records()
		found = len(records) > 0 && string(records[0].Key) == "exampl-shop.com"
	}
	eventually(s.t, "Redis has a mark of the candidate", func() bool {
		return slices.ContainsFunc(redis.Keys(), func(key string) bool {
			return strings.HasPrefix(key, "typostream:published:") && strings.HasSuffix(key, ":exampl-shop.com")
		})
	})
}

// wantLines waits until these candidates are in the files of the state directory.
func (s service) wantLines(names ...string) {
	s.t.Helper()
	var got []string
	eventually(s.t, fmt.Sprintf("%q are in the file", names), func() bool {
		got = nil
		files, err := filepath.Glob(filepath.Join(s.root, "var/lib/private/typostream/domains.candidates_*.jsonl"))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				s.t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				var event struct {
					FQDN string `json:"canonical_fqdn"`
				}
				if !strings.HasSuffix(line, "\n") {
					return false // it is being written
				}
				if err := json.Unmarshal([]byte(line), &event); err != nil {
					s.t.Fatal(err)
				}
				got = append(got, event.FQDN)
			}
		}
		slices.Sort(got)
		got = slices.Compact(got) // a killed worker begins again
		return len(got) >= len(names)
	})
	if !slices.Equal(got, names) {
		s.t.Errorf("in the files: %q, want %q", got, names)
	}
}

// wantConfined finds the worker without rights, under a filter of system calls,
// as a user that exists while it runs, and its directory closed to others.
func (s service) wantConfined() {
	s.t.Helper()
	status := s.run("cat", "/proc/"+s.show("MainPID")+"/status")
	for _, line := range []string{"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, line+"\n") {
			s.t.Errorf("the worker's status has no line %q:\n%s", line, status)
		}
	}
	info, err := os.Stat(filepath.Join(s.root, "var/lib/private/typostream"))
	if err != nil {
		s.t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner < 61184 || owner > 65519 || !strings.Contains(status, "Uid:\t"+strconv.Itoa(int(owner))+"\t") {
		s.t.Errorf("the directory is of user %d; the worker:\n%s", owner, status)
	}
	if mode := info.Mode(); mode != fs.ModeDir|0o750 {
		s.t.Errorf("the directory's mode is %v", mode)
	}
}
