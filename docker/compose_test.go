// Package docker has no code: its tests check the container files as far as that goes without a container engine.
package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type service struct {
	Image       string            `yaml:"image"`
	Environment map[string]string `yaml:"environment"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Command []string `yaml:"command"`
	Volumes []string `yaml:"volumes"`
	Ports   []string `yaml:"ports"`
	Build   struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
}

type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func load(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// What the file refers to exists, and every port is for this host alone.
func TestComposeReferences(t *testing.T) {
	c := load(t)
	for name, s := range c.Services {
		for dep := range s.DependsOn {
			if _, ok := c.Services[dep]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, dep)
			}
		}
		for _, v := range s.Volumes {
			volume, _, _ := strings.Cut(v, ":")
			if _, ok := c.Volumes[volume]; !ok {
				t.Errorf("%s mounts %s, which is no volume", name, volume)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s to other hosts", name, p)
			}
		}
	}
	worker := c.Services["worker"]
	if _, err := os.Stat(filepath.Join(worker.Build.Context, worker.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
}

func TestComposeBrokers(t *testing.T) {
	c := load(t)
	var bootstrap, voters []string
	for id := 1; id <= 3; id++ {
		name := fmt.Sprintf("kafka-%d", id)
		s := c.Services[name]
		if s.Image != "apache/kafka:4.1.1" {
			t.Errorf("%s: image %q", name, s.Image)
		}
		if got := s.Environment["KAFKA_NODE_ID"]; got != fmt.Sprint(id) {
			t.Errorf("%s: node %s", name, got)
		}
		inner := fmt.Sprintf("PLAINTEXT://%s:19092,", name)
		hostPort, _, _ := strings.Cut(strings.Join(s.Ports, ""), ":9092")
		if got := s.Environment["KAFKA_ADVERTISED_LISTENERS"]; got != inner+"PLAINTEXT_HOST://"+hostPort {
			t.Errorf("%s advertises %s", name, got)
		}
		bootstrap = append(bootstrap, name+":19092")
		voters = append(voters, fmt.Sprintf("%d@%s:9093", id, name))
	}
	for name, s := range c.Services {
		if got, ok := s.Environment["KAFKA_CONTROLLER_QUORUM_VOTERS"]; ok && got != strings.Join(voters, ",") {
			t.Errorf("%s: voters %s", name, got)
		}
	}
	all := strings.Join(bootstrap, ",")
	if got := c.Services["worker"].Environment["KAFKA_BOOTSTRAP"]; got != all {
		t.Errorf("the worker's brokers are %s", got)
	}
	script := strings.Join(c.Services["init"].Command, "\n")
	for _, want := range []string{"--bootstrap-server " + all, "--partitions 12", "--replication-factor 3", "--config min.insync.replicas=2"} {
		if !strings.Contains(script, want) {
			t.Errorf("init does not say %s", want)
		}
	}
}

// The topics that the worker uses are those that are created, here and by `make kafka-up`.
func TestComposeTopics(t *testing.T) {
	c := load(t)
	topics := c.Services["init"].Environment["TOPICS"]
	if !strings.Contains(read(t, "../Makefile"), "\nTOPICS   ?= "+topics+"\n") {
		t.Errorf("the Makefile's TOPICS are not %s", topics)
	}
	for name, value := range c.Services["worker"].Environment {
		if strings.HasSuffix(name, "_TOPIC") && !slices.Contains(strings.Fields(topics), value) {
			t.Errorf("%s is %s, which init does not create", name, value)
		}
	}
}

// A variable that the command does not know would be ignored in silence.
func TestWorkerEnvironmentIsKnown(t *testing.T) {
	sources, err := filepath.Glob("../cmd/typostream/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources of the command: %v", err)
	}
	var all strings.Builder
	for _, name := range sources {
		all.WriteString(read(t, name))
	}
	for name := range load(t).Services["worker"].Environment {
		if !strings.Contains(all.String(), `"`+name+`"`) {
			t.Errorf("typostream does not know %s", name)
		}
	}
}

// The image has nothing but what the last stage puts there, and does not run as root.
func TestDockerfile(t *testing.T) {
	_, last, ok := strings.Cut(read(t, "Dockerfile"), "\nFROM scratch\n")
	if !ok || strings.Contains(last, "\nFROM ") {
		t.Fatal("the last stage is not from scratch")
	}
	for _, want := range []string{"USER 65532:65532", "VOLUME /out", `ENTRYPOINT ["/typostream"]`, `CMD ["worker"]`} {
		if !slices.Contains(strings.Split(last, "\n"), want) {
			t.Errorf("the last stage does not say %s", want)
		}
	}
}
