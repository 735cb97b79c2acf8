package emitter

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// hung is an address that takes connections and never answers, as a stopped
// process does.
func hung(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// deafConn swallows all requests but those for versions and metadata.
type deafConn struct{ net.Conn }

func (c *deafConn) Write(b []byte) (int, error) {
	if len(b) > 5 && (b[5] == byte(protocol.ApiVersions) || b[5] == byte(protocol.Metadata)) { // after four octets of length
		return c.Conn.Write(b)
	}
	return len(b), nil
}

// closed is an address that refuses connections.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newKfake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestInspect(t *testing.T) {
	c := newKfake(t, kfake.SeedTopics(4, "in"))
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 2, 3, map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}, testTopic); err != nil {
		t.Fatal(err)
	}
	// Partition 1: ten records, four of them deleted, two of those unread.
	for range 10 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Partition: 1, Key: []byte("k")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	partition := int32(slices.IndexFunc(c.PartitionInfos("in"), func(p *kfake.PartitionInfo) bool { return p.HighWatermark == 10 }))
	at := kadm.Offsets{}
	at.AddOffset("in", partition, 4, -1)
	if _, err := admin.DeleteRecords(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	read := kadm.Offsets{}
	read.AddOffset("in", partition, 2, -1)
	if _, err := admin.CommitOffsets(t.Context(), "readers", read); err != nil {
		t.Fatal(err)
	}

	found := Inspect(t.Context(), InspectConfig{
		Brokers: []string{closed(t), c.ListenAddrs()[0]}, Topics: []string{testTopic, "missing"}, Group: "readers", GroupTopic: "in",
	})
	if found.Err != nil || found.ProducerErr != nil {
		t.Fatalf("%v, %v", found.Err, found.ProducerErr)
	}
	if e, ok := errors.AsType[*EndpointError](found.Bootstrap[0].Err); !ok || e.Step != StepConnect || !strings.Contains(e.Error(), "refused") {
		t.Errorf("the closed address: %v", found.Bootstrap[0].Err)
	}
	if e := found.Bootstrap[1]; e.Err != nil || e.Took <= 0 || !e.Idempotent || e.Release < "4.0" {
		t.Errorf("the other: %+v", e)
	}
	if len(found.Brokers) != 3 || slices.ContainsFunc(found.Brokers, func(e Endpoint) bool { return e.Err != nil || e.ID < 0 }) {
		t.Errorf("brokers: %+v", found.Brokers)
	}
	topic := found.Topics[0]
	if topic.Err != nil || topic.Partitions != 2 || topic.Replicas != 3 || len(topic.Leaderless)+len(topic.Behind) > 0 || topic.SettingsErr != nil || topic.Settings["min.insync.replicas"] != "2" || topic.Settings["retention.ms"] == "" {
		t.Errorf("topic: %+v", topic)
	}
	if !topic.Rights.Known() || !topic.Rights.Allows(OpWrite) || !topic.Rights.Allows(OpDescribe) || !found.Rights.Allows(OpCreate) {
		t.Errorf("rights: %b, %b", topic.Rights, found.Rights)
	}
	if missing := found.Topics[1]; !IsMissing(missing.Err) || IsDenied(missing.Err) || missing.Settings != nil {
		t.Errorf("missing: %+v", missing)
	}
	g := found.Group
	if g.Err != nil || g.State != "Empty" || g.Members != 0 || len(g.Positions) != 4 {
		t.Fatalf("group: %+v", g)
	}
	for _, p := range g.Positions {
		want := Position{Partition: p.Partition, Committed: -1}
		if p.Partition == int(partition) {
			want.Committed, want.First, want.End = 2, 4, 10
		}
		if p != want {
			t.Errorf("position %+v, want %+v", p, want)
		}
	}
	if p := g.Positions[partition]; p.Lag() != 6 || p.Gone() != 2 {
		t.Errorf("lag %d, gone %d", p.Lag(), p.Gone())
	}
}

// A group that never was has read nothing.
func TestInspectNewGroup(t *testing.T) {
	c := newKfake(t, kfake.SeedTopics(2, testTopic))
	c.ControlKey(int16(kmsg.FindCoordinator), func(req kmsg.Request) (kmsg.Response, error, bool) { // once, as while Kafka creates its topic of offsets
		res := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		res.ErrorCode = int16(kafka.GroupCoordinatorNotAvailable)
		return res, nil, true
	})
	g := Inspect(t.Context(), InspectConfig{Brokers: c.ListenAddrs(), Topics: []string{testTopic}, Group: "new", GroupTopic: testTopic}).Group
	if g.Err != nil || g.State != "Dead" || g.Members != 0 || len(g.Positions) != 2 || g.Positions[0].Committed != -1 {
		t.Errorf("%+v", g)
	}
}

