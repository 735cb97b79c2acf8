package main

import (
	"bytes"
	"errors"
	"testing"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/pipeline"
	"github.com/typostream/typostream/resolver"
)

func result(t *testing.T, seed, name string, algorithm fuzzer.Algorithm, answer resolver.Answer) *pipeline.Result {
	t.Helper()
	parsed, err := fuzzer.ParseSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	answer.Name = name
	return &pipeline.Result{
		Seed: &pipeline.Seed{Seed: parsed}, Answer: answer,
		Variant: fuzzer.Variant{FQDN: name, Algorithm: algorithm},
	}
}

// TestFormats adds the same results to every format, in an order that is not
// the one in which they are printed.
func TestFormats(t *testing.T) {
	results := []*pipeline.Result{
		result(t, "münchen.de", "xn--mnchn-kva6q.de", fuzzer.Omission, resolver.Answer{State: resolver.Registered, A: []string{"192.0.2.9"}}),
		result(t, "acme.com", "acmex.com", fuzzer.Addition, resolver.Answer{State: resolver.Unknown}),
		result(t, "acme.com", "acmes.com", fuzzer.Addition, resolver.Answer{
			State: resolver.Registered, NS: []string{"a.sedoparking.com", "b.example"}, A: []string{"192.0.2.1", "192.0.2.2"},
			AAAA: []string{"2001:db8::1"}, MX: []string{"mx,1.example"}, Wildcard: "example", Disputed: "192.0.2.53:53",
		}),
		result(t, "acme.com", "acm.com", fuzzer.Omission, resolver.Answer{State: resolver.Registered, NullMX: true}),
		result(t, "acme.com", "acmea.com", fuzzer.Addition, resolver.Answer{State: resolver.Absent}),
	}
	tests := []struct {
		format string
		all    bool
		want   string
	}{
		{"list", false, "acmea.com\nacmes.com\nacmex.com\nacm.com\nxn--mnchn-kva6q.de\n"},
		{"csv", false, `fuzzer,domain,dns_a,dns_aaaa,dns_mx,dns_ns,state,tags
addition,acmea.com,,,,,absent,
addition,acmes.com,192.0.2.1,2001:db8::1,"mx,1.example",a.sedoparking.com,registered,disputed;parked;special_address;wildcard
addition,acmex.com,,,,,unknown,
omission,acm.com,,,,,registered,null_mx
omission,xn--mnchn-kva6q.de,192.0.2.9,,,,registered,special_address
`},
		{"csv", true, `fuzzer,domain,dns_a,dns_aaaa,dns_mx,dns_ns,state,tags
addition,acmea.com,,,,,absent,
addition,acmes.com,192.0.2.1;192.0.2.2,2001:db8::1,"mx,1.example",a.sedoparking.com;b.example,registered,disputed;parked;special_address;wildcard
addition,acmex.com,,,,,unknown,
omission,acm.com,,,,,registered,null_mx
omission,xn--mnchn-kva6q.de,192.0.2.9,,,,registered,special_address
`},
		{"table", true, `acme.com
addition  acmea.com   absent
addition  acmes.com   192.0.2.1;192.0.2.2 2001:db8::1 NS:a.sedoparking.com;b.example MX:mx,1.example [disputed parked wildcard]
addition  acmex.com   unknown
omission  acm.com     - [null_mx]

münchen.de
omission  münchėn.de  192.0.2.9
`},
	}
	for _, test := range tests {
		t.Run(test.format, func(t *testing.T) {
			var out bytes.Buffer
			w := newResultWriter(newPromptWriter(&out), test.format, test.all)
			for _, r := range results {
				if err := w.add(r); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.end(); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

// TestFormatsSayThatTheDiskIsFull: no format loses the error of its writer.
func TestFormatsSayThatTheDiskIsFull(t *testing.T) {
	for _, format := range []string{"table", "jsonl", "json", "csv", "list"} {
		w := newResultWriter(newPromptWriter(full{}), format, false)
		err := w.add(result(t, "acme.com", "acmes.com", fuzzer.Addition, resolver.Answer{State: resolver.Registered}))
		if err == nil {
			err = w.end()
		}
		if !errors.Is(err, errFull) {
			t.Errorf("%s: %v, want %v", format, err, errFull)
		}
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestReadable(t *testing.T) {
	// Punycode can hide what a terminal obeys: U+0080, U+009B, U+202E.
	for name, want := range map[string]string{
		"example.com":            "example.com",
		"xn--mnchen-3ya.de":      "münchen.de",
		"xn--a.com":              "xn--a.com",
		"xn--ab-mca.com":         "xn--ab-mca.com",
		"xn--ab-g4t.com":         "xn--ab-g4t.com",
		"xn--e1afmkfd.xn--p1ai":  "пример.рф",
		"xn--0000000000000h.com": "xn--0000000000000h.com",
	} {
		if got := readable(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
