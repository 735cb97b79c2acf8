//go:build e2e && unix

package emitter_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/kafkatest"
)

// TestRealBrokers takes the emitter through what only real brokers can tell. One
// cluster for all: a start is dear.
func TestRealBrokers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cluster, err := kafkatest.Start(ctx, kafkatest.Options{Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := &brokers{cluster}
	t.Run("new topic", b.newTopic)
	t.Run("compression", b.compression)
	t.Run("SASL", b.sasl)
	t.Run("password", b.password)
}

type brokers struct{ *kafkatest.Cluster }

// open makes an emitter that replays its spool, closed with the test; the identity of the books is checked then.
func (b *brokers) open(t *testing.T, cfg emitter.KafkaConfig) *emitter.Kafka {
	t.Helper()
	if cfg.Brokers == nil {
		cfg.Brokers = b.Brokers()
	}
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	k, err := emitter.NewKafka(cfg, spool, nil)
	if err != nil {
		t.Fatal(err)
	}
	var run sync.WaitGroup
	run.Go(func() { k.Run(t.Context()) })
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
		run.Wait()
		if a := k.Accounting(); a.Accepted != a.Acked+a.Spooled+a.DeadLettered || a.InFlight != 0 {
			t.Errorf("the books do not balance: %+v", a)
		}
	})
	return k
}

func events(topic string, n int) []emitter.Message {
	msgs := make([]emitter.Message, n)
	for i := range msgs {
		name := fmt.Sprintf("name%05d.example", i)
		msgs[i] = emitter.Message{Topic: topic, Key: name, Value: fmt.Appendf(nil, `{"canonical_fqdn":%q,"pad":%q}`, name, strings.Repeat(name, 20))}
	}
	return msgs
}

// once checks that the topic holds each message once, read by another client.
func (b *brokers) once(t *testing.T, topic string, want []emitter.Message) {
	t.Helper()
	records, err := b.ReadAll(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]int{}
	for _, r := range records {
		have[string(r.Key)+string(r.Value)]++
	}
	for _, m := range want {
		if n := have[m.Key+string(m.Value)]; n != 1 {
			t.Errorf("%s is in %s %d times", m.Key, topic, n)
		}
	}
	if len(records) != len(want) {
		t.Errorf("%d records in %s, want %d", len(records), topic, len(want))
	}
}

// A thousand events the moment their topic is created, by ourselves and by someone else, all arrive, and none takes
// the way over the spool.
func (b *brokers) newTopic(t *testing.T) {
	own := events("made.here", 1000)
	k := b.open(t, emitter.KafkaConfig{CreateTopics: true})
	if got, err := k.Emit(t.Context(), own...); err != nil || got.Acked != 1000 {
		t.Fatalf("Emit to a topic that is made for it = %+v, %v", got, err)
	}
	b.once(t, "made.here", own)
	b.asPromised(t, "made.here")

	others := events("made.elsewhere", 1000)
	late := b.open(t, emitter.KafkaConfig{})
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 12, 3, nil, "made.elsewhere"); err != nil {
		t.Fatal(err)
	}
	if got, err := late.Emit(t.Context(), others...); err != nil || got.Acked != 1000 {
		t.Fatalf("Emit to a topic that was just made = %+v, %v", got, err)
	}
	b.once(t, "made.elsewhere", others)
	if err := k.EnsureTopics(t.Context(), "made.here", "made.elsewhere", "made.early"); err != nil {
		t.Error(err)
	}
	b.asPromised(t, "made.early")
}

func (b *brokers) asPromised(t *testing.T, topic string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	details, err := admin.ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if d := details[topic]; len(d.Partitions) != 12 || d.Partitions.NumReplicas() != 3 {
		t.Errorf("%s: %d partitions with %d replicas, want 12 with 3", topic, len(d.Partitions), d.Partitions.NumReplicas())
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		want, ours := map[string]string{"min.insync.replicas": "2", "retention.ms": "604800000"}[c.Key]
		if ours && c.MaybeValue() != want {
			t.Errorf("%s: %s is %s, want %s", topic, c.Key, c.MaybeValue(), want)
		}
	}
}

