//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What doctor says of three real brokers: well; with topics that lose events;
// with messages that were deleted unread; over TLS with a right and a wrong
// password; with a broker that hangs, and with two.
func TestDoctor(t *testing.T) {
	w := newWorld(t)
	dns := startDNS(t, ".  NS  a.root-servers.net.\ncom.  SOA  ns.example. host.example. 1 3600 600 86400 300\n")
	env := map[string]string{"KAFKA_BOOTSTRAP": strings.Join(w.cluster.Brokers(), ","), "NAMESERVERS": dns.Addr(), "OUTPUT_DIR": t.TempDir()}

	w.submit(submissions([]string{"a.com", "b.com", "c.com"})...)
	text := doctor(t, env, 0, "--workers", "12")
	expect(t, text, `^pass  broker +1 at 127\.0\.0\.1:\d+ +answers in \S+, as Kafka 4\.1 or newer$`, `^pass  broker +3 at `, `^pass  idempotence `,
		`^pass  topic +raw\.hosts +12 partitions, all with leaders and in sync$`, `^pass  rights +domains\.candidates +READ, WRITE and DESCRIBE$`,
		`^pass  in-sync +domains\.candidates +min\.insync\.replicas 2$`, `^pass  election +domains\.candidates +unclean\.leader\.election\.enable is off$`,
		`^warn  retention +raw\.hosts +1 day: less than 7 days `, `^pass  size `, `^pass  partitions +raw\.hosts +12 for 12 workers$`, `^pass  rights +group dnstwist-runner +READ$`,
		`^warn  topic +typostream\.dlq +does not exist$`, `^warn  group +dnstwist-runner +3 messages of raw\.hosts are to be read, and nobody reads them$`)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.cluster.CreateTopic(ctx, "weak", 1, 1, 1, "unclean.leader.election.enable=true", "retention.ms=1000000"); err != nil {
		t.Fatal(err)
	}
	weak := maps.Clone(env)
	weak["KAFKA_OUTPUT_TOPIC"], weak["KAFKA_CRAWL_TOPIC"] = "weak", "missing"
	expect(t, doctor(t, weak, 1), `^fail  replication +weak +1 replica: `, `^fail  in-sync +weak +min\.insync\.replicas 1$`, `^fail  election +weak `, `^warn  retention +weak +16m40s: `, `^fail  topic +missing +does not exist$`)

	// Ten seeds of which five are deleted, two of them read before.
	const seeds = "few.seeds"
	if err := w.cluster.CreateTopic(ctx, seeds, 1, 3, 2); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := w.client.ProduceSync(ctx, &kgo.Record{Topic: seeds, Value: []byte("{}")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	offsets := func(at int64) kadm.Offsets {
		var o kadm.Offsets
		o.AddOffset(seeds, 0, at, -1)
		return o
	}
	if _, err := w.admin.CommitOffsets(ctx, group, offsets(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.DeleteRecords(ctx, offsets(5)); err != nil {
		t.Fatal(err)
	}
	few := maps.Clone(env)
	few["KAFKA_INPUT_TOPIC"] = seeds
	expect(t, doctor(t, few, 1, "--workers", "2"), `^fail  group +dnstwist-runner +3 messages of few\.seeds were deleted before they were read$`, `^warn  partitions +few\.seeds +1 partition: 1 worker would have nothing to read$`)

	doctorSecure(t, w, env)

	// One that hangs is named, and costs a time-out; so do two, which have the
	// quorum.
	if err := w.cluster.Pause(2); err != nil {
		t.Fatal(err)
	}
	text = doctor(t, env, 1, "--timeout", "2s")
	expect(t, text, `^warn  bootstrap +\S+ +it takes the connection, but does not answer$`, `^fail  broker +2 at \S+ +cannot be used from here: it takes the connection, but does not answer$`, `^pass  nameserver `)
	if err := w.cluster.Pause(3); err != nil {
		t.Fatal(err)
	}
	expect(t, doctor(t, env, 1, "--timeout", "2s"), `^warn  bootstrap `, `^pass  bootstrap `, `^pass  directory `)
	if err := w.cluster.Resume(2, 3); err != nil {
		t.Fatal(err)
	}
}

func doctorSecure(t *testing.T, w *world, env map[string]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	secure := maps.Clone(env)
	maps.Copy(secure, map[string]string{
		"KAFKA_BOOTSTRAP": strings.Join(w.cluster.SecureBrokers(), ","), "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
		"KAFKA_SASL_USERNAME": "doctor", "KAFKA_SASL_PASSWORD_FILE": file, "KAFKA_SSL_CA_FILE": w.cluster.CAFile(),
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.cluster.SetPassword(ctx, "doctor", "right"); err != nil {
		t.Fatal(err)
	}
	write := func(password string) {
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("right")
	expect(t, doctor(t, secure, 0), `^pass  bootstrap `, `^pass  broker +3 at `, `^pass  topic +domains\.candidates `)
	write("wrong")
	expect(t, doctor(t, secure, 1), `^fail  bootstrap .*Authentication failed`, `^      -> check the security protocol, SASL mechanism, user and password$`)
	plain := maps.Clone(secure)
	plain["KAFKA_SECURITY_PROTOCOL"] = "PLAINTEXT"
	expect(t, doctor(t, plain, 1, "--timeout", "2s"), `^fail  bootstrap +\S+ +it takes the connection, but `, `TLS|security protocol`)
}

// doctor runs the command, and returns what it prints.
func doctor(t *testing.T, env map[string]string, code int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"doctor"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d\n%s%s", got, code, stdout.String(), stderr.String())
	}
	t.Logf("doctor %s: %v, %s", strings.Join(args, " "), time.Since(begin).Round(time.Millisecond), strings.TrimSpace(stderr.String()))
	return stdout.String()
}

// expect wants a line for each pattern.
func expect(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(text) {
			t.Errorf("no line %s in\n%s", p, text)
		}
	}
}
