package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/resolver"
	"github.com/typostream/typostream/resolver/resolvertest"
)

// Of bank.com's omissions ban.com has everything, bak.com has no address,
// bnk.com cannot be found out, and ank.com does not exist.
const testZone = `
$TTL 300
com.     SOA ns.registry.example. h.registry.example. 1 1 1 1 300
ban.com. NS  ns1.x.example.
ban.com. NS  ns2.x.example.
ban.com. A   192.0.2.2
ban.com. A   192.0.2.1
ban.com. MX  10 mx.x.example.
bak.com. NS  ns1.x.example.
bank.com. A  192.0.2.9
;! bnk.com. SERVFAIL
`

// memory is an emitter that keeps what it is given; failing makes it refuse.
type memory struct {
	mu       sync.Mutex
	messages []emitter.Message
	failing  int  // so many calls fail
	spooling bool // Kafka is away
	calls    int
}

func (m *memory) EmitEach(_ context.Context, messages ...emitter.Message) ([]emitter.Fate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.failing > 0 {
		m.failing--
		return make([]emitter.Fate, len(messages)), errors.New("the disk is full")
	}
	m.messages = append(m.messages, messages...)
	fate := emitter.FateAcked
	if m.spooling {
		fate = emitter.FateSpooled
	}
	return slices.Repeat([]emitter.Fate{fate}, len(messages)), nil
}

func (m *memory) of(topic string) (keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, message := range m.messages {
		if message.Topic == topic {
			keys = append(keys, message.Key)
		}
	}
	return keys
}

var testTopics = Topics{Candidates: "domains.candidates", Crawl: "phish.urls.crawl", Inactive: "phish.urls.inactive"}

