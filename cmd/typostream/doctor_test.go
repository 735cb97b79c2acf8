package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/segmentio/kafka-go"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/geoip"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/resolver"
)

const allRights emitter.Rights = 1<<emitter.OpRead | 1<<emitter.OpWrite | 1<<emitter.OpCreate | 1<<emitter.OpDescribe | 1<<emitter.OpDescribeConfigs

// goodTopic is one that nothing is wrong with, changed.
func goodTopic(change func(*emitter.TopicFacts)) emitter.TopicFacts {
	f := emitter.TopicFacts{Name: "t", Partitions: 12, Replicas: 3, Rights: allRights, Settings: map[string]string{
		"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "cleanup.policy": "delete", "retention.ms": "604800000",
		"retention.bytes": "-1", "max.message.bytes": "1048588",
	}}
	if change != nil {
		change(&f)
	}
	return f
}

// setting is a good topic but for one setting.
func setting(name, value string) emitter.TopicFacts {
	return goodTopic(func(f *emitter.TopicFacts) { f.Settings[name] = value })
}

// TestTopicVerdicts: what one fault of a topic comes to; every other check of
// it passes, and only what passes has no remedy.
func TestTopicVerdicts(t *testing.T) {
	written, read, unkeyed, copies, reread := role{write: true}, role{}, role{write: true, unkeyed: true}, role{write: true, copies: true}, role{write: true, reread: true}
	missing := goodTopic(func(f *emitter.TopicFacts) { f.Err = kafka.UnknownTopicOrPartition })
	replicas := func(n int, inSync string) emitter.TopicFacts {
		return goodTopic(func(f *emitter.TopicFacts) { f.Replicas, f.Settings["min.insync.replicas"] = n, inSync })
	}
	rights := func(r emitter.Rights) emitter.TopicFacts {
		return goodTopic(func(f *emitter.TopicFacts) { f.Rights = r })
	}
	for _, test := range []struct {
		name   string
		facts  emitter.TopicFacts
		role   role
		create bool
		want   string // check: verdict of those that do not pass
		words  string // in the finding or the remedy
	}{
		{name: "good, written", facts: goodTopic(nil), role: written},
		{name: "good, read", facts: goodTopic(nil), role: read},
		{name: "good, read again", facts: goodTopic(nil), role: reread},
		{name: "good, without keys", facts: goodTopic(nil), role: unkeyed},
		{name: "missing", facts: missing, role: written, want: "topic fail", words: "KAFKA_CREATE_TOPICS=true"},
		{name: "missing, to be created", facts: missing, role: written, create: true, want: "topic warn", words: "a worker creates it"},
		{name: "missing, for copies", facts: missing, role: copies, want: "topic warn", words: "does not exist"},
		{name: "hidden", facts: goodTopic(func(f *emitter.TopicFacts) { f.Err = kafka.TopicAuthorizationFailed }), role: written, want: "topic fail", words: "grant DESCRIBE"},
		{name: "broken", facts: goodTopic(func(f *emitter.TopicFacts) { f.Err = kafka.InvalidTopic }), role: written, want: "topic fail", words: "logs"},
		{name: "leaderless", facts: goodTopic(func(f *emitter.TopicFacts) { f.Leaderless = []int{1, 2} }), role: written, want: "topic fail", words: "no leader for partitions 1 2"},
		{name: "behind", facts: goodTopic(func(f *emitter.TopicFacts) { f.Behind = make([]int, 12) }), role: written, want: "topic warn", words: "0 and 2 more"},
		{name: "not to be written", facts: rights(1<<emitter.OpRead | 1<<emitter.OpDescribe), role: written, want: "rights fail", words: "grant WRITE"},
		{name: "not to be read", facts: rights(1<<emitter.OpWrite | 1<<emitter.OpDescribe), role: read, want: "rights fail", words: "grant READ"},
		{name: "not to be read again", facts: rights(1<<emitter.OpWrite | 1<<emitter.OpDescribe), role: reread, want: "rights warn", words: "is published again"},
		{name: "neither written nor read again", facts: rights(1 << emitter.OpDescribe), role: reread, want: "rights fail", words: "grant WRITE"},
		{name: "rights not told", facts: rights(-1 << 31), role: written, want: "rights warn", words: "do not tell"},
		{name: "settings not told", facts: goodTopic(func(f *emitter.TopicFacts) { f.SettingsErr = kafka.TopicAuthorizationFailed }), role: written, want: "settings warn", words: "DESCRIBE_CONFIGS"},
		{name: "settings too late", facts: goodTopic(func(f *emitter.TopicFacts) { f.SettingsErr = context.DeadlineExceeded }), role: written, want: "settings warn", words: "no answer in time"},
		{name: "one replica", facts: replicas(1, "1"), role: written, want: "replication fail in-sync fail", words: "is lost"},
		{name: "one replica of copies", facts: replicas(1, "1"), role: copies, want: "replication warn in-sync warn"},
		{name: "two replicas", facts: replicas(2, "2"), role: written, want: "replication warn in-sync warn", words: "writes stop"},
		{name: "one in sync", facts: replicas(3, "1"), role: written, want: "in-sync fail", words: "min.insync.replicas=2"},
		{name: "all in sync", facts: replicas(3, "3"), role: written, want: "in-sync warn", words: "to 4"},
		{name: "more in sync than there are", facts: replicas(3, "4"), role: written, want: "in-sync fail", words: "nothing can be written"},
		{name: "in sync not told", facts: setting("min.insync.replicas", ""), role: written, want: "in-sync warn"},
		{name: "unclean", facts: setting("unclean.leader.election.enable", "true"), role: written, want: "election fail", words: "enable=false"},
		{name: "unclean is no setting", facts: setting("unclean.leader.election.enable", ""), role: written},
		{name: "an hour for seeds", facts: setting("retention.ms", "3600000"), role: read, want: "retention fail", words: "1h0m0s"},
		{name: "an hour for events", facts: setting("retention.ms", "3600000"), role: written, want: "retention warn"},
		{name: "two days for seeds", facts: setting("retention.ms", "172800000"), role: read, want: "retention warn", words: "2 days"},
		{name: "for ever", facts: setting("retention.ms", "-1"), role: read},
		{name: "for longer than Go can tell", facts: setting("retention.ms", "9223372036854775807"), role: read},
		{name: "by size", facts: setting("retention.bytes", "1000"), role: read, want: "retention warn", words: "any age"},
		{name: "for ever, but by size", facts: goodTopic(func(f *emitter.TopicFacts) { f.Settings["retention.ms"], f.Settings["retention.bytes"] = "-1", "1000" }), role: read, want: "retention warn", words: "any age"},
		{name: "retention not told", facts: setting("retention.ms", ""), role: read, want: "retention warn", words: "not told"},
		{name: "compacted", facts: setting("cleanup.policy", "compact"), role: written, want: "retention warn", words: "same key"},
		{name: "compacted, without keys", facts: setting("cleanup.policy", "compact,delete"), role: unkeyed, want: "retention fail", words: "refused"},
		{name: "small messages", facts: setting("max.message.bytes", "1000"), role: written, want: "size warn", words: "KAFKA_BATCH_SIZE to 1000"},
		{name: "small messages, read", facts: setting("max.message.bytes", "1000"), role: read},
		{name: "size not told", facts: setting("max.message.bytes", ""), role: written, want: "size warn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := diagnoseTopic(test.facts, test.role, allRights, &settings{BatchBytes: 512 << 10, CreateTopics: test.create})
			judged(t, all, test.want, test.words)
		})
	}
	noCreate := diagnoseTopic(missing, written, 1<<emitter.OpDescribe, &settings{CreateTopics: true})
	judged(t, noCreate, "topic fail", "grant CREATE")
}

