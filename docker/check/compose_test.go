// Package check has no code: its tests hold the compose files and the Kubernetes manifests to the schemas of those who read
// them and to the program. It is a module of its own, because nobody else should carry what it needs for that.
package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// setting is an option of the program.
type setting struct {
	Name, Value string
	Environment []string
}

// catalogue is what `typostream config --json` prints in an empty environment.
var catalogue = sync.OnceValues(func() ([]setting, error) {
	cmd := exec.Command("go", "run", "./cmd/typostream", "config", "--json")
	cmd.Dir = root
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); name == "PATH" || name == "HOME" || strings.HasPrefix(name, "GO") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("typostream config: %w", err)
	}
	var settings []setting
	return settings, json.Unmarshal(out, &settings)
})

// ofGo are variables that the Go runtime reads.
var ofGo = []string{"GOMEMLIMIT", "GOMAXPROCS"}

// checkEnvironment wants variables that the program knows: of others it would not know that they were meant for it.
func checkEnvironment(t *testing.T, of string, names []string) {
	t.Helper()
	settings, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, s := range settings {
		known = append(known, s.Environment...)
	}
	if len(known) == 0 || len(names) == 0 {
		t.Fatalf("%s: %d variables, the program knows %d", of, len(names), len(known))
	}
	for _, name := range names {
		if !slices.Contains(known, name) && !slices.Contains(ofGo, name) {
			t.Errorf("%s: typostream does not know the variable %s", of, name)
		}
	}
}

// checkGrace wants ten seconds more than seeds in work have to finish.
func checkGrace(t *testing.T, of string, grace time.Duration) {
	t.Helper()
	settings, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(settings, func(s setting) bool { return s.Name == "shutdown-timeout" })
	shutdown, err := time.ParseDuration(settings[i].Value)
	if err != nil {
		t.Fatal(err)
	}
	if grace < shutdown+10*time.Second {
		t.Errorf("%s is killed after %v, while SHUTDOWN_TIMEOUT is %v", of, grace, shutdown)
	}
}

func load(t *testing.T, profiles []string, environment []string, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithEnv(environment), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithDefaultProfiles(profiles...), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

const composeFile = "../compose.yaml"

// Each profile starts what it says. What a service waits for is among them, and can tell that it is healthy.
func TestProfiles(t *testing.T) {
	stack := []string{"grafana", "init", "kafka-1", "kafka-2", "kafka-3", "prometheus", "redis", "unbound", "worker"}
	for _, c := range []struct {
		profiles []string
		want     []string
	}{
		{nil, stack}, // by docker/.env
		{[]string{"stack"}, stack},
		{[]string{"worker"}, []string{"worker-alone"}},
		{[]string{"files"}, []string{"worker-files"}},
	} {
		project := load(t, c.profiles, nil, composeFile)
		if got := slices.Sorted(maps.Keys(project.Services)); !slices.Equal(got, c.want) {
			t.Errorf("profile %q starts %q, want %q", c.profiles, got, c.want)
		}
		for name, s := range project.Services {
			for dependency, d := range s.DependsOn {
				on, ok := project.Services[dependency]
				if !ok {
					t.Errorf("%s waits for %s, which profile %q does not start", name, dependency, c.profiles)
				}
				if d.Condition == types.ServiceConditionHealthy && (on.HealthCheck == nil || len(on.HealthCheck.Test) == 0) {
					t.Errorf("%s waits for the health of %s, which has no check", name, dependency)
				}
			}
		}
	}
}

// What is mounted exists or is a named volume, every port is for this host alone, and what runs on can be asked for its health.
func TestServices(t *testing.T) {
	project := load(t, []string{"*"}, nil, composeFile)
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s mounts what is not there: %v", name, err)
				}
				if !v.ReadOnly {
					t.Errorf("%s can write to %s", name, v.Source)
				}
			case types.VolumeTypeVolume:
				if _, ok := project.Volumes[v.Source]; !ok {
					t.Errorf("%s mounts %s, which is no volume", name, v.Source)
				}
			default:
				t.Errorf("%s mounts %+v", name, v)
			}
		}
		for _, p := range s.Ports {
			if addr, err := netip.ParseAddr(p.HostIP); err != nil || !addr.IsLoopback() {
				t.Errorf("%s publishes %d to other hosts", name, p.Target)
			}
		}
		if s.Restart != "" && s.HealthCheck == nil {
			t.Errorf("%s has no health check", name)
		}
		if s.Build == nil && (!strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest")) {
			t.Errorf("%s: the image %s has no version", name, s.Image)
		}
	}
}

// The three ways to run a worker.
func TestWorkers(t *testing.T) {
	project := load(t, []string{"*"}, []string{"KAFKA_BOOTSTRAP=elsewhere:9093"}, composeFile)
	for _, name := range []string{"worker", "worker-alone", "worker-files"} {
		s := project.Services[name]
		checkWorker(t, name, s)
		if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Error(err)
		}
	}
	if got := value(project.Services["worker-alone"], "KAFKA_BOOTSTRAP"); got != "elsewhere:9093" {
		t.Errorf("the brokers of a worker alone are %s", got)
	}
	if got := value(project.Services["worker-files"], "KAFKA_ENABLED"); got != "false" {
		t.Errorf("KAFKA_ENABLED of a worker without Kafka is %s", got)
	}
}

