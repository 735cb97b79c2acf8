package emitter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"pgregory.net/rapid"
)

// Uncompressed, the bytes are kafka-go's, but for the producer's identity.
func TestBatchAsKafkaGo(t *testing.T) {
	none, err := newCompressor("none")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		items := make([]*item, rapid.IntRange(1, 300).Draw(t, "records"))
		recs := make([]kafka.Record, len(items))
		now := time.UnixMilli(rapid.Int64Range(1, 1<<42).Draw(t, "now"))
		sample := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "value")
		for i := range items {
			key := rapid.SampledFrom([]string{"", "a", "name.example", strings.Repeat("k", 70)}).Draw(t, "key")
			items[i] = &item{msg: Message{Key: key, Value: sample[:1+i%len(sample)]}}
			recs[i] = kafka.Record{Time: now, Value: kafka.NewBytes(items[i].msg.Value)}
			if key != "" {
				recs[i].Key = kafka.NewBytes([]byte(key))
			}
		}
		p := producer{id: rapid.Int64().Draw(t, "id"), epoch: rapid.Int16().Draw(t, "epoch")}
		seq := rapid.Int32().Draw(t, "seq")
		got, err := encodeBatch(items, none, p, seq, now)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		set := protocol.RecordSet{Version: 2, Records: protocol.NewRecordReader(recs...)}
		if _, err := set.WriteTo(&want); err != nil {
			t.Fatal(err)
		}
		w := want.Bytes()
		binary.BigEndian.PutUint64(w[atProducer:], uint64(p.id))
		binary.BigEndian.PutUint16(w[atEpoch:], uint16(p.epoch))
		binary.BigEndian.PutUint32(w[atSequence:], uint32(seq))
		binary.BigEndian.PutUint32(w[atCRC:], crc32.Checksum(w[atAttr:], castagnoli))
		if !bytes.Equal(got, w) {
			t.Fatalf("got  %x\nwant %x", got, w)
		}
	})
}

// Each compression is read by kafka-go, and a batch that would grow is sent as
// it is.
func TestCompressedBatchIsRead(t *testing.T) {
	for _, name := range codecNames {
		c, err := newCompressor(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // buffers and streams are used again
			for _, n := range []int{1, 1000} {
				items := make([]*item, n)
				for i, m := range messages(n) {
					items[i] = &item{msg: m}
				}
				b, err := encodeBatch(items, c, producer{id: 7}, 3, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if compressed := b[atAttr+1] != 0; compressed != (name != "none" && n > 1) && n > 1 {
					t.Errorf("%s of %d records: compressed %v", name, n, compressed)
				}
				var set protocol.RecordSet
				if _, err := set.ReadFrom(bytes.NewReader(b)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				read := 0
				for ; ; read++ {
					rec, err := set.Records.ReadRecord()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatalf("%s: record %d: %v", name, read, err)
					}
					key, _ := kafka.ReadAll(rec.Key)
					value, _ := kafka.ReadAll(rec.Value)
					if string(key) != items[read].msg.Key || !bytes.Equal(value, items[read].msg.Value) {
						t.Fatalf("%s: record %d: %s %s", name, read, key, value)
					}
				}
				if read != n {
					t.Errorf("%s: %d records, want %d", name, read, n)
				}
				c.release(b)
			}
		}
	}
	if _, err := newCompressor("rar"); err == nil {
		t.Error("rar is taken")
	}
}

func BenchmarkEncodeBatch(b *testing.B) {
	items := benchItems(500)
	for _, name := range codecNames {
		b.Run(name, func(b *testing.B) {
			c, err := newCompressor(name)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				wire, err := encodeBatch(items, c, producer{id: 1}, 0, time.Unix(0, 0))
				if err != nil {
					b.Fatal(err)
				}
				size = len(wire)
				c.release(wire)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/event")
			b.ReportMetric(float64(size)/float64(len(items)), "wire-B/event")
		})
	}
}

// benchItems are events of about 600 bytes.
func benchItems(n int) []*item {
	items := make([]*item, n)
	for i := range items {
		name := fmt.Sprintf("bench-%07d.example", i)
		value := fmt.Appendf(nil, `{"src":"dnstwist","observed_at":%d.25,"canonical_fqdn":%q,"reasons":["dnstwist:PASS_A"],"id":"%032x","a":["192.0.2.%d"],"pad":%q}`,
			1760600001+i, name, i*2654435761, i%256, strings.Repeat(name, 17))
		items[i] = &item{msg: Message{Topic: testTopic, Key: name, Value: value}}
	}
	return items
}