// judged compares what did not pass with "check verdict …", and looks for words.
func judged(t *testing.T, all []diagnosis, want, words string) {
	t.Helper()
	var got []string
	said := ""
	for _, d := range all {
		if d.Finding == "" || d.Subject == "" || (d.Verdict == pass) != (d.Remedy == "") {
			t.Errorf("%+v", d)
		}
		if d.Verdict != pass {
			got = append(got, d.Check, string(d.Verdict))
			said += d.Finding + " " + d.Remedy + " "
		}
	}
	if strings.Join(got, " ") != want || !strings.Contains(said, words) {
		t.Errorf("%q: %s; want %q: …%s…", strings.Join(got, " "), said, want, words)
	}
}

func TestKafkaVerdicts(t *testing.T) {
	up := emitter.Endpoint{ID: 1, Address: "a:9092", Took: time.Millisecond, Release: "4.1", Idempotent: true}
	down := func(address string, step emitter.EndpointStep, err error) emitter.Endpoint {
		return emitter.Endpoint{ID: 2, Address: address, Err: &emitter.EndpointError{Address: address, Step: step, Err: err}}
	}
	refused := errors.New("connection refused")
	group := func(g emitter.GroupFacts) *emitter.GroupFacts {
		g.Name, g.Topic = "g", "raw.hosts"
		return &g
	}
	positions := []emitter.Position{{Partition: 0, Committed: 5, First: 3, End: 9}, {Partition: 1, Committed: -1, First: 7, End: 8}}
	for _, test := range []struct {
		name  string
		facts emitter.Inspection
		want  string
		words string
	}{
		{"good", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Brokers: []emitter.Endpoint{up}}, "", ""},
		{"down", emitter.Inspection{Bootstrap: []emitter.Endpoint{down("b:1", emitter.StepConnect, refused)}, Err: refused}, "bootstrap fail", "refused"},
		{"no such name", emitter.Inspection{Bootstrap: []emitter.Endpoint{down("b:1", emitter.StepLookup, &net.DNSError{Err: "no such host", Name: "b"})}, Err: refused}, "bootstrap fail", "hosts file"},
		{"one of two down", emitter.Inspection{Bootstrap: []emitter.Endpoint{up, down("b:1", emitter.StepAnswer, context.DeadlineExceeded)}}, "bootstrap warn", "does not answer"},
		{"no metadata", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Err: refused}, "metadata fail", "controller"},
		{"port-forward", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Brokers: []emitter.Endpoint{down("kafka-2.internal:9092", emitter.StepLookup, refused)}}, "broker fail", "another address than a:9092"},
		{"port-forward to one of two", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Brokers: []emitter.Endpoint{up, down("10.0.0.2:9092", emitter.StepConnect, context.DeadlineExceeded)}}, "broker fail", "start the broker if it is down; if it is up: broker 2 advertises"},
		{"a broker that hangs", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Brokers: []emitter.Endpoint{up, down("b:1", emitter.StepAnswer, context.DeadlineExceeded)}}, "broker fail", "see whether the broker hangs"},
		{"a broker that we named is down", emitter.Inspection{Bootstrap: []emitter.Endpoint{up, down("b:1", emitter.StepConnect, refused)}, Brokers: []emitter.Endpoint{up, down("b:1", emitter.StepConnect, refused)}}, "bootstrap warn broker fail", "refused"},
		{"old", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Brokers: []emitter.Endpoint{{Address: "a:9092"}}}, "broker fail idempotence fail", "KIP-98"},
		{"no producer id", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, ProducerErr: context.DeadlineExceeded}, "idempotence fail", "no answer in time"},
		{"no right to one", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, ProducerErr: kafka.ClusterAuthorizationFailed}, "idempotence fail", "IDEMPOTENT_WRITE"},
		{"group reads", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Group: group(emitter.GroupFacts{State: "Stable", Members: 2, Rights: allRights, Positions: positions})}, "", ""},
		{"nobody reads", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Group: group(emitter.GroupFacts{State: "Empty", Positions: positions})}, "group warn", "5 messages of raw.hosts are to be read"},
		{"deleted before read", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Group: group(emitter.GroupFacts{Members: 1, Positions: []emitter.Position{{Committed: 2, First: 6, End: 9}}})}, "group fail", "4 messages of raw.hosts were deleted"},
		{"a leader is away", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Group: group(emitter.GroupFacts{Members: 1, Positions: []emitter.Position{{Partition: 4, Err: refused, Committed: 9}}})}, "group warn", "partitions 4"},
		{"no coordinator", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Group: group(emitter.GroupFacts{Err: kafka.GroupCoordinatorNotAvailable})}, "group fail", "__consumer_offsets"},
		{"group denied", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Group: group(emitter.GroupFacts{Err: kafka.GroupAuthorizationFailed, Rights: -1 << 31})}, "rights fail", "grant READ on group g"},
		{"group seen, not to be read", emitter.Inspection{Bootstrap: []emitter.Endpoint{up}, Group: group(emitter.GroupFacts{Rights: 1 << emitter.OpDescribe})}, "rights fail", "grant READ on group g"},
	} {
		t.Run(test.name, func(t *testing.T) {
			judged(t, diagnoseKafka(&test.facts, nil, &settings{}, 1), test.want, test.words)
		})
	}
}