// Brokers that hang, addresses that nobody has and a wire that swallows
// everything cost a time-out each and no more.
func TestInspectHung(t *testing.T) {
	c := newKfake(t, kfake.SeedTopics(1, testTopic))
	silent := hung(t)
	short := InspectConfig{Brokers: []string{silent, "no port", "[]:9092"}, Topics: []string{testTopic}, Timeout: 50 * time.Millisecond}
	found := Inspect(t.Context(), short)
	if found.Err == nil || found.Topics != nil || found.Brokers != nil {
		t.Errorf("%+v", found)
	}
	for i, want := range []EndpointStep{StepAnswer, StepLookup, StepLookup} {
		e, ok := errors.AsType[*EndpointError](found.Bootstrap[i].Err)
		if !ok || e.Step != want || e.Hint() == "" {
			t.Errorf("%s: %v", found.Bootstrap[i].Address, found.Bootstrap[i].Err)
		}
	}
	if got := found.Bootstrap[0].Err.Error(); got != "it takes the connection, but does not answer" {
		t.Errorf("hung: %s", got)
	}

	// A black hole: the connection is never made.
	short.Brokers = []string{"192.0.2.1:9092"}
	short.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	if got := Inspect(t.Context(), short).Bootstrap[0].Err; got == nil || got.Error() != "no connection in time: nothing answers there" {
		t.Errorf("black hole: %v", got)
	}

	// The brokers answer for versions and metadata and then no more.
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := Security{}.Dial(ctx, network, address)
		return &deafConn{nc}, err
	}
	found = Inspect(t.Context(), InspectConfig{Brokers: c.ListenAddrs()[:1], Topics: []string{testTopic}, Group: "g", GroupTopic: testTopic, Timeout: 2 * time.Second, Dial: dial})
	if found.Err != nil || found.Topics[0].Err != nil {
		t.Fatalf("%+v", found)
	}
	for what, err := range map[string]error{"settings": found.Topics[0].SettingsErr, "producer": found.ProducerErr, "group": found.Group.Err, "offsets": found.Group.Positions[0].Err} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What a user without rights is told.
func TestInspectRights(t *testing.T) {
	allow := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Principal: "User:worker", Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	c := newKfake(t, kfake.SeedTopics(1, testTopic, "hidden"), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "a"),
		kfake.User("PLAIN", "worker", "right", allow(kmsg.ACLResourceTypeTopic, testTopic, kmsg.ACLOperationDescribe)))
	s := Security{Protocol: "SASL_PLAINTEXT", Username: Secret{Value: "worker"}, Password: Secret{Value: "right"}}
	found := Inspect(t.Context(), InspectConfig{Brokers: c.ListenAddrs(), Topics: []string{testTopic, "hidden"}, Group: "g", GroupTopic: testTopic, Dial: s.Dial})
	if found.Err != nil || len(found.Topics) != 2 {
		t.Fatalf("%+v", found)
	}
	if r := found.Topics[0].Rights; found.Topics[0].Err != nil || !r.Known() || !r.Allows(OpDescribe) || r.Allows(OpWrite) {
		t.Errorf("%+v", found.Topics[0])
	}
	for what, got := range map[string]struct{ err, want error }{
		"hidden":   {found.Topics[1].Err, kafka.TopicAuthorizationFailed},
		"settings": {found.Topics[0].SettingsErr, kafka.TopicAuthorizationFailed},
		"group":    {found.Group.Err, kafka.GroupAuthorizationFailed},
		"producer": {found.ProducerErr, kafka.ClusterAuthorizationFailed},
	} {
		if !errors.Is(got.err, got.want) || !IsDenied(got.err) || IsMissing(got.err) {
			t.Errorf("%s: %v, want %v", what, got.err, got.want)
		}
	}
	if unknownRights.Known() || unknownRights.Allows(OpRead) || unknownRights.Allows(31) {
		t.Error("what was not told is no right")
	}
}

// Releases are told apart as another client does.
func TestReleases(t *testing.T) {
	for version, want := range map[string]string{
		"4.2": "4.2", "4.1": "4.1", "4.0": "4.0", "3.9": "3.9", "3.8": "3.8", "3.7": "3.7", "3.6": "3.6", "3.5": "3.5", "3.4": "3.3", "3.3": "3.3", "3.2": "3.2", "3.1": "3.1", "3.0": "3.0",
		"2.8": "2.8", "2.7": "2.7", "2.6": "2.4", "2.5": "2.4", "2.4": "2.4", "2.3": "2.3", "2.2": "2.1", "2.1": "2.1", "2.0": "2.0", "1.1": "1.1", "1.0": "1.0", "0.11.0": "0.11", "0.10.2": "", "0.9.0": "",
	} {
		known := kversion.FromString("v" + version)
		if known == nil {
			t.Fatalf("no release %s", version)
		}
		newest := map[protocol.ApiKey]int16{}
		known.EachMaxKeyVersion(func(k, v int16) { newest[protocol.ApiKey(k)] = v })
		if got := releaseOf(newest); got != want {
			t.Errorf("Kafka %s is taken for %q, want %q", version, got, want)
		}
	}
}

func TestInspectDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	facts, err := InspectDir(dir)
	if err != nil || facts.Sync <= 0 || facts.SyncMax < facts.Sync || facts.Free == 0 {
		t.Errorf("%+v, %v", facts, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := InspectDir(filepath.Join(file, "below")); err == nil {
		t.Error("a file was taken for a directory")
	}
}
