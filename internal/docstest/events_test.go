package docstest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
	"github.com/typostream/typostream/resolver/resolvertest"
)

const (
	candidates = "domains.candidates"
	crawl      = "phish.urls.crawl"
	inactive   = "phish.urls.inactive"
)

// schemas are those of docs/, by the topic whose records they describe.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	compiled := map[string]*jsonschema.Schema{}
	for topic, path := range map[string]string{
		candidates: "event.v1", crawl: "crawl.v1", inactive: "inactive.v1",
	} {
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		schema, err := compiler.Compile(filepath.Join(root, "docs", path+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		compiled[topic] = schema
	}
	return compiled
}

func validate(schema *jsonschema.Schema, record []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(record))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func TestGoldenEventsFollowTheSchema(t *testing.T) {
	schema := schemas(t)[candidates]
	golden := lines(readDocument(t, "emitter/testdata/events.v1.jsonl"))
	if len(golden) == 0 {
		t.Fatal("no golden events")
	}
	for i, line := range golden {
		if err := validate(schema, []byte(line)); err != nil {
			t.Errorf("line %d: %v", i+1, err)
		}
	}
}

// memory is an emitter that keeps what it is given.
type memory struct {
	mu       sync.Mutex
	messages []emitter.Message
}

func (m *memory) EmitEach(_ context.Context, messages ...emitter.Message) ([]emitter.Fate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.messages = append(m.messages, messages...)
	return slices.Repeat([]emitter.Fate{emitter.FateAcked}, len(messages)), nil
}

// scan puts seeds of every kind through the real stages and returns what was
// published.
func scan(t *testing.T) []emitter.Message {
	t.Helper()
	zone := readDocument(t, "internal/docstest/testdata/readme.zone")
	knows, err := resolvertest.Start(zone + "*.com. A 203.0.113.77\n") // a wildcard above my-bank.com
	if err != nil {
		t.Fatal(err)
	}
	defer knows.Close()
	// Filters mybank.co.uk out, which makes it disputed when the other is asked first: it is faster.
	filters, err := resolvertest.Start(strings.ReplaceAll(zone, "\nmybank.co.uk.", "\nhidden.co.uk.") + "*.com. A 203.0.113.77\n;! * DELAY 5ms\n")
	if err != nil {
		t.Fatal(err)
	}
	defer filters.Close()
	r, err := resolver.New(resolver.Config{Upstreams: []string{knows.Addr(), filters.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := &memory{}
	scanner := &pipeline.Scanner{
		Resolver: r, Emitter: out, Topics: pipeline.Topics{Candidates: candidates, Crawl: crawl, Inactive: inactive},
		Track: pipeline.TrackAll, Country: func(string) string { return "Netherlands" },
		Permute: func(seed fuzzer.Seed) *fuzzer.Permutations {
			return fuzzer.Permute(seed, fuzzer.ContractPasses(seed, fuzzer.Lists{})...)
		},
		Now: func() time.Time { return time.UnixMicro(1760600001500000) },
	}
	for i, origin := range []pipeline.Origin{pipeline.FromArgument, pipeline.FromCSV, pipeline.FromKafka} {
		for _, name := range []string{"my-bank.co.uk", "münchen.de"} {
			parsed, err := fuzzer.ParseSeed(name)
			if err != nil {
				t.Fatal(err)
			}
			seed := pipeline.Seed{Seed: parsed, Brand: "ACME", Origin: origin, Scan: fmt.Sprintf("test-%d", i)}
			if _, err := scanner.Scan(t.Context(), seed); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, message := range []string{
		`{"src":"monitor-scheduler","canonical_fqdn":"mybank.co.uk","registrable":"mybank.co.uk","seed_registrable":"my-bank.co.uk","reasons":["Re-check #1 for parked"],"recheck":true}`,
		`{"src":"inactive-monitor","canonical_fqdn":"my-bannk.co.uk"}`,
	} {
		seed, verdict, err := pipeline.ParseMessage([]byte(message), nil)
		if err != nil || verdict != pipeline.Recheck {
			t.Fatalf("%s: %v, %v", message, verdict, err)
		}
		seed.Scan = "raw.hosts-0-7"
		if _, err := scanner.Scan(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
	}
	scanAgain(t, scanner, zone)
	// Which nameserver is asked first is not ours to say; mostly the faster one.
	disputed := func(m emitter.Message) bool { return bytes.Contains(m.Value, []byte(`"disputed":`)) }
	for range 200 {
		if slices.ContainsFunc(out.messages, disputed) {
			break
		}
		seed, _, err := pipeline.ParseMessage([]byte(`{"canonical_fqdn":"mybank.co.uk","recheck":true}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		seed.Scan = "raw.hosts-0-8"
		if _, err := scanner.Scan(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
	}
	return out.messages
}

// scanAgain scans a seed three times with a history: an address changes, and a
// name goes.
func scanAgain(t *testing.T, scanner *pipeline.Scanner, zone string) {
	t.Helper()
	file, _, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parsed, err := fuzzer.ParseSeed("my-bank.co.uk")
	if err != nil {
		t.Fatal(err)
	}
	again := *scanner
	again.Now = nil
	again.Dedup = pipeline.NewDedup(file.Published(time.Hour), time.Hour, false, pipeline.NewMetrics(), slog.New(slog.DiscardHandler))
	moved := strings.ReplaceAll(zone, "192.0.2.10", "198.51.100.10")
	for i, zone := range []string{zone, moved, strings.ReplaceAll(moved, "\nmybank.co.uk.", "\nhidden.co.uk.")} {
		server, err := resolvertest.Start(zone)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		r, err := resolver.New(resolver.Config{Upstreams: []string{server.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		again.Resolver = r
		summary, err := again.Scan(t.Context(), pipeline.Seed{Seed: parsed, Brand: "ACME", Origin: pipeline.FromKafka, Scan: fmt.Sprintf("again-%d", i)})
		if err != nil || summary.Changes != min(i, 1) {
			t.Errorf("scan %d: %+v, %v", i, summary, err)
		}
	}
}

func TestPublishedRecordsFollowTheSchemas(t *testing.T) {
	compiled := schemas(t)
	kinds := map[string]int{}
	seen := map[string]bool{} // fields that some event has
	for _, m := range scan(t) {
		if err := validate(compiled[m.Topic], m.Value); err != nil {
			t.Errorf("%s: %s\n%v", m.Topic, m.Value, err)
		}
		var record map[string]any
		if err := json.Unmarshal(m.Value, &record); err != nil {
			t.Fatal(err)
		}
		if key := record["canonical_fqdn"]; m.Topic == inactive && m.Key != "" || m.Topic != inactive && m.Key != key {
			t.Errorf("%s: key %q of %s", m.Topic, m.Key, m.Value)
		}
		if m.Topic == candidates {
			for _, path := range jsonPaths("", record) {
				seen[path] = true
			}
		}
		kinds[m.Topic+" "+fmt.Sprint(record["src"])]++
	}
	for _, kind := range []string{
		candidates + " csv_seed", candidates + " dnstwist_live", candidates + " dnstwist", crawl + " <nil>", inactive + " <nil>",
	} {
		if kinds[kind] == 0 {
			t.Errorf("the run gave no record of kind %q: %v", kind, kinds)
		}
	}
	// What no record has, no schema was tried on.
	for _, path := range fieldPaths("", reflect.TypeFor[emitter.Event]()) {
		if !seen[path] {
			t.Errorf("the run gave no event with %s", path)
		}
	}
}

// The schema must say no to what is no event.
func TestSchemaRefuses(t *testing.T) {
	schema := schemas(t)[candidates]
	golden := lines(readDocument(t, "emitter/testdata/events.v1.jsonl"))
	variant := golden[1]
	for _, change := range [][2]string{
		{`"src":"dnstwist"`, `"src":"ct"`},
		{`"observed_at":1760600001.5`, `"observed_at":"now"`},
		{`"canonical_fqdn":"sbii.co.in"`, `"canonical_fqdn":"SBII.co.in"`},
		{`"is_original_seed":false`, `"is_original_seed":true`},
		{`"fuzzer":"addition","raw"`, `"fuzzer":"guesswork","raw"`},
		{`"dns_ns":["ns1.x"]`, `"dns_ns":["ns1.x","ns2.x"]`},
		{`"v":1`, `"v":2`},
		{`"state":"registered"`, `"state":"parked"`},
		{`"src":"dnstwist"`, `"src":"dnstwist","verdict":"bad"`},
		{`"scan":"csv:1",`, ``},
	} {
		changed := strings.Replace(variant, change[0], change[1], 1)
		if changed == variant {
			t.Fatalf("%s is not in the golden event", change[0])
		}
		if validate(schema, []byte(changed)) == nil {
			t.Errorf("accepted with %s", change[1])
		}
	}
	tolerated := strings.Replace(variant, `"v":1`, `"v":1,"new":{"field":1}`, 1)
	if err := validate(schema, []byte(tolerated)); err != nil {
		t.Errorf("a new field under typostream is refused: %v", err)
	}
}

// fieldPaths are the JSON names of a struct's fields; those of a struct within
// follow it with a dot.
func fieldPaths(prefix string, typ reflect.Type) []string {
	var paths []string
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		paths = append(paths, prefix+name)
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			paths = append(paths, fieldPaths(prefix+name+".", inner)...)
		}
	}
	return paths
}

func jsonPaths(prefix string, record map[string]any) []string {
	var paths []string
	for name, value := range record {
		paths = append(paths, prefix+name)
		if inner, ok := value.(map[string]any); ok {
			paths = append(paths, jsonPaths(prefix+name+".", inner)...)
		}
	}
	return paths
}

// schemaPaths are the properties that a schema document declares.
func schemaPaths(t *testing.T, path string) []string {
	t.Helper()
	type node struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var walk func(prefix string, text []byte) []string
	walk = func(prefix string, text []byte) []string {
		var n node
		if err := json.Unmarshal(text, &n); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var paths []string
		for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
			paths = append(paths, prefix+name)
			paths = append(paths, walk(prefix+name+".", n.Properties[name])...)
		}
		return paths
	}
	return walk("", []byte(readDocument(t, path)))
}

// Every field is in the document and in the schema, and the reverse.
func TestFieldsAreDocumented(t *testing.T) {
	document := readDocument(t, "docs/EVENTS.md")
	for _, kind := range []struct {
		heading, schema string
		record          reflect.Type
	}{
		{"## Event, version 1", "docs/event.v1.schema.json", reflect.TypeFor[emitter.Event]()},
		{"## Crawl record", "docs/crawl.v1.schema.json", reflect.TypeFor[emitter.Crawl]()},
		{"## Inactive record", "docs/inactive.v1.schema.json", reflect.TypeFor[emitter.Inactive]()},
	} {
		fields := fieldPaths("", kind.record)
		sameSet(t, "EVENTS.md, "+kind.heading, column(t, table(section(t, document, kind.heading)), 0), fields)
		sameSet(t, kind.schema, schemaPaths(t, kind.schema), fields)
	}
}

// The lines of spool and dead letters have the documented fields, and no other.
func TestFileLinesAreDocumented(t *testing.T) {
	dir := t.TempDir()
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	messages := []emitter.Message{
		{Topic: candidates, Key: "sbii.co.in", Value: []byte(`{"a":1}`)},
		{Topic: candidates, Key: "\xff", Value: []byte("\xff")},
	}
	if err := spool.Put(messages, true); err != nil {
		t.Fatal(err)
	}
	if err := spool.Close(); err != nil {
		t.Fatal(err)
	}
	dead, err := emitter.NewDeadLetters(emitter.DeadLettersConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	partition, offset := 1, int64(2)
	for _, key := range []string{"sbii.co.in", "\xff"} {
		letter := emitter.DeadLetter{
			FailureType: emitter.FailureKafkaSend, Reason: "too large", Raw: []byte("x"), Topic: candidates, Key: key,
			Partition: &partition, Offset: &offset, Code: 10, Attempts: 3,
		}
		if err := dead.Put(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	document := readDocument(t, "docs/EVENTS.md")
	for _, failure := range []string{emitter.FailureJSONParse, emitter.FailureMissingDomain, emitter.FailureInvalidDomain, emitter.FailureKafkaSend} {
		if !strings.Contains(section(t, document, "## Dead letter"), "`"+failure+"`") {
			t.Errorf("EVENTS.md does not name the failure type %s", failure)
		}
	}
	for heading, pattern := range map[string]string{"## Spool line": "spool_*.jsonl", "## Dead letter": "dead_letters.jsonl"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		info, err := os.Stat(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if mode := fmt.Sprintf("%04o", info.Mode().Perm()); !strings.Contains(section(t, document, heading), mode) {
			t.Errorf("%s does not name the mode %s", heading, mode)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]bool{}
		for _, line := range lines(string(text)) {
			var record map[string]any
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatal(err)
			}
			for name := range record {
				fields[name] = true
			}
		}
		sameSet(t, "EVENTS.md, "+heading, column(t, table(section(t, document, heading)), 0), slices.Collect(maps.Keys(fields)))
	}
}
