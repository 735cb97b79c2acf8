package main

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/pipeline"
)

// runWith runs the command in this process with nothing but the given
// environment, and returns its exit code and what it wrote.
func runWith(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	code = run(t.Context(), append([]string{"typostream"}, args...), lookup, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// TestWrongValues: a wrong value of any option, by flag or by any of its
// variables, ends the command with exit code 2 and an error that names where the
// value came from; nothing is printed.
func TestWrongValues(t *testing.T) {
	wrong := map[string]string{
		"compat": "ps03",
		"kafka":  "maybe", "create-topics": "maybe", "bootstrap": "a:b:c", "output-topic": "a b", "send-attempts": "0", "send-backoff": "-1s",
		"crawl-topic": "ä", "inactive-topic": "..", "input-topic": "a/b", "group": "a b", "retry-delay": "soon",
		"process-csv": "y", "limit": "0", "country": "XX", "track-unregistered": "some", "seeds-in-parallel": "1.5",
		"compression": "rar", "linger": "-1", "batch-size": "0", "buffer-memory": "0", "request-timeout": "1", "delivery-timeout": "soon",
		"security-protocol": "TLS", "sasl-mechanism": "GSSAPI",
		"threads": "0", "dns-timeout": "1h", "dns-retries": "-1", "qps": "-1", "ask-parent": "maybe", "dns-cache": "-1", "max-unknown": "2", "mode": "twice",
		"spool-max-bytes": "1TB", "health-error-rate": "101%", "health-ack-p99": "-1s", "health-dead-letters": "-1", "health-memory": "much",
		"emit-rate": "-1", "emit-burst": "many", "replay-rate": "-1", "dlq-topic": "a b", "dlq-max-bytes": "1KiB",
		"redis-port": "0", "dedup-ttl": "-1", "emit": "some",
		"http-addr": "8080", "queue-max": "0", "sources": "carrier pigeon", "rescan-interval": "-1s", "unknown-interval": "0", "shutdown-timeout": "-1s", "otlp-endpoint": "localhost:4318", "log-level": "loud", "log-format": "xml",
	}
	// Any text is right for these, or a stage judges it.
	free := []string{
		"retry-attempts", "fuzz-src", "nameservers", "canary-exists", "canary-absent", "output-dir", "seeds", "dict-dir", "allow", "redis-host", "redis-password", "redis-password-file", "state-dir", "http-token", "http-token-file", "geolite2-mmdb",
		"alert-webhook-url", // wrong ones are in TestSecretsAreNotPrinted
		"sasl-username", "sasl-username-file", "sasl-password", "sasl-password-file", "ssl-ca-file", "ssl-cert-file", "ssl-key-file",
	}
	for _, o := range workerCatalogue() {
		value, ok := wrong[o.name]
		if !ok {
			if !slices.Contains(free, o.name) {
				t.Errorf("%s: no wrong value in this test", o.name)
			}
			continue
		}
		for _, name := range o.env {
			code, stdout, stderr := runWith(t, map[string]string{name: value}, "config")
			first, _, _ := strings.Cut(stderr, "\n")
			if code != exitUsage || stdout != "" || !strings.HasPrefix(first, "typostream: error: "+name+": must ") || !strings.HasSuffix(first, fmt.Sprintf("(got %q)", value)) {
				t.Errorf("%s=%s: exit code %d, stdout %q, stderr %q", name, value, code, stdout, stderr)
			}
		}
		if o.toggle {
			continue
		}
		code, _, stderr := runWith(t, nil, "config", "--"+o.name+"="+value)
		if code != exitUsage || !strings.HasPrefix(stderr, "typostream: error: --"+o.name+": must ") {
			t.Errorf("--%s=%s: exit code %d, stderr %q", o.name, value, code, stderr)
		}
	}
}

// TestSources: for every option the flag wins over the variables, an earlier
// variable over a later one, any over the default, and an empty one is as good
// as none.
func TestSources(t *testing.T) {
	other := map[string]string{
		"compat": "none", "kafka": "false", "create-topics": "true", "bootstrap": "x:1", "send-attempts": "2", "send-backoff": "2s", "retry-delay": "2s",
		"process-csv": "false", "limit": "7", "country": "IN", "track-unregistered": "all", "seeds-in-parallel": "2",
		"compression": "zstd", "linger": "5", "batch-size": "1000", "buffer-memory": "1000", "request-timeout": "5000", "delivery-timeout": "5s",
		"security-protocol": "SASL_SSL", "sasl-mechanism": "SCRAM-SHA-512",
		"threads": "600", "dns-timeout": "2s", "dns-retries": "2", "qps": "500", "ask-parent": "true", "dns-cache": "5", "max-unknown": "2%", "mode": "oneshot",
		"spool-max-bytes": "2GiB", "health-error-rate": "7%", "health-ack-p99": "7s", "health-dead-letters": "7", "health-memory": "7%", "alert-webhook-url": "https://x/y",
		"emit-rate": "7", "emit-burst": "8", "replay-rate": "0", "dlq-max-bytes": "1MiB",
		"redis-port": "7000", "dedup-ttl": "60", "emit": "all",
		"http-addr": ":1", "queue-max": "7", "sources": "csv", "rescan-interval": "2s", "unknown-interval": "2s", "shutdown-timeout": "2s", "otlp-endpoint": "http://x:4318", "log-level": "debug", "log-format": "text",
	}
	for _, o := range workerCatalogue() {
		value, ok := other[o.name]
		if !ok {
			value = "other"
		}
		if len(o.env) == 0 {
			t.Errorf("%s: no variable", o.name)
		}
		expect := func(env map[string]string, want, from string, args ...string) {
			t.Helper()
			all := assignAll(t, env, args...)
			i := slices.IndexFunc(all, func(a assigned) bool { return a.option.name == o.name })
			if got := all[i]; got.value != want || got.from.String() != from {
				t.Errorf("%s with %v %v: %q from %s, want %q from %s", o.name, env, args, got.value, got.from, want, from)
			}
		}
		expect(nil, o.value, "default")
		env := map[string]string{}
		for _, name := range slices.Backward(o.env) {
			env[name] = value
			expect(env, value, "environment "+name)
		}
		env[o.env[0]] = ""
		if len(o.env) == 1 {
			expect(env, o.value, "default")
		}
		if !o.toggle {
			env[o.env[0]] = o.value
			expect(env, value, "flag --"+o.name, "--"+o.name, value)
		}
	}
}

// assignAll gives the worker's options their values.
func assignAll(t *testing.T, env map[string]string, args ...string) (all []assigned) {
	t.Helper()
	options := workerCatalogue()
	cmd := &cli.Command{Flags: flags(options), Action: func(_ context.Context, cmd *cli.Command) (err error) {
		all, err = assign(&settings{}, options, cmd, func(name string) (string, bool) { value, ok := env[name]; return value, ok })
		return err
	}}
	if err := cmd.Run(t.Context(), append([]string{"typostream"}, args...)); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestOptionsAreUnique: a variable or a flag that means two things would win by
// accident.
func TestOptionsAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, o := range workerCatalogue() {
		for _, name := range append([]string{"--" + o.name}, o.env...) {
			if seen[name] != "" {
				t.Errorf("%s belongs to %s and %s", name, seen[name], o.name)
			}
			seen[name] = o.name
		}
	}
}

// TestContractEnvironment: every name of the service that typostream replaces
// is known.
func TestContractEnvironment(t *testing.T) {
	var known []string
	for _, o := range workerCatalogue() {
		known = append(known, o.env...)
	}
	for name := range strings.FieldsSeq(`RUNNER_MODE KAFKA_ENABLED KAFKA_BOOTSTRAP KAFKA_BOOTSTRAP_SERVERS KAFKA_BROKERS KAFKA_INPUT_TOPIC
		KAFKA_OUTPUT_TOPIC KAFKA_TOPIC KAFKA_INACTIVE_TOPIC KAFKA_CRAWL_TOPIC OUTPUT_DIR THREADS NAMESERVERS KAFKA_RETRY_ATTEMPTS
		KAFKA_RETRY_DELAY PROCESS_CSV_ON_STARTUP TRACK_UNREGISTERED REDIS_HOST REDIS_PORT DEDUP_TTL_SECS REQUEST_TIMEOUT_DNS
		REQUEST_RETRIES_DNS GEOLITE2_MMDB SEEDS_CSV DICT_DIR`) {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not known", name)
		}
	}
}

// TestCompat: with --compat ps02, by flag or variable, every setting that the
// replaced service had a default for has that one, and says why; a variable and a
// flag win over it.
func TestCompat(t *testing.T) {
	defaults := map[string]string{
		"RUNNER_MODE": "continuous", "KAFKA_ENABLED": "true", "KAFKA_BOOTSTRAP": "kafka:9092", "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092", "KAFKA_BROKERS": "kafka:9092",
		"KAFKA_INPUT_TOPIC": "raw.hosts", "KAFKA_OUTPUT_TOPIC": "raw.hosts", "KAFKA_TOPIC": "raw.hosts",
		"KAFKA_INACTIVE_TOPIC": "phish.urls.inactive", "KAFKA_CRAWL_TOPIC": "phish.urls.crawl", "OUTPUT_DIR": "/out", "THREADS": "16", "NAMESERVERS": "unbound:5335",
		"KAFKA_RETRY_ATTEMPTS": "10", "KAFKA_RETRY_DELAY": "5s", "PROCESS_CSV_ON_STARTUP": "true", "TRACK_UNREGISTERED": "true",
		"REDIS_HOST": "redis", "REDIS_PORT": "6379", "DEDUP_TTL_SECS": "10368000", "REQUEST_TIMEOUT_DNS": "2.5s", "REQUEST_RETRIES_DNS": "2", "GEOLITE2_MMDB": "",
		"SEEDS_CSV": "/configs/cse_seeds.csv", "DICT_DIR": "/configs/dictionaries", "KAFKA_GROUP_ID": "dnstwist-runner",
		// It had no such settings: each seed was scanned when it came, and all that was found written.
		"RESCAN_INTERVAL": "0", "EMIT": "all",
	}
	env := map[string]string{"TYPOSTREAM_COMPAT": "PS02"}
	byFlag, byVariable, own := assignAll(t, nil, "--compat", "ps02"), assignAll(t, env), assignAll(t, map[string]string{"TYPOSTREAM_COMPAT": "none"})
	for i, a := range byVariable {
		for _, name := range a.option.env {
			want, known := defaults[name]
			if !known {
				want = a.option.value
				if name == "TYPOSTREAM_COMPAT" {
					continue
				}
			}
			if a.value != want || byFlag[i].value != want {
				t.Errorf("%s: %q by variable, %q by flag, want %q", name, a.value, byFlag[i].value, want)
			}
			delete(defaults, name)
		}
		if a.option.compat == "" {
			continue
		}
		if a.from.String() != "compat ps02" || own[i].from.String() != "default" || own[i].value != a.option.value {
			t.Errorf("%s: %s, and %q from %s without", a.option.name, a.from, own[i].value, own[i].from)
		}
		ours, other := "7", "8"
		if a.option.name == "emit" {
			ours, other = "changes", "changes"
		}
		env[a.option.env[0]] = ours
		if got := assignAll(t, env)[i]; got.value != ours || got.from.kind != "environment" {
			t.Errorf("%s: %q from %s, want %s of the environment", a.option.name, got.value, got.from, ours)
		}
		if got := assignAll(t, env, "--"+a.option.name, other)[i]; got.value != other || got.from.kind != "flag" {
			t.Errorf("%s: %q from %s, want %s of the flag", a.option.name, got.value, got.from, other)
		}
		delete(env, a.option.env[0])
	}
	if len(defaults) > 0 {
		t.Errorf("no option has %v", defaults)
	}
}

// TestSecretsAreNotPrinted by config, in whatever form, nor with what is wrong
// about them.
func TestSecretsAreNotPrinted(t *testing.T) {
	secret := option{name: "password", env: []string{"PASSWORD"}, secret: true, set: text(func(s *settings) *string { return &s.Group })}
	for value, want := range map[string]string{"hunter2": "(redacted)", "": ""} {
		a := assigned{option: secret, value: value, from: source{"environment", "PASSWORD"}}
		if got := a.shown(); got != want {
			t.Errorf("%q is shown as %q", value, got)
		}
		var out bytes.Buffer
		term := &terminal{stdout: &out, stderr: &screen{w: &out}}
		if err := term.printConfig([]assigned{a}); err != nil {
			t.Fatal(err)
		}
		if err := term.printConfigJSON([]assigned{a}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "hunter2") || strings.Count(out.String(), "environment PASSWORD") != 2 {
			t.Errorf("%s", out.String())
		}
	}
	for _, args := range [][]string{{"config"}, {"config", "--json"}, {"replay", "x.jsonl"}} {
		env := map[string]string{"KAFKA_SASL_PASSWORD": "hunter2", "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}
		_, stdout, stderr := runWith(t, env, args...)
		if strings.Contains(stdout+stderr, "hunter2") || stdout+stderr == "" {
			t.Errorf("%v: %s%s", args, stdout, stderr)
		}
	}
	for _, value := range []string{"hunter2", "ftp://x/hunter2"} {
		code, stdout, stderr := runWith(t, map[string]string{"ALERT_WEBHOOK_URL": value}, "config")
		if code != exitUsage || stdout != "" || strings.Contains(stderr, "hunter2") || !strings.HasPrefix(stderr, "typostream: error: ALERT_WEBHOOK_URL: must ") {
			t.Errorf("%q: %d %s%s", value, code, stdout, stderr)
		}
	}
	secret.set = count(1, 2, func(s *settings) *int { return &s.Threads })
	err := assignOne(t, secret, "hunter2")
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(err.Error(), "PASSWORD: must ") {
		t.Errorf("%v", err)
	}
}

func assignOne(t *testing.T, o option, value string) (err error) {
	t.Helper()
	cmd := &cli.Command{Flags: flags([]option{o}), Action: func(_ context.Context, cmd *cli.Command) error {
		_, err = assign(&settings{}, []option{o}, cmd, func(string) (string, bool) { return value, true })
		return nil
	}}
	if e := cmd.Run(t.Context(), []string{"typostream"}); e != nil {
		t.Fatal(e)
	}
	return err
}

// TestSetters: what each kind of value is understood as.
func TestSetters(t *testing.T) {
	flag, env := source{"flag", "--x"}, source{"environment", "X"}
	brokers := func(s *settings) any { return s.Brokers }
	threads := func(s *settings) any { return s.Threads }
	wait := func(s *settings) any { return s.DNSTimeout }
	attempts := func(s *settings) any { return s.DNSAttempts }
	share := func(s *settings) any { return s.MaxUnknown }
	track := func(s *settings) any { return s.Track }
	country := func(s *settings) any { return s.Country }
	seconds := duration(10*time.Millisecond, time.Minute, func(s *settings) *time.Duration { return &s.DNSTimeout })
	millis := milliseconds(0, time.Minute, func(s *settings) *time.Duration { return &s.DNSTimeout })
	yes := toggle(func(s *settings) *bool { return &s.Kafka })
	kafka := func(s *settings) any { return s.Kafka }
	bytes := size(1024, func(s *settings) *int64 { return &s.SpoolBytes })
	spool := func(s *settings) any { return s.SpoolBytes }
	rate := func(s *settings) any { return s.ReplayRate }
	copies := func(s *settings) any { return s.DeadLetterTopic }
	topic := setTopic(func(s *settings) *string { return &s.Group })
	group := func(s *settings) any { return s.Group }
	tests := []struct {
		set   func(*settings, string, source) error
		value string
		from  source
		field func(*settings) any
		want  any // nil: refused
	}{
		{setBrokers, "a:1, b ,,c:3", flag, brokers, []string{"a:1", "b:9092", "c:3"}},
		{setBrokers, "2001:db8::1", flag, brokers, []string{"[2001:db8::1]:9092"}},
		{setBrokers, "[2001:db8::1]", flag, brokers, []string{"[2001:db8::1]:9092"}},
		{setBrokers, "[2001:db8::1]:1", flag, brokers, []string{"[2001:db8::1]:1"}},
		{setBrokers, " , ", flag, brokers, nil},
		{setBrokers, "a:0", flag, brokers, nil},
		{setBrokers, ":9092", flag, brokers, nil},
		{setBrokers, "a:1:2", flag, brokers, nil},
		{setBrokers, "http://a:1", flag, brokers, nil},
		{setBrokers, "a b:1", flag, brokers, nil},
		{setThreads, "16", flag, threads, 16},
		{setThreads, "16", env, threads, 512},
		{setThreads, "16", source{"compat", "ps02"}, threads, 512},
		{setThreads, "1024", env, threads, 1024},
		{setThreads, "65537", flag, threads, nil},
		{seconds, "2.5", flag, wait, 2500 * time.Millisecond},
		{seconds, "500ms", flag, wait, 500 * time.Millisecond},
		{seconds, "NaN", flag, wait, nil},
		{seconds, "1e300", flag, wait, nil},
		{seconds, "61", flag, wait, nil},
		{millis, "50", env, wait, 50 * time.Millisecond},
		{millis, "2s", env, wait, 2 * time.Second},
		{millis, "60001", env, wait, nil},
		{millis, "1.5", env, wait, nil},
		{setRetries, "2", flag, attempts, 3},
		{setRetries, "", env, attempts, 0},
		{setMaxUnknown, "1%", flag, share, 0.01},
		{setMaxUnknown, " 0.5 ", flag, share, 0.5},
		{setMaxUnknown, "0", flag, share, 0.0},
		{setMaxUnknown, "NaN", flag, share, nil},
		{setMaxUnknown, "-1%", flag, share, nil},
		{setTracking, "ALL", env, track, pipeline.TrackAll},
		{setTracking, "no", env, track, pipeline.TrackNone},
		{setTracking, "yes", env, track, pipeline.TrackRegistered},
		{setCountry, "in", flag, country, "IN"},
		{setCountry, "", flag, country, ""},
		{setCountry, "India", flag, country, nil},
		{yes, "TRUE", env, kafka, true},
		{yes, "1", env, kafka, true},
		{yes, "Yes", env, kafka, true},
		{yes, "No", env, kafka, false},
		{yes, "0", env, kafka, false},
		{yes, "on", env, kafka, nil},
		{topic, "raw.hosts-1_a", flag, group, "raw.hosts-1_a"},
		{topic, "", flag, group, nil},
		{bytes, "2048", flag, spool, int64(2048)},
		{bytes, "1KiB", flag, spool, int64(1024)},
		{bytes, "3 MiB", env, spool, int64(3 << 20)},
		{bytes, "1023", flag, spool, nil},
		{bytes, "-1GiB", flag, spool, nil},
		{bytes, "99999999999GiB", flag, spool, nil},
		{setRate, "0", flag, rate, -1},
		{setRate, "10", flag, rate, 10},
		{setCopies, "None", env, copies, ""},
		{setCopies, "my.dlq", env, copies, "my.dlq"},
		{topic, strings.Repeat("a", 250), flag, group, nil},
	}
	for _, test := range tests {
		var s settings
		err := test.set(&s, test.value, test.from)
		switch {
		case test.want == nil && err == nil:
			t.Errorf("%q: accepted as %v", test.value, test.field(&s))
		case test.want != nil && (err != nil || !reflect.DeepEqual(test.field(&s), test.want)):
			t.Errorf("%q: %v (%v), want %v", test.value, test.field(&s), err, test.want)
		}
	}
}
