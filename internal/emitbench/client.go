//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/typostream/typostream/emitter"
)

// event is one message of 600 bytes.
type event struct {
	key   string
	value []byte
}

// client is one way to write to Kafka. send returns when all are acknowledged.
type client struct {
	name  string
	send  func(ctx context.Context, events []event) error
	close func()
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

type target struct {
	brokers     []string
	topic       string
	compression string
	dial        dialFunc
}

func typostream(t target) (client, error) {
	k, err := emitter.NewKafka(emitter.KafkaConfig{
		Brokers: t.brokers, Compression: t.compression, Dial: t.dial, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, nil, nil)
	if err != nil {
		return client{}, err
	}
	return client{
		name: "typostream",
		send: func(ctx context.Context, events []event) error {
			msgs := make([]emitter.Message, len(events))
			for i, e := range events {
				msgs[i] = emitter.Message{Topic: t.topic, Key: e.key, Value: e.value}
			}
			_, err := k.Emit(ctx, msgs...)
			return err
		},
		close: func() { _ = k.Close(context.Background()) },
	}, nil
}

func franz(t target) (client, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.DefaultProduceTopic(t.topic), kgo.ProducerBatchCompression(codecs[t.compression]), kgo.Dialer(t.dial))
	if err != nil {
		return client{}, err
	}
	return client{
		name: "franz-go ProduceSync",
		send: func(ctx context.Context, events []event) error {
			recs := make([]*kgo.Record, len(events))
			for i, e := range events {
				recs[i] = &kgo.Record{Key: []byte(e.key), Value: e.value}
			}
			return c.ProduceSync(ctx, recs...).FirstErr()
		},
		close: c.Close,
	}, nil
}

func writer(t target) (client, error) {
	codecs := map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}
	transport := &kafka.Transport{Dial: t.dial, MetadataTopics: []string{t.topic}}
	w := &kafka.Writer{
		Addr: kafka.TCP(t.brokers...), Topic: t.topic, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		BatchTimeout: 10 * time.Millisecond, BatchSize: 1000, Compression: codecs[t.compression], Transport: transport,
	}
	return client{
		name: "kafka-go Writer, 10 ms",
		send: func(ctx context.Context, events []event) error {
			msgs := make([]kafka.Message, len(events))
			for i, e := range events {
				msgs[i] = kafka.Message{Key: []byte(e.key), Value: e.value}
			}
			return w.WriteMessages(ctx, msgs...)
		},
		close: func() { _ = w.Close(); transport.CloseIdleConnections() },
	}, nil
}

// roundTrip is the least that an acknowledgement can cost: one produce request
// after the other to the leader, nothing around it.
func roundTrip(t target) (client, error) {
	transport := &kafka.Transport{Dial: t.dial, MetadataTopics: []string{t.topic}, MetadataTTL: time.Hour}
	c := &kafka.Client{Addr: kafka.TCP(t.brokers...), Transport: transport}
	n := 0
	return client{
		name: "one request, bare",
		send: func(ctx context.Context, events []event) error {
			recs := make([]kafka.Record, len(events))
			for i, e := range events {
				recs[i] = kafka.Record{Key: kafka.NewBytes([]byte(e.key)), Value: kafka.NewBytes(e.value)}
			}
			n++
			res, err := c.Produce(ctx, &kafka.ProduceRequest{Topic: t.topic, Partition: n % 12, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(recs...)})
			if err != nil {
				return err
			}
			return res.Error
		},
		close: transport.CloseIdleConnections,
	}, nil
}

// makeEvents are events as the scans make them, of about 600 bytes; the names differ.
func makeEvents(prefix string, n int) []event {
	events := make([]event, n)
	for i := range events {
		name := fmt.Sprintf("%s-%07d.example", prefix, i)
		value := fmt.Appendf(nil, `{"src":"dnstwist","observed_at":%d.25,"cse_id":"EXAMPLE","seed_registrable":"example.com","canonical_fqdn":%q,"registrable":%q,"reasons":["dnstwist:PASS_A","dnstwist:PASS_B"],"is_original_seed":false,"fuzzer":"addition","raw":{"fuzzer":"addition","domain":%q,"dns_ns":["ns1.%s"],"dns_a":["192.0.2.%d"]},"typostream":{"v":1,"id":"%032x","scan":"raw.hosts-0-%d","seed":"example.com","fuzzers":["addition"],"passes":["PASS_A","PASS_B"],"state":"registered","rcode":"NOERROR","ns":["ns1.%s"],"a":["192.0.2.%d"],"server":"192.0.2.53:53"}}`,
			1760600001+i, name, name, name, name, i%256, i*2654435761, i, name, i%256)
		events[i] = event{name, value}
	}
	return events
}

const ackDelay = 2 * time.Millisecond

// delayed makes all that comes from the other side arrive later by a constant time.
func delayed(by time.Duration) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil || by == 0 {
			return nc, err
		}
		c := &lateConn{Conn: nc, chunks: make(chan chunk, 1024)}
		go c.pump(by)
		return c, nil
	}
}

type lateConn struct {
	net.Conn
	chunks chan chunk
	rest   []byte
	err    error
}

type chunk struct {
	due time.Time
	b   []byte
	err error
}

func (c *lateConn) pump(by time.Duration) {
	for {
		b := make([]byte, 16<<10)
		n, err := c.Conn.Read(b)
		c.chunks <- chunk{time.Now().Add(by), b[:n], err}
		if err != nil {
			return
		}
	}
}

func (c *lateConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		next := <-c.chunks
		time.Sleep(time.Until(next.due))
		c.rest, c.err = next.b, next.err
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