func newScanner(t *testing.T, zone string, e Emitter) *Scanner {
	t.Helper()
	server, err := resolvertest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r, err := resolver.New(resolver.Config{Upstreams: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	passes := []fuzzer.Pass{
		{Name: "PASS_A", Algorithms: []fuzzer.Algorithm{fuzzer.Omission}},
		{Name: "PASS_B", Algorithms: []fuzzer.Algorithm{fuzzer.Omission}},
	}
	return &Scanner{
		Resolver: r, Emitter: e, Topics: testTopics, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(),
		Permute: func(seed fuzzer.Seed) *fuzzer.Permutations { return fuzzer.Permute(seed, passes...) },
		Now:     func() time.Time { return time.UnixMicro(1760600001500000) },
	}
}

func bank(t *testing.T, origin Origin) Seed {
	t.Helper()
	seed, err := fuzzer.ParseSeed("bank.com")
	if err != nil {
		t.Fatal(err)
	}
	return Seed{Seed: seed, Brand: "BANK", Origin: origin, Scan: "scan-1"}
}

func TestScanPublishesWhatTheContractSays(t *testing.T) {
	sink := &memory{}
	s := newScanner(t, testZone, sink)
	var generated, answered int
	s.Observer = Observer{Generated: func(_ Seed, n int) { generated = n }, Answered: func(*Result) { answered++ }}
	summary, err := s.Scan(t.Context(), bank(t, FromKafka))
	if err != nil {
		t.Fatal(err)
	}
	want := Summary{Generated: 4, Registered: 2, Absent: 1, Unknown: 1, Candidates: 2, Receipt: emitter.Receipt{Acked: 5}, UnknownNames: []string{"bnk.com"}}
	if !reflect.DeepEqual(summary, want) {
		t.Errorf("summary %+v, want %+v", summary, want)
	}
	if generated != 4 || answered != 4 {
		t.Errorf("the observer saw %d names and %d answers, want 4 and 4", generated, answered)
	}
	candidates := sink.of(testTopics.Candidates)
	if candidates[0] != "bank.com" || len(candidates) != 3 || !slices.Contains(candidates, "ban.com") || !slices.Contains(candidates, "bak.com") {
		t.Errorf("candidates %v, want the seed first, then ban.com and bak.com", candidates)
	}
	if crawl := sink.of(testTopics.Crawl); !slices.Equal(crawl, []string{"bank.com"}) {
		t.Errorf("to be crawled: %v", crawl)
	}
	if inactive := sink.of(testTopics.Inactive); !slices.Equal(inactive, []string{""}) {
		t.Errorf("keys of inactive names: %q, want one record without a key", inactive)
	}
	for _, message := range sink.messages {
		checkRecord(t, message)
	}
}

// checkRecord compares a record of TestScanPublishesWhatTheContractSays with
// the contract's, field by field.
func checkRecord(t *testing.T, message emitter.Message) {
	t.Helper()
	wants := map[string]string{
		"seed":     `{"src":"dnstwist_live","observed_at":1760600001.5,"cse_id":"BANK","seed_registrable":"bank.com","canonical_fqdn":"bank.com","registrable":"bank.com","reasons":["original_seed"],"is_original_seed":true,"fuzzer":null}`,
		"ban.com":  `{"src":"dnstwist","observed_at":1760600001.5,"cse_id":"BANK","seed_registrable":"bank.com","canonical_fqdn":"ban.com","registrable":"ban.com","reasons":["dnstwist:live:PASS_A","dnstwist:live:PASS_B"],"is_original_seed":false,"fuzzer":"omission","raw":{"fuzzer":"omission","domain":"ban.com","dns_ns":["ns1.x.example"],"dns_a":["192.0.2.1"],"dns_mx":["mx.x.example"]}}`,
		"bak.com":  `{"src":"dnstwist","observed_at":1760600001.5,"cse_id":"BANK","seed_registrable":"bank.com","canonical_fqdn":"bak.com","registrable":"bak.com","reasons":["dnstwist:live:PASS_A","dnstwist:live:PASS_B"],"is_original_seed":false,"fuzzer":"omission","raw":{"fuzzer":"omission","domain":"bak.com","dns_ns":["ns1.x.example"]}}`,
		"inactive": `{"schema_version":"v1","registrable":"bak.com","canonical_fqdn":"bak.com","cse_id":"BANK","seed_registrable":"bank.com","status":"unregistered","fuzzer":"omission","ts":1760600001500,"reasons":["dnstwist:unregistered:live:PASS_A","dnstwist:unregistered:live:PASS_B"]}`,
		"crawl":    `{"schema_version":"v1","url":"https://bank.com/","ts":1760600001500,"cse_id":"BANK","is_original_seed":true,"registrable":"bank.com","seed_registrable":"bank.com","canonical_fqdn":"bank.com"}`,
	}
	kind := message.Key
	switch {
	case message.Topic == testTopics.Inactive:
		kind = "inactive"
	case message.Topic == testTopics.Crawl:
		kind = "crawl"
	case message.Key == "bank.com":
		kind = "seed"
	}
	var got map[string]any
	if err := json.Unmarshal(message.Value, &got); err != nil {
		t.Fatal(err)
	}
	detail, own := got["typostream"].(map[string]any)
	if isEvent := message.Topic == testTopics.Candidates; own != isEvent {
		t.Errorf("%s: typostream object there: %v, want %v", kind, own, isEvent)
	}
	if own && (detail["scan"] != "scan-1" || detail["seed"] != "bank.com" || detail["v"] != 1.0) {
		t.Errorf("%s: typostream is %v", kind, detail)
	}
	delete(got, "typostream")
	rest, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal([]byte(wants[kind]), &want); err != nil {
		t.Fatal(err)
	}
	sorted, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rest, sorted) {
		t.Errorf("%s:\n got %s\nwant %s", kind, rest, sorted)
	}
}

func TestScanOfARecheckPublishesThatOneName(t *testing.T) {
	sink := &memory{}
	s := newScanner(t, testZone, sink)
	seed := Seed{Seed: fuzzer.Seed{FQDN: "ban.com"}, Brand: "BANK", Origin: FromKafka, Scan: "s", Recheck: true, SeedRegistrable: "bank.com", Reasons: []string{"Re-check #1 for parked"}}
	summary, err := s.Scan(t.Context(), seed)
	if err != nil || summary.Generated != 1 || summary.Registered != 1 || len(sink.messages) != 1 {
		t.Fatalf("%+v, %v, messages %v", summary, err, sink.of(testTopics.Candidates))
	}
	var event emitter.Event
	if err := json.Unmarshal(sink.messages[0].Value, &event); err != nil {
		t.Fatal(err)
	}
	if event.CanonicalFQDN != "ban.com" || event.SeedRegistrable != "bank.com" || event.Fuzzer != nil || event.IsOriginalSeed || !slices.Equal(event.Reasons, seed.Reasons) {
		t.Errorf("published %s", sink.messages[0].Value)
	}
}

// A name that a person hands in alone is published whatever the DNS says, and
// counted as what it is; a re-check that somebody's service asks for is not.
func TestScanOfOneNameThatIsNotRegistered(t *testing.T) {
	for _, test := range []struct {
		name   string
		origin Origin
		want   string // state of the one event; "" for none
	}{
		{"bnk.com", FromHTTP, "unknown"},
		{"nowhere.com", FromHTTP, "absent"},
		{"ban.com", FromHTTP, "registered"},
		{"bnk.com", FromKafka, ""},
		{"nowhere.com", FromKafka, ""},
	} {
		sink := &memory{}
		s := newScanner(t, testZone, sink)
		s.Track = TrackAll
		submission, err := ParseSubmission(test.name, "BANK", true)
		if err != nil {
			t.Fatal(err)
		}
		submission.Seed.Origin = test.origin
		summary, err := s.Scan(t.Context(), submission.Seed)
		candidates := 0
		if test.want == "registered" {
			candidates = 1
		}
		if err != nil || summary.Generated != 1 || summary.Candidates != candidates {
			t.Errorf("%s: %+v, %v", test.name, summary, err)
		}
		got := ""
		for _, m := range sink.messages {
			var event emitter.Event
			if err := json.Unmarshal(m.Value, &event); err != nil || m.Topic != testTopics.Candidates || m.Key != test.name || !slices.Equal(event.Reasons, []string{"submitted"}) {
				t.Errorf("%s: %v, published %s", test.name, err, m.Value)
			}
			got += event.Detail.State
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// What the allow list holds is not asked about; it is counted.
func TestScanLeavesOutAllowedNames(t *testing.T) {
	sink := &memory{}
	s := newScanner(t, testZone, sink)
	list, _, err := fuzzer.ReadDomainList(strings.NewReader("ban.com\n*.nowhere.com\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.Lists = func() *fuzzer.DomainLists { return &fuzzer.DomainLists{Allow: []*fuzzer.DomainList{list}} }
	summary, err := s.Scan(t.Context(), bank(t, FromCSV))
	if err != nil || summary.Generated != 3 || summary.Allowed != 1 || summary.Registered != 1 {
		t.Errorf("summary %+v, %v", summary, err)
	}
	if slices.Contains(sink.of(testTopics.Candidates), "ban.com") {
		t.Error("an allowed name was published")
	}
}

// A scan of some names gives the events that a scan of all would give of them,
// and does not publish the seed again.
func TestScanOfSomeNames(t *testing.T) {
	sink, whole := &memory{}, &memory{}
	seed := bank(t, FromCSV)
	s := newScanner(t, testZone, whole)
	if _, err := s.Scan(t.Context(), seed); err != nil {
		t.Fatal(err)
	}
	s.Emitter = sink
	seed.Only = []string{"ban.com", "bnk.com", "nobody.com"}
	summary, err := s.Scan(t.Context(), seed)
	if err != nil || summary.Generated != 2 || summary.Registered != 1 || !slices.Equal(summary.UnknownNames, []string{"bnk.com"}) {
		t.Errorf("%+v, %v", summary, err)
	}
	if len(sink.messages) != 1 || !slices.ContainsFunc(whole.messages, func(m emitter.Message) bool {
		return m.Topic == sink.messages[0].Topic && bytes.Equal(m.Value, sink.messages[0].Value)
	}) {
		t.Errorf("published %s", sink.messages)
	}
}

func TestTracking(t *testing.T) {
	for track, want := range map[Tracking]int{TrackNone: 0, TrackRegistered: 1, TrackAll: 2} {
		sink := &memory{}
		s := newScanner(t, testZone, sink)
		s.Track = track
		if _, err := s.Scan(t.Context(), bank(t, FromCSV)); err != nil {
			t.Fatal(err)
		}
		if got := len(sink.of(testTopics.Inactive)); got != want {
			t.Errorf("tracking %d: %d inactive names published, want %d", track, got, want)
		}
	}
}

// When the emitter fails, so does the scan: the seed must not be acknowledged.
func TestScanFailsWithTheEmitter(t *testing.T) {
	sink := &memory{failing: 1}
	s := newScanner(t, testZone, sink)
	if _, err := s.Scan(t.Context(), bank(t, FromCSV)); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("Scan: %v, want the emitter's error", err)
	}
}

// oneSeed is a source that delivers a single seed and records its end.
type oneSeed struct {
	seed Seed
	done chan error
}

func (o *oneSeed) Run(ctx context.Context, out chan<- Delivery) error {
	select {
	case out <- Delivery{Seed: o.seed, Context: context.Background(), Done: func(err error) { o.done <- err }}:
	case <-ctx.Done():
	}
	return nil
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func newWorker(s *Scanner, log io.Writer, sources ...Source) *Worker {
	return &Worker{
		Scanner: s, Sources: sources, Parallel: 2, DrainTimeout: patience, RetryDelay: time.Millisecond,
		Sent: "sent", Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: s.Metrics,
	}
}

func TestWorkerScansAgainUntilEverythingIsDurable(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // runs last, after the scanner's own
	sink := &memory{failing: 3}
	var log bytes.Buffer
	source := &oneSeed{bank(t, FromCSV), make(chan error, 1)}
	w := newWorker(newScanner(t, testZone, sink), &log, source)
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-source.done; err != nil {
		t.Errorf("acknowledged with %v", err)
	}
	if n := len(sink.of(testTopics.Candidates)); n != 3 {
		t.Errorf("%d records after three failures, want the seed and two candidates", n)
	}
	for _, want := range []string{"seed not finished; trying again", "Completed bank.com: 2 unique variants emitted", "All 2 variants sent successfully"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &log)
		}
	}
}

// broken has no answer for three of bank.com's four omissions.
const broken = ";! ban.com. SERVFAIL\n;! bak.com. SERVFAIL\n;! bnk.com. SERVFAIL\ncom. SOA a. b. 1 1 1 1 1\n"

// While no resolver answers at all, a seed waits: silence is no reason to call
// a brand clean.
func TestWorkerWaitsForTheResolvers(t *testing.T) {
	sink := &memory{}
	var log bytes.Buffer
	server, err := resolvertest.Start(broken)
	if err != nil {
		t.Fatal(err)
	}
	r, err := resolver.New(resolver.Config{Upstreams: []string{server.Addr()}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	server.Close() // from now on nobody listens there
	s := newScanner(t, testZone, sink)
	s.Resolver = r
	source := &oneSeed{bank(t, FromCSV), make(chan error, 1)}
	var waits atomic.Int32
	w := newWorker(s, io.MultiWriter(&log, writerFunc(func(line []byte) {
		if bytes.Contains(line, []byte("no resolver answers")) {
			waits.Add(1)
		}
	})), source)
	w.DrainTimeout = 0
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	eventually(t, "the worker waits", func() bool { return waits.Load() > 2 })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := <-source.done; !errors.Is(err, context.Canceled) {
		t.Errorf("acknowledged with %v, want not finished", err)
	}
	if n := len(sink.of(testTopics.Crawl)); n != 1 {
		t.Errorf("the seed's record came %d times while it waited, want once", n)
	}
}

// A suffix that is broken for good does not hold up its seed for ever.
func TestWorkerGivesUpOnABrokenSuffix(t *testing.T) {
	sink := &memory{}
	var log bytes.Buffer
	source := &oneSeed{bank(t, FromCSV), make(chan error, 1)}
	w := newWorker(newScanner(t, broken, sink), &log, source)
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-source.done; err != nil {
		t.Errorf("done with %v", err)
	}
	if scans := len(sink.of(testTopics.Crawl)); scans != maxRescans+1 {
		t.Errorf("%d scans, want %d", scans, maxRescans+1)
	}
	if !strings.Contains(log.String(), "3 of 4 names of bank.com could not be found out") || w.Total().Unknown != 3 {
		t.Errorf("total %+v, log:\n%s", w.Total(), &log)
	}
}

// A scan in work when the context ends is finished and acknowledged.
func TestWorkerDrains(t *testing.T) {
	sink := &memory{}
	var log bytes.Buffer
	s := newScanner(t, testZone, sink)
	ctx, cancel := context.WithCancel(t.Context())
	s.Observer.Generated = func(Seed, int) { cancel() }
	source := &oneSeed{bank(t, FromCSV), make(chan error, 1)}
	if err := newWorker(s, &log, source).Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-source.done; err != nil || len(sink.of(testTopics.Candidates)) != 3 {
		t.Errorf("done with %v, records %v", err, sink.of(testTopics.Candidates))
	}
}

// When the time to drain is over, whoever waits for Kafka is told to give up,
// and the seed is not acknowledged.
func TestWorkerGivesUpAtTheEndOfTheDrain(t *testing.T) {
	var log bytes.Buffer
	given := make(chan struct{})
	s := newScanner(t, testZone, emitterFunc(func() error {
		<-given // Kafka hangs until it is given up
		return errors.New("the emitter is closed")
	}))
	source := &oneSeed{bank(t, FromCSV), make(chan error, 1)}
	w := newWorker(s, &log, source)
	w.DrainTimeout, w.GiveUp = time.Millisecond, func() { close(given) }
	ctx, cancel := context.WithCancel(t.Context())
	s.Observer.Generated = func(Seed, int) { cancel() }
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-source.done; err == nil {
		t.Error("a seed whose events are not durable was acknowledged")
	}
}

type emitterFunc func() error

func (f emitterFunc) EmitEach(_ context.Context, messages ...emitter.Message) ([]emitter.Fate, error) {
	return make([]emitter.Fate, len(messages)), f()
}

func TestWorkerReportsWhatIsNotAcked(t *testing.T) {
	var log bytes.Buffer
	w := &Worker{Sent: "sent", Log: slog.New(slog.NewTextHandler(&log, nil))}
	w.report(bank(t, FromCSV), Summary{Candidates: 2, Receipt: emitter.Receipt{Acked: 1, Spooled: 2, DeadLettered: 1}})
	if !strings.Contains(log.String(), "1 of 4 records sent, 2 spooled, 1 dead-lettered") {
		t.Errorf("log: %s", &log)
	}
}

func TestCSVSource(t *testing.T) {
	var log bytes.Buffer
	source := &CSVSource{
		Name: "seeds.csv", Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: NewMetrics(),
		Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("cse_id,domain\nA,a.com\nB,co.uk\nC,c.com\n")), nil
		},
	}
	out := make(chan Delivery)
	ended := make(chan error, 1)
	go func() { ended <- source.Run(t.Context(), out) }()
	for _, want := range []string{"A:a.com", "C:c.com"} {
		d := <-out
		if got := d.Seed.Brand + ":" + d.Seed.FQDN; got != want || d.Seed.Origin != FromCSV || d.Seed.Scan == "" {
			t.Errorf("delivered %+v, want %s", d.Seed, want)
		}
		d.Done(nil)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "line=3") || !strings.Contains(log.String(), "bad_rows=1") {
		t.Errorf("log: %s", &log)
	}
}
