package pipeline

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/typostream/typostream/emitter"
)

// One row for each producer of the input topic, and one for each kind of
// poison that was seen in the wild.
func TestParseMessage(t *testing.T) {
	for _, test := range []struct {
		name, value string
		fuzz        []string
		verdict     Verdict
		fqdn, brand string
		failure     string
	}{
		{
			name:    "submitted by a person",
			value:   `{"fqdn":"sbi.co.in","source":"frontend_api","timestamp":1760600000,"cse_id":"SBI","notes":"…","original_input":"https://sbi.co.in/","submitter_ip":"::1","is_original_seed":true}`,
			verdict: Accepted, fqdn: "sbi.co.in", brand: "SBI",
		},
		{
			name:    "one of a bulk, without a brand",
			value:   `{"fqdn":"sbi.co.in","source":"frontend_api_bulk","bulk_batch_index":0,"is_original_seed":true}`,
			verdict: Accepted, fqdn: "sbi.co.in", brand: "UNKNOWN",
		},
		{name: "only a domain", value: `{"domain":"Example.COM."}`, verdict: Accepted, fqdn: "example.com", brand: "UNKNOWN"},
		{name: "first of the three keys that is not empty", value: `{"fqdn":"","canonical_fqdn":"a.com","domain":"b.com"}`, verdict: Accepted, fqdn: "a.com", brand: "UNKNOWN"},
		{name: "fqdn is a number", value: `{"fqdn":5,"domain":"b.com"}`, verdict: Accepted, fqdn: "b.com", brand: "UNKNOWN"},
		{name: "a URL", value: `{"fqdn":"https://Example.com:443/x?y"}`, verdict: Accepted, fqdn: "example.com", brand: "UNKNOWN"},
		{name: "an international name", value: `{"fqdn":"münchen.de"}`, verdict: Accepted, fqdn: "xn--mnchen-3ya.de", brand: "UNKNOWN"},
		{
			name:    "a sighting in a certificate log",
			value:   `{"src":"ct","observed_at":1760600000.12,"canonical_fqdn":"sbi-login.com","registrable":"sbi-login.com","cse_id":"SBI","seed_registrable":null,"reasons":["seed:token:ld1:sbi"]}`,
			verdict: ForeignSource,
		},
		{name: "a sighting, for those who want it", value: `{"src":"ct","canonical_fqdn":"sbi-login.com"}`, fuzz: []string{"ct"}, verdict: Accepted, fqdn: "sbi-login.com", brand: "UNKNOWN"},
		{name: "a heartbeat", value: `{"src":"ct","type":"heartbeat","observed_at":1760600000.12,"stats":{}}`, verdict: Heartbeat},
		{name: "a scheduled re-check", value: `{"src":"monitor-scheduler","canonical_fqdn":"x.com","registrable":"x.com","observed_at":1.5,"reasons":["Re-check #1 for parked"],"recheck":true,"recheck_count":1}`, verdict: Recheck, fqdn: "x.com", brand: "UNKNOWN"},
		{name: "a name that came alive", value: `{"src":"inactive-monitor","canonical_fqdn":"x.com","cse_id":"SBI","reasons":["newly_active (was: unregistered)"]}`, verdict: Recheck, fqdn: "x.com", brand: "SBI"},
		{
			name:    "a name that a person asks to have looked at, on the topic of candidates",
			value:   `{"fqdn":"x.com","canonical_fqdn":"x.com","registrable":"x.com","seed_registrable":"x.com","source":"frontend_api_direct","timestamp":1760600000,"cse_id":"SBI","notes":"","original_input":"x.com","submitter_ip":"::1"}`,
			verdict: ForeignSource,
		},
		{name: "one of many such names", value: `{"fqdn":"x.com","canonical_fqdn":"x.com","source":"frontend_api_bulk_direct","bulk_batch_index":3}`, verdict: ForeignSource},
		{name: "another message of a service, without a domain", value: `{"src":"ct","type":"stats","observed_at":1.5}`, verdict: Heartbeat},
		{name: "a brand of a megabyte", value: `{"fqdn":"sbi.co.in","cse_id":"` + strings.Repeat("n", 1<<20) + `"}`, verdict: Poison, failure: emitter.FailureInvalidBrand},
		{name: "a brand with a line break", value: `{"fqdn":"sbi.co.in","cse_id":"S\nBI"}`, verdict: Poison, failure: emitter.FailureInvalidBrand},
		{name: "our own variant", value: `{"src":"dnstwist","canonical_fqdn":"x.com"}`, verdict: OwnOutput},
		{name: "our own seed from a file", value: `{"src":"csv_seed","canonical_fqdn":"x.com","is_original_seed":true}`, verdict: OwnOutput},
		{name: "our own seed from Kafka", value: `{"src":"dnstwist_live","canonical_fqdn":"x.com","is_original_seed":true}`, verdict: OwnOutput},
		{name: "anything with our object", value: `{"fqdn":"x.com","typostream":{}}`, verdict: OwnOutput},

		{name: "an array", value: `[]`, verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "a string", value: `"x"`, verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "a number", value: `1`, verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "null", value: `null`, verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "nothing", value: ``, verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "blanks", value: " \n", verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "not UTF-8", value: "{\"fqdn\":\"\xff\xfe.com\"}", verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "cut short", value: `{"fqdn":"sbi.co.in"`, verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "nested deep", value: strings.Repeat("[", 100_000), verdict: Poison, failure: emitter.FailureJSONParse},
		{name: "no domain", value: `{"cse_id":"SBI"}`, verdict: Poison, failure: emitter.FailureMissingDomain},
		{name: "a public suffix", value: `{"fqdn":"co.in"}`, verdict: Poison, failure: emitter.FailureInvalidDomain},
		{name: "an address", value: `{"fqdn":"192.0.2.1"}`, verdict: Poison, failure: emitter.FailureInvalidDomain},
		{name: "a re-check of nonsense", value: `{"recheck":true,"fqdn":"!!"}`, verdict: Poison, failure: emitter.FailureInvalidDomain},
		{name: "a megabyte of notes", value: `{"fqdn":"sbi.co.in","notes":"` + strings.Repeat("n", 1<<20) + `"}`, verdict: Accepted, fqdn: "sbi.co.in", brand: "UNKNOWN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			seed, verdict, err := ParseMessage([]byte(test.value), test.fuzz)
			if verdict != test.verdict || seed.FQDN != test.fqdn || seed.Brand != test.brand {
				t.Errorf("got %v %q of brand %q, want %v %q of brand %q (%v)", verdict, seed.FQDN, seed.Brand, test.verdict, test.fqdn, test.brand, err)
			}
			var poison *PoisonError
			switch {
			case (verdict == Poison) != errors.As(err, &poison):
				t.Errorf("verdict %v with error %v", verdict, err)
			case poison != nil && poison.FailureType != test.failure:
				t.Errorf("failure type %q, want %q", poison.FailureType, test.failure)
			}
		})
	}
}

