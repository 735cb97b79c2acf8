package emitter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// All that was made at some time or later is told, in the order of its
// partition, and what came long before is not.
func TestReread(t *testing.T) {
	r := newRig(t, nil)
	since := time.Now().Add(-time.Minute)
	other, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 20 {
		record := &kgo.Record{Topic: testTopic, Key: fmt.Append(nil, "old", i), Value: []byte("v"), Timestamp: since.Add(-time.Second)}
		if err := other.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]string{}
	for round := range 3 {
		for i := range 200 {
			key, value := fmt.Sprint("key", i), fmt.Sprint(round, strings.Repeat("x", 10_000)) // more than one answer holds
			if _, err := r.Emit(t.Context(), Message{Topic: testTopic, Key: key, Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
			want[key] = append(want[key], value)
		}
	}
	got := map[string][]string{}
	if err := r.Reread(t.Context(), testTopic, since, func(key, value []byte) { got[string(key)] = append(got[string(key)], string(value)) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	for key := range want {
		if fmt.Sprint(got[key]) != fmt.Sprint(want[key]) {
			t.Errorf("%s has %d records, want %d", key, len(got[key]), len(want[key]))
		}
	}
	if err := r.Reread(t.Context(), testTopic, time.Now().Add(time.Hour), func([]byte, []byte) { t.Error("a record of the future") }); err != nil {
		t.Error(err)
	}
}

func TestRereadFails(t *testing.T) {
	r := newRig(t, nil)
	none := func([]byte, []byte) { t.Error("a record") }
	if err := r.Reread(t.Context(), "no.such.topic", time.Now(), none); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("of a topic that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Reread(ctx, testTopic, time.Now(), none); err == nil {
		t.Error("nil, though it was cancelled")
	}
	if err := r.Kafka.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Reread(t.Context(), testTopic, time.Now(), none); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// What fewer replicas have than there are is not told as durable.
func TestReplicated(t *testing.T) {
	all := make([]kafka.Broker, 3)
	for _, c := range []struct {
		name string
		isr  []kafka.Broker
		want bool
	}{{"all", all, true}, {"two of three", all[:2], false}, {"one", all[:1], false}, {"not told", nil, false}} {
		topic := kafka.Topic{Partitions: []kafka.Partition{{Replicas: all, Isr: all}, {ID: 1, Replicas: all, Isr: c.isr}}}
		if err := replicated(topic); (err == nil) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := replicated(kafka.Topic{Error: kafka.UnknownTopicOrPartition}); err == nil {
		t.Error("a topic that is not there is replicated")
	}
}
