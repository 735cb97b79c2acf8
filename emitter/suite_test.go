package emitter_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/emitter/emittertest"
)

const suiteTopic = "domains.candidates"

func TestFilesBehave(t *testing.T) {
	emittertest.Run(t, func(t *testing.T) emittertest.Subject {
		dir := t.TempDir()
		f, err := emitter.NewFiles(emitter.FilesConfig{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return emittertest.Subject{Emitter: f, Topic: suiteTopic, Values: func(t *testing.T) [][]byte {
			names, err := filepath.Glob(filepath.Join(dir, suiteTopic+"_*.jsonl"))
			if err != nil || len(names) > 1 {
				t.Fatalf("files %v, %v", names, err)
			}
			if len(names) == 0 {
				return nil
			}
			b, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
		}}
	})
}

func TestKafkaBehaves(t *testing.T) {
	emittertest.Run(t, func(t *testing.T) emittertest.Subject {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(4, suiteTopic))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		k, err := emitter.NewKafka(emitter.KafkaConfig{Brokers: cluster.ListenAddrs(), Backoff: time.Millisecond}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return emittertest.Subject{Emitter: k, Topic: suiteTopic, Values: func(t *testing.T) [][]byte {
			return readBack(t, cluster)
		}}
	})
}

func readBack(t *testing.T, cluster *kfake.Cluster) [][]byte {
	t.Helper()
	want := int64(0)
	for _, p := range cluster.PartitionInfos(suiteTopic) {
		want += p.HighWatermark
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(suiteTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out [][]byte
	for int64(len(out)) < want {
		fs := c.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) { out = append(out, r.Value) })
	}
	return out
}