func TestCountriesVerdicts(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	judged(t, diagnoseCountries("c.mmdb", now.Add(-oldCountries), now, nil), "", "")
	judged(t, diagnoseCountries("c.mmdb", now.Add(-oldCountries-time.Hour), now, nil), "countries warn", "made on 2026-08-21")
	_, err := geoip.Open(filepath.Join(t.TempDir(), "none"))
	judged(t, diagnoseCountries("c.mmdb", time.Time{}, now, err), "countries fail", "no such file")
}

func TestDirVerdicts(t *testing.T) {
	s := &settings{Kafka: true, OutputDir: "out", SpoolBytes: 1 << 30, DeadLetterBytes: 256 << 20}
	for _, test := range []struct {
		name        string
		facts       emitter.DirFacts
		err         error
		want, words string
	}{
		{"good", emitter.DirFacts{Sync: time.Millisecond, SyncMax: time.Second, Free: 2 << 30}, nil, "", ""},
		{"unknown space", emitter.DirFacts{Sync: time.Millisecond, Free: -1}, nil, "", ""},
		{"not writable", emitter.DirFacts{}, &emitter.DirError{Dir: "out", Err: errors.New("read-only file system")}, "directory fail", "read-only file system set OUTPUT_DIR"},
		{"in memory", emitter.DirFacts{Free: 2 << 30, Volatile: "it is in memory"}, nil, "directory warn", "mount a volume"},
		{"slow", emitter.DirFacts{Sync: 60 * time.Millisecond, Free: 2 << 30}, nil, "fsync warn", "60ms"},
		{"little space", emitter.DirFacts{Free: 1 << 30}, nil, "space warn", "1.0GiB free free space, or lower SPOOL_MAX_BYTES and DLQ_MAX_BYTES: together they may take 1.2GiB"},
		{"no space", emitter.DirFacts{Free: 1 << 20}, nil, "space fail", "1.0MiB"},
	} {
		t.Run(test.name, func(t *testing.T) { judged(t, diagnoseDir(test.facts, test.err, s), test.want, test.words) })
	}
}

