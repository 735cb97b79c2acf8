package emitter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if where := os.Getenv(crashEnv); where != "" {
		victim(where)
	}
	goleak.VerifyTestMain(m)
}

const testTopic = "domains.candidates"

// rig is an emitter on an in-process Kafka, with a wire that can be cut.
type rig struct {
	*Kafka
	cluster *kfake.Cluster
	plug    *plug
	dir     string
	log     *logBuffer
}

// newRig starts three brokers with a topic of four partitions. Waits are
// short.
func newRig(t testing.TB, change func(*KafkaConfig), opts ...kfake.Opt) *rig {
	t.Helper()
	if opts == nil {
		opts = []kfake.Opt{kfake.SeedTopics(4, testTopic)}
	}
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &rig{cluster: cluster, plug: &plug{}, dir: t.TempDir(), log: &logBuffer{}}
	r.Kafka = r.connect(t, change)
	return r
}

// connect makes one more emitter on the rig's Kafka, closed with the test.
func (r *rig) connect(t testing.TB, change func(*KafkaConfig)) *Kafka {
	t.Helper()
	cfg := KafkaConfig{
		Brokers: r.cluster.ListenAddrs(), Backoff: 5 * time.Millisecond, BreakerPeriod: time.Hour,
		RequestTimeout: 3 * time.Second, TopicWait: 3 * time.Second, Dial: r.plug.dial, Log: r.log.logger(),
	}
	if change != nil {
		change(&cfg)
	}
	spool, err := NewSpool(SpoolConfig{Dir: r.dir, Log: cfg.Log})
	if err != nil {
		t.Fatal(err)
	}
	dead, err := NewDeadLetters(DeadLettersConfig{Dir: r.dir, Log: cfg.Log})
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewKafka(cfg, spool, dead)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
		balanced(t, k.Accounting())
		if a := k.Accounting(); a.InFlight != 0 {
			t.Errorf("in flight after Close: %+v", a)
		}
	})
	return k
}

func balanced(t testing.TB, a Accounting) {
	t.Helper()
	if a.Accepted != a.Acked+a.Spooled+a.DeadLettered+a.InFlight || a.InFlight < 0 {
		t.Errorf("the books do not balance: %+v", a)
	}
}

// spools returns the spool files that are there.
func (r *rig) spools(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, "spool_*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	return names
}

// lines returns the lines of all files of that pattern in the rig's directory.
func (r *rig) lines(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(r.dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	return out
}

// read returns all records of the topic, read by another client.
func (r *rig) read(t testing.TB, topicName string) []*kgo.Record {
	t.Helper()
	want := int64(0)
	for _, p := range r.cluster.PartitionInfos(topicName) {
		want += p.HighWatermark
	}
	if want == 0 {
		return nil
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.ListenAddrs()...), kgo.ConsumeTopics(topicName),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out []*kgo.Record
	for int64(len(out)) < want {
		fs := c.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("reading %s back: %v", topicName, err)
		}
		out = append(out, fs.Records()...)
	}
	return out
}

// exactly checks that the topic holds each message once, and nothing else.
func (r *rig) exactly(t testing.TB, topicName string, want []Message) {
	t.Helper()
	have := map[string]int{}
	for _, rec := range r.read(t, topicName) {
		have[string(rec.Key)+" "+string(rec.Value)]++
	}
	for _, m := range want {
		id := m.Key + " " + string(m.Value)
		if have[id] != 1 {
			t.Errorf("%.80s is in the topic %d times", id, have[id])
		}
		delete(have, id)
	}
	if len(have) > 0 {
		t.Errorf("%d records nobody emitted: %.300v", len(have), have)
	}
}

func messages(n int) []Message {
	out := make([]Message, n)
	for i := range out {
		out[i] = msg(fmt.Sprintf("name%d.example", i), i)
	}
	return out
}

func msg(key string, n int) Message {
	return Message{Topic: testTopic, Key: key, Value: fmt.Appendf(nil, `{"canonical_fqdn":%q,"n":%d}`, key, n)}
}

// logBuffer keeps log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func (l *logBuffer) count(s string) int { return strings.Count(l.String(), s) }

// plug is a wire to the brokers that can be pulled, and can lose answers.
type plug struct {
	mu    sync.Mutex
	out   bool
	conns map[*wire]bool
	lose  atomic.Int32 // answers to produce requests to be lost
	hang  atomic.Bool  // answers to produce requests do not arrive
}

func (p *plug) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	out := p.out
	p.mu.Unlock()
	if out {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: c, p: p, gone: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		p.conns = map[*wire]bool{}
	}
	p.conns[w] = true
	return w, nil
}

// pull cuts all connections and refuses new ones.
func (p *plug) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = true
	for w := range p.conns {
		w.once.Do(func() { close(w.gone) })
		w.Conn.Close()
	}
}

func (p *plug) push() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = false
}

// wire is one connection; kafka-go has one request on it at a time.
type wire struct {
	net.Conn
	p       *plug
	once    sync.Once
	gone    chan struct{}
	asked   atomic.Bool
	produce atomic.Bool
}

func (w *wire) Write(b []byte) (int, error) {
	if !w.asked.Swap(true) && len(b) >= 6 {
		w.produce.Store(b[4] == 0 && b[5] == 0) // API key 0
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.asked.Store(false)
	if err != nil || !w.produce.Load() {
		return n, err
	}
	if w.p.hang.Load() {
		<-w.gone
		return 0, net.ErrClosed
	}
	if w.p.lose.Add(-1) >= 0 {
		w.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	w.p.lose.CompareAndSwap(-1, 0)
	return n, err
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.gone) })
	w.p.mu.Lock()
	delete(w.p.conns, w)
	w.p.mu.Unlock()
	return w.Conn.Close()
}
