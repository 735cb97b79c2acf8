//go:build e2e

// Package kubernetes has no code: its test tries the rights that the manifests give; docker/check has those of their form.
package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.yaml.in/yaml/v3"

	"github.com/typostream/typostream/resolver/resolvertest"
)

const patience = time.Minute

// rights are those of strimzi/user.yaml, one operation each.
func rights(t *testing.T) (acls []kfake.ACL) {
	t.Helper()
	text, err := os.ReadFile("strimzi/user.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var user struct {
		Spec struct {
			Authorization struct {
				ACLs []struct {
					Resource   struct{ Type, Name string }
					Operations []string
				} `yaml:"acls"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &user); err != nil {
		t.Fatal(err)
	}
	resources := map[string]kmsg.ACLResourceType{"topic": kmsg.ACLResourceTypeTopic, "group": kmsg.ACLResourceTypeGroup}
	operations := map[string]kmsg.ACLOperation{"Read": kmsg.ACLOperationRead, "Write": kmsg.ACLOperationWrite, "DescribeConfigs": kmsg.ACLOperationDescribeConfigs}
	for _, acl := range user.Spec.Authorization.ACLs {
		for _, name := range acl.Operations {
			resource, operation := resources[acl.Resource.Type], operations[name]
			if resource == 0 || operation == 0 {
				t.Fatalf("%s on the %s %s", name, acl.Resource.Type, acl.Resource.Name)
			}
			acls = append(acls, kfake.ACL{Resource: resource, Name: acl.Resource.Name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true})
		}
	}
	return acls
}

var topics = []string{"raw.hosts", "domains.candidates", "phish.urls.inactive", "phish.urls.crawl", "typostream.dlq"}

// world is a Kafka that asks for rights, and the variables for a worker that has some.
type world struct {
	binary string
	kafka  *kfake.Cluster
	env    []string
}

func newWorld(t *testing.T, binary string, acls []kfake.ACL) *world {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...), kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.Superuser("SCRAM-SHA-512", "admin", "all"), kfake.User("SCRAM-SHA-512", "typostream", "some", acls...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	dns, err := resolvertest.Start(".  NS  a.root-servers.net.\ncom.  SOA  ns.example. host.example. 1 3600 600 86400 300\nexample.com. NS ns.example.\nexamples.com. NS ns.example.\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	return &world{binary, kafka, []string{
		"PATH=" + os.Getenv("PATH"), "KAFKA_BOOTSTRAP=" + strings.Join(kafka.ListenAddrs(), ","), "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM=SCRAM-SHA-512",
		"KAFKA_SASL_USERNAME=typostream", "KAFKA_SASL_PASSWORD=some", "NAMESERVERS=" + dns.Addr(), "OUTPUT_DIR=" + t.TempDir(), "HTTP_ADDR=127.0.0.1:0",
	}}
}

// doctor returns the checks of rights and settings that did not pass.
func (w *world) doctor(t *testing.T) (failed []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.binary, "doctor", "--json")
	cmd.Env = w.env
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(out) {
		var check struct{ Check, Subject, Verdict, Finding string }
		if err := json.Unmarshal(line, &check); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{"rights", "settings", "topic", "idempotence", "bootstrap", "group"}, check.Check) {
			continue
		}
		if n++; check.Verdict != "pass" {
			failed = append(failed, fmt.Sprintf("%s %s: %s", check.Check, check.Subject, check.Finding))
		}
	}
	if n == 0 {
		t.Fatalf("doctor looked at nothing: %s", out)
	}
	return failed
}

// With the rights of the manifest doctor has no complaint and a worker reads, writes and commits; without any one of them
// doctor complains.
func TestRightsSufficeAndAreNeeded(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "typostream")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/typostream/typostream/cmd/typostream").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all := rights(t)
	w := newWorld(t, binary, all)
	if failed := w.doctor(t); len(failed) > 0 {
		t.Errorf("with all rights: %q", failed)
	}
	w.work(t)
	for i, acl := range all {
		less := newWorld(t, binary, slices.Delete(slices.Clone(all), i, i+1))
		if failed := less.doctor(t); len(failed) == 0 {
			t.Errorf("doctor does not miss %v on %s", acl.Operation, acl.Name)
		}
		less.kafka.Close()
	}
}

// work has a worker handle a submission and a message that is none.
func (w *world) work(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.SASL(scram.Auth{User: "admin", Pass: "all"}.AsSha512Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, value := range []string{`{"fqdn":"example.com","is_original_seed":true}`, `[]`} {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "raw.hosts", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, w.binary, "worker")
	cmd.Env = w.env
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client)
	missing := topics
	for committed := int64(0); ctx.Err() == nil && (len(missing) > 0 || committed < 2); {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
		missing = slices.DeleteFunc(slices.Clone(topics), func(topic string) bool {
			return slices.ContainsFunc(w.kafka.PartitionInfos(topic), func(p *kfake.PartitionInfo) bool { return p.HighWatermark > 0 })
		})
		committed = 0
		if offsets, err := admin.FetchOffsets(ctx, "dnstwist-runner"); err == nil {
			offsets.Each(func(o kadm.OffsetResponse) { committed += max(0, o.At) })
		}
	}
	if ctx.Err() == nil {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil || len(missing) > 0 {
		t.Errorf("%v, nothing in %q\n%s", err, missing, log.String())
	}
	if strings.Contains(strings.ToLower(log.String()), "authoriz") {
		t.Errorf("a right is missing:\n%s", log.String())
	}
}