func TestStoreVerdicts(t *testing.T) {
	for _, test := range []struct {
		name        string
		facts       emitter.DirFacts
		err         error
		want, words string
	}{
		{"good", emitter.DirFacts{}, nil, "", ""},
		{"to be made", emitter.DirFacts{}, fmt.Errorf("store: %w", fs.ErrNotExist), "", ""},
		{"in use", emitter.DirFacts{}, fmt.Errorf("store: %w", store.ErrInUse), "", ""},
		{"damaged", emitter.DirFacts{}, errors.New("invalid database"), "store warn", "invalid database nothing is to be done"},
		{"in memory", emitter.DirFacts{Volatile: "it is in memory"}, nil, "store warn", "it is in memory mount a volume"},
		{"not writable", emitter.DirFacts{}, &emitter.DirError{Dir: "state", Err: errors.New("read-only file system")}, "store fail", "read-only file system set STATE_DIR"},
	} {
		t.Run(test.name, func(t *testing.T) { judged(t, diagnoseStore("state", test.facts, test.err), test.want, test.words) })
	}
}

func TestNameserverVerdicts(t *testing.T) {
	check := &resolver.CheckError{Upstreams: []resolver.UpstreamFault{{Upstream: "b", Reason: "it says that x.com exists, which does not", Lies: true}}}
	judged(t, diagnoseNameservers([]string{"a", "b"}, []error{nil, check}), "nameserver warn", "x.com exists")
	judged(t, diagnoseNameservers([]string{"b"}, []error{check}), "nameserver fail", "name another nameserver")
	judged(t, diagnoseNameservers(nil, []error{nil}), "", "")
	if got := diagnoseNameservers(nil, []error{nil})[0].Subject; got != systemResolvers {
		t.Errorf("the system's are called %q", got)
	}
}

// TestRedisVerdicts: a Redis that is well, that wants another password, that is
// gone, and one that hangs, which costs bounded time.
func TestRedisVerdicts(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("secret")
	examine := func(host, port, password string, patience time.Duration) []diagnosis {
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		return examineRedis(t.Context(), &settings{RedisHost: host, RedisPort: n, RedisPassword: emitter.Secret{Value: password}}, patience)
	}
	judged(t, examine(server.Host(), server.Port(), "secret", time.Minute), "", "")
	judged(t, examine(server.Host(), server.Port(), "other", time.Minute), "redis warn", "WRONGPASS")
	host, port := server.Host(), server.Port()
	server.Close()
	judged(t, examine(host, port, "secret", time.Minute), "redis warn", "refused")

	mute, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	host, port, err = net.SplitHostPort(mute.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	judged(t, examine(host, port, "secret", 50*time.Millisecond), "redis warn", "no answer in time")
}

// TestRounded: times are told with two digits.
func TestRounded(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 7: "7ns", 1234567: "1.2ms", 98765: "99µs", 12345678901: "12s"} {
		if got := rounded(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