// What the brokers take in each compression is read by franz-go and by Kafka's own Java code.
func (b *brokers) compression(t *testing.T) {
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		topic := "compressed." + name
		if err := b.CreateTopic(t.Context(), topic, 1, 3, 2); err != nil {
			t.Fatal(err)
		}
		want := events(topic, 2000)
		k := b.open(t, emitter.KafkaConfig{Compression: name})
		if got, err := k.Emit(t.Context(), want...); err != nil || got.Acked != len(want) {
			t.Fatalf("%s: Emit = %+v, %v", name, got, err)
		}
		b.once(t, topic, want)
		values, err := b.Values(t.Context(), topic, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range want {
			if i >= len(values) || values[i] != string(m.Value) {
				t.Fatalf("%s: Java read %d records; number %d differs", name, len(values), i)
			}
		}
	}
}

func (b *brokers) sasl(t *testing.T) {
	if err := b.CreateTopic(t.Context(), "secure", 3, 3, 2); err != nil {
		t.Fatal(err)
	}
	if err := b.SetPassword(t.Context(), "worker", "scram-secret"); err != nil {
		t.Fatal(err)
	}
	var all []emitter.Message
	for i, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		s := emitter.Security{
			Protocol: "SASL_SSL", Mechanism: mechanism, CAFile: b.CAFile(),
			Username: emitter.Secret{Value: "worker"}, Password: emitter.Secret{Value: "scram-secret"},
		}
		if mechanism == "PLAIN" {
			s.Username.Value, s.Password.Value = kafkatest.PlainUser, kafkatest.PlainPassword
		}
		k := b.open(t, emitter.KafkaConfig{Brokers: b.SecureBrokers(), Dial: s.Dial})
		msgs := events("secure", 300*(i+1))[300*i:]
		if got, err := k.Emit(t.Context(), msgs...); err != nil || got.Acked != 300 {
			t.Fatalf("%s: Emit = %+v, %v", mechanism, got, err)
		}
		all = append(all, msgs...)
	}
	b.once(t, "secure", all)
}

// With a wrong password events are spooled and it is said why; when the brokers or the file have the right one, events
// are acknowledged again without anyone's doing.
func (b *brokers) password(t *testing.T) {
	if err := b.CreateTopic(t.Context(), "rotated", 3, 3, 2); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ways := map[string]func(){
		"file":    func() { write("scram-secret") },
		"brokers": func() { _ = b.SetPassword(t.Context(), "worker", "wrong") }, // checked by what follows
	}
	for name, mend := range ways {
		if err := b.SetPassword(t.Context(), "worker", "scram-secret"); err != nil {
			t.Fatal(err)
		}
		write("wrong")
		s := emitter.Security{
			Protocol: "SASL_SSL", Mechanism: "SCRAM-SHA-512", CAFile: b.CAFile(),
			Username: emitter.Secret{Value: "worker"}, Password: emitter.Secret{File: file},
		}
		k := b.open(t, emitter.KafkaConfig{Brokers: b.SecureBrokers(), Dial: s.Dial, BreakerPeriod: 500 * time.Millisecond})
		if got, err := k.Emit(t.Context(), events("rotated", 10)...); err != nil || got.Spooled != 10 {
			t.Fatalf("%s: Emit with a wrong password = %+v, %v", name, got, err)
		}
		if h := k.Health(); h.Reachable || h.Cause == nil || !strings.Contains(h.Cause.Error(), "SASL SCRAM-SHA-512") || strings.Contains(h.Cause.Error(), "wrong\n") {
			t.Errorf("%s: health %+v", name, h)
		}
		mend()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		tick := time.NewTicker(100 * time.Millisecond)
		for acked := false; !acked; <-tick.C {
			got, err := k.Emit(ctx, events("rotated", 1)...)
			if err != nil || ctx.Err() != nil {
				t.Fatalf("%s: never acknowledged: %v, %+v", name, err, k.Accounting())
			}
			acked = got.Acked == 1
		}
		tick.Stop()
		cancel()
	}
}