func checkWorker(t *testing.T, name string, s types.ServiceConfig) {
	t.Helper()
	checkEnvironment(t, name, slices.Sorted(maps.Keys(s.Environment)))
	if s.StopGracePeriod == nil {
		t.Fatalf("%s has no stop_grace_period", name)
	}
	checkGrace(t, name, time.Duration(*s.StopGracePeriod))
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Image != "typostream" {
		t.Errorf("%s: read only %v, capabilities dropped %v, image %s", name, s.ReadOnly, s.CapDrop, s.Image)
	}
	if !slices.Equal(s.HealthCheck.Test, []string{"CMD", "/typostream", "healthcheck"}) {
		t.Errorf("%s: health check %q", name, s.HealthCheck.Test)
	}
	dir := s.Environment["OUTPUT_DIR"]
	if dir == nil || !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == *dir && !v.ReadOnly }) {
		t.Errorf("%s: OUTPUT_DIR is on no volume, and would be gone with the container", name)
	}
}

// value is that of a service's variable, "" if it has none.
func value(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

// Each broker knows itself and the others.
func TestBrokers(t *testing.T) {
	project := load(t, []string{"stack"}, nil, composeFile)
	var bootstrap, voters []string
	for id := 1; id <= 3; id++ {
		name := fmt.Sprintf("kafka-%d", id)
		s := project.Services[name]
		if got := value(s, "KAFKA_NODE_ID"); got != fmt.Sprint(id) {
			t.Errorf("%s: node %s", name, got)
		}
		want := fmt.Sprintf("PLAINTEXT://%s:19092,PLAINTEXT_HOST://%s:%s", name, s.Ports[0].HostIP, s.Ports[0].Published)
		if got := value(s, "KAFKA_ADVERTISED_LISTENERS"); got != want {
			t.Errorf("%s advertises %s, want %s", name, got, want)
		}
		bootstrap = append(bootstrap, name+":19092")
		voters = append(voters, fmt.Sprintf("%d@%s:9093", id, name))
	}
	all := strings.Join(bootstrap, ",")
	for name, s := range project.Services {
		if got, ok := s.Environment["KAFKA_CONTROLLER_QUORUM_VOTERS"]; ok && *got != strings.Join(voters, ",") {
			t.Errorf("%s: voters %s", name, *got)
		}
	}
	worker, init := project.Services["worker"], project.Services["init"]
	if got := value(worker, "KAFKA_BOOTSTRAP"); got != all {
		t.Errorf("the worker's brokers are %s", got)
	}
	script := strings.Join(init.Command, "\n")
	for _, want := range []string{"--bootstrap-server " + all, "--partitions 12", "--replication-factor 3", "--config min.insync.replicas=2"} {
		if !strings.Contains(script, want) {
			t.Errorf("init does not say %s", want)
		}
	}
	topics := value(init, "TOPICS")
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(makefile), "\nTOPICS   ?= "+topics+"\n") {
		t.Errorf("the Makefile's TOPICS are not %s", topics)
	}
	for name, value := range worker.Environment {
		if strings.HasSuffix(name, "_TOPIC") && !slices.Contains(strings.Fields(topics), *value) {
			t.Errorf("%s is %s, which init does not create", name, *value)
		}
	}
	for _, of := range []string{"NAMESERVERS", "REDIS_HOST"} {
		if _, ok := project.Services[value(worker, of)]; !ok {
			t.Errorf("%s is no service", of)
		}
	}
}

// The fragment takes the place of the Python service and leaves volumes, dependencies and other variables as they were.
func TestDropIn(t *testing.T) {
	project := load(t, []string{"*"}, nil, "testdata/docker-compose.yml", "../compose.dnstwist-runner.yaml")
	s := project.Services["dnstwist-runner"]
	checkWorker(t, "dnstwist-runner", s)
	if s.Build != nil || !slices.Equal(s.Command, []string{"worker"}) || !slices.Equal(s.Entrypoint, []string{"/typostream"}) {
		t.Errorf("it still runs the other program: build %v, command %q, entrypoint %q", s.Build, s.Command, s.Entrypoint)
	}
	targets := map[string]bool{}
	for _, v := range s.Volumes {
		targets[v.Target] = true
	}
	if !maps.Equal(targets, map[string]bool{"/configs": true, "/out": true}) {
		t.Errorf("its volumes are mounted at %v", targets)
	}
	if _, ok := s.DependsOn["kafka"]; !ok {
		t.Error("it does not wait for kafka any more")
	}
	for name, want := range map[string]string{"KAFKA_BOOTSTRAP": "kafka:9092", "KAFKA_OUTPUT_TOPIC": "domains.candidates", "DEDUP_TTL_SECS": "10368000", "GEOLITE2_MMDB": ""} {
		if got := s.Environment[name]; got == nil || *got != want {
			t.Errorf("%s is not %s", name, want)
		}
	}
}
