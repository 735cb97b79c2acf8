package resolvertest_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/typostream/typostream/resolver/resolvertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const zone = `
$ORIGIN in.
@       SOA ns. h. 1 2 3 4 300
a       A 192.0.2.1
a       A 192.0.2.2
b.ent   A 192.0.2.3
*.w     A 192.0.2.4
real.w  MX 1 mx.in.
www     CNAME a
lost    CNAME none
tree    DNAME ent
;! OUTSIDE REFUSED
;! fail.in. SERVFAIL
;! *.w.in. SERVFAIL AAAA
;! tc.in. TRUNCATE
tc      A 192.0.2.5
;! old.in. FORMERR-EDNS
;! quiet.in. SILENT NS
;! late.in. DROP 1
;! late.in. DELAY 1ms
;! f?il?.in. REFUSED
`

func ask(t *testing.T, network string, s *resolvertest.Server, name, kind string, edns bool) (*dns.Msg, error) {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.StringToType[kind])
	if edns {
		m.SetEdns0(1232, false)
	}
	c := dns.Client{Net: network, Timeout: 50 * time.Millisecond}
	if network == "tcp" {
		c.Timeout = time.Minute
	}
	r, _, err := c.Exchange(m, s.Addr())
	return r, err
}

func TestAnswers(t *testing.T) {
	s, err := resolvertest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, tt := range []struct{ question, want string }{
		{"a.in. A", "NOERROR 192.0.2.1 192.0.2.2"},
		{"A.IN. A", "NOERROR 192.0.2.1 192.0.2.2"},
		{"a.in. MX", "NOERROR"},
		{"in. NS", "NOERROR"},
		{"ent.in. A", "NOERROR"},
		{"none.in. A", "NXDOMAIN"},
		{"x.a.in. A", "NXDOMAIN"},
		{"x.w.in. A", "NOERROR 192.0.2.4"},
		{"x.y.w.in. A", "NOERROR 192.0.2.4"},
		{"x.w.in. MX", "NOERROR"},
		{"x.w.in. AAAA", "SERVFAIL"},
		{"real.w.in. A", "NOERROR"},
		{"x.real.w.in. A", "NXDOMAIN"},
		{"www.in. A", "NOERROR a.in. 192.0.2.1 192.0.2.2"},
		{"www.in. CNAME", "NOERROR a.in."},
		{"lost.in. A", "NXDOMAIN none.in."},
		{"b.tree.in. A", "NOERROR ent.in. b.ent.in. 192.0.2.3"},
		{"x.tree.in. A", "NXDOMAIN ent.in. x.ent.in."},
		{"outside.test. A", "REFUSED"},
		{"fail.in. A", "SERVFAIL"},
		{"fails.in. A", "REFUSED"},
		{"failsx.in. A", "NXDOMAIN"},
		{"tc.in. A", "NOERROR 192.0.2.5"},
		{". NS", "NOERROR"},
	} {
		name, kind, _ := strings.Cut(tt.question, " ")
		r, err := ask(t, "tcp", s, name, kind, true)
		if err != nil {
			t.Errorf("%s: %v", tt.question, err)
			continue
		}
		got := dns.RcodeToString[r.Rcode]
		for _, rr := range r.Answer {
			got += " " + dns.Field(rr, 1)
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.question, got, tt.want)
		}
	}
	if s.TCP() != s.Total() || s.Queries("a.in", "A") != 2 || s.Queries("A.in.", "") != 3 {
		t.Errorf("%d over TCP of %d, %d and %d for a.in", s.TCP(), s.Total(), s.Queries("a.in", "A"), s.Queries("A.in.", ""))
	}
}

func TestFaults(t *testing.T) {
	s, err := resolvertest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := ask(t, "udp", s, "tc.in.", "A", true); err != nil || !r.Truncated || len(r.Answer) > 0 {
		t.Errorf("truncated: %v, %v", r, err)
	}
	for edns, want := range map[bool]int{true: dns.RcodeFormatError, false: dns.RcodeNameError} {
		if r, err := ask(t, "udp", s, "old.in.", "A", edns); err != nil || r.Rcode != want {
			t.Errorf("EDNS %v: %v, %v", edns, r, err)
		}
	}
	var timeout net.Error
	if _, err := ask(t, "udp", s, "quiet.in.", "NS", false); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("silent: %v", err)
	}
	if _, err := ask(t, "tcp", s, "quiet.in.", "A", false); err != nil {
		t.Errorf("silent for NS only: %v", err)
	}
	if _, err := ask(t, "udp", s, "late.in.", "A", false); !errors.As(err, &timeout) {
		t.Errorf("first of two: %v", err)
	}
	if _, err := ask(t, "tcp", s, "late.in.", "A", false); err != nil {
		t.Errorf("second of two: %v", err)
	}
}

func TestBadZones(t *testing.T) {
	for text, want := range map[string]string{
		"a.in. A 192.0.2.300":   "line: 1",
		"\n;! a.in.":            "line 2: a directive needs a name and a word",
		";! a.in SERVFAIL":      `the name "a.in" of a directive needs a trailing dot`,
		";! a.in. EXPLODE":      `there is no directive "EXPLODE"`,
		";! a.in. SILENT WHAT":  `"WHAT" is no record type`,
		";! a.in. DROP":         "DROP needs an argument",
		";! a.in. FLOOD 0":      `not "0"`,
		";! a.in. DROP 0":       `not "0"`,
		";! a.in. DELAY soon":   `not "soon"`,
		";! a.in. ROTATE x":     `ROTATE needs a number from 1 up, not "x"`,
		";! LIE ::1":            "LIE takes one IPv4 address",
		";! OUTSIDE SOMETIMES":  "OUTSIDE takes one response code",
		";! OUTSIDE REFUSED NS": "OUTSIDE takes one response code",
	} {
		s, err := resolvertest.Start(text)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, err := resolvertest.StartFile(t.TempDir() + "/none.zone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
