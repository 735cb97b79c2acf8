package emitter

import (
	"bytes"
	stdjson "encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

func eventCorpus() []Event {
	fuzzer := "addition"
	at := time.UnixMicro(1760600001500000)
	return []Event{
		{
			Src: SrcCSVSeed, ObservedAt: Seconds(at), Brand: "SBI", SeedRegistrable: "sbi.co.in",
			CanonicalFQDN: "sbi.co.in", Registrable: "sbi.co.in", Reasons: []string{"original_seed"}, IsOriginalSeed: true,
			Detail: Detail{Version: EventVersion, ID: EventID("sbi.co.in", "sbi.co.in", "csv:1"), Scan: "csv:1", Seed: "sbi.co.in"},
		},
		{
			Src: SrcVariant, ObservedAt: Seconds(at), Brand: "SBI", SeedRegistrable: "sbi.co.in",
			CanonicalFQDN: "sbii.co.in", Registrable: "sbii.co.in", Reasons: []string{"dnstwist:PASS_A", "dnstwist:PASS_B"}, Fuzzer: &fuzzer,
			Raw: &Raw{Fuzzer: fuzzer, Domain: "sbii.co.in", NS: []string{"ns1.x"}, A: []string{"192.0.2.1"}, AAAA: []string{"2001:db8::1"}, MX: []string{"mx.x"}},
			Detail: Detail{
				Version: EventVersion, ID: EventID("sbi.co.in", "sbii.co.in", "csv:1"), Scan: "csv:1", Seed: "sbi.co.in",
				Fuzzers: []string{"addition", "insertion"}, Passes: []string{"PASS_A", "PASS_B"}, State: "registered", RCode: "NOERROR",
				NS: []string{"ns1.x", "ns2.x"}, A: []string{"192.0.2.1", "192.0.2.2"}, AAAA: []string{"2001:db8::1"}, MX: []string{"mx.x"},
				Server: "127.0.0.1:53", Geoip: "Netherlands",
			},
		},
		{
			Src: SrcVariant, ObservedAt: Seconds(at), Brand: "UNKNOWN", SeedRegistrable: "münchen<&>.de",
			CanonicalFQDN: "xn--mnchn-0ra.de", Registrable: "xn--mnchn-0ra.de", Reasons: []string{}, Fuzzer: &fuzzer,
			Raw:    &Raw{Fuzzer: fuzzer, Domain: "xn--mnchn-0ra.de"},
			Detail: Detail{Version: EventVersion, Unicode: "münchn.de\u2028", Reason: "NODATA", Incomplete: []string{"MX"}},
		},
	}
}

func TestEventGolden(t *testing.T) {
	var lines []byte
	for _, e := range eventCorpus()[:2] {
		line, err := Encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(append(lines, line...), '\n')
	}
	golden := filepath.Join("testdata", "events.v1.jsonl")
	if *update {
		if err := os.WriteFile(golden, lines, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(lines, want) {
		t.Errorf("the events' bytes changed; readers depend on them\n got %s\nwant %s", lines, want)
	}
}

// goccy/go-json has dropped fields in older versions: its bytes must stay
// those of encoding/json.
func TestEncodeEqualsEncodingJSON(t *testing.T) {
	for _, e := range eventCorpus() {
		assertSameBytes(t, &e)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		list := rapid.SliceOfN(text, 0, 3)
		e := Event{
			Src: text.Draw(t, "src"), ObservedAt: rapid.Float64Range(0, 4e9).Draw(t, "at"), Brand: text.Draw(t, "brand"),
			CanonicalFQDN: text.Draw(t, "fqdn"), Reasons: list.Draw(t, "reasons"),
			Detail: Detail{NS: list.Draw(t, "ns"), MX: list.Draw(t, "mx"), State: text.Draw(t, "state")},
		}
		if rapid.Bool().Draw(t, "variant") {
			f := text.Draw(t, "fuzzer")
			e.Fuzzer, e.Raw = &f, &Raw{Fuzzer: f, A: list.Draw(t, "a")}
		}
		assertSameBytes(t, &e)
	})
}

func assertSameBytes(t interface{ Fatalf(string, ...any) }, e *Event) {
	got, err := Encode(e)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	want, err := stdjson.Marshal(e)
	if err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("goccy and encoding/json disagree\n got %s\nwant %s", got, want)
	}
}

// An event is encoded into one buffer, with no garbage beside it.
func TestEncodeAllocations(t *testing.T) {
	e := eventCorpus()[1]
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := Encode(&e); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations, want at most 2", n)
	}
}

func TestEventID(t *testing.T) {
	a := EventID("sbi.co.in", "sbii.co.in", "raw.hosts-0-1")
	if b := EventID("sbi.co.in", "sbii.co.in", "raw.hosts-0-1"); a != b {
		t.Errorf("same parts, different ids: %s %s", a, b)
	}
	if b := EventID("sbi.co.insbii.co.in", "", "raw.hosts-0-1"); a == b {
		t.Errorf("parts run together: %s", a)
	}
	if len(a) != 32 {
		t.Errorf("id %q is not 128 bits of hex", a)
	}
}