func TestParseMessageKeepsWhatARecheckSays(t *testing.T) {
	seed, _, err := ParseMessage([]byte(`{"recheck":true,"fqdn":"x.com","seed_registrable":"sbi.co.in","reasons":["a","b"]}`), nil)
	if err != nil || !seed.Recheck || seed.SeedRegistrable != "sbi.co.in" || !slices.Equal(seed.Reasons, []string{"a", "b"}) {
		t.Errorf("got %+v, %v", seed, err)
	}
	if seed, _, _ = ParseMessage([]byte(`{"recheck":true,"fqdn":"x.com","reasons":[`+strings.Repeat(`"r",`, 1000)+`"r"]}`), nil); len(seed.Reasons) != maxReasons {
		t.Errorf("%d reasons of a stranger kept, want %d", len(seed.Reasons), maxReasons)
	}
	seed, verdict, _ := ParseMessage([]byte(`{"recheck":true,"fqdn":"x.com","seed_registrable":"a\u0000b","reasons":["`+strings.Repeat("ü", 1000)+`"]}`), nil)
	if verdict != Recheck || seed.SeedRegistrable != "" || seed.Reasons[0] != strings.Repeat("ü", maxReason) {
		t.Errorf("%v with %q and %q", verdict, seed.SeedRegistrable, seed.Reasons)
	}
	if seed, verdict, _ = ParseMessage([]byte(`{"recheck":true,"fqdn":"x.com","reasons":{"a":1}}`), nil); verdict != Recheck || seed.Reasons != nil {
		t.Errorf("%v with reasons %q", verdict, seed.Reasons)
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, value := range []string{`{"fqdn":"sbi.co.in","cse_id":"SBI"}`, `[]`, `"x"`, ``, `{"recheck":true,"fqdn":"x.com","reasons":["r"]}`, "{\"fqdn\":\"\xff\"}"} {
		f.Add([]byte(value))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		seed, verdict, err := ParseMessage(value, nil)
		if (verdict == Poison) != (err != nil) {
			t.Fatalf("verdict %v with error %v", verdict, err)
		}
		if verdict == Accepted && (seed.FQDN == "" || seed.Brand == "" || !utf8.ValidString(seed.Brand)) {
			t.Fatalf("accepted %+v", seed)
		}
	})
}
