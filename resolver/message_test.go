package resolver

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

const askedName = "asked.in."

// asked returns the packet of the question that all messages here answer.
func asked(t testing.TB, kind Type) (packet []byte, end int) {
	t.Helper()
	packet, end, err := packQuery(nil, askedName, kind, true)
	if err != nil {
		t.Fatal(err)
	}
	return packet, end
}

func TestQueryIsWellFormed(t *testing.T) {
	for _, edns := range []bool{true, false} {
		packet, end, err := packQuery(nil, askedName, TypeAAAA, edns)
		if err != nil {
			t.Fatal(err)
		}
		want := new(dns.Msg).SetQuestion(askedName, dns.TypeAAAA)
		want.Id = 0
		if edns {
			want.SetEdns0(ednsSize, false)
		}
		var got dns.Msg
		if err := got.Unpack(packet); err != nil || got.String() != want.String() {
			t.Errorf("edns %v: got %v\n%v\nwant\n%v", edns, err, &got, want)
		}
		if end != headerLen+len(askedName)+1+4 {
			t.Errorf("the question ends at %d", end)
		}
	}
	longest := strings.TrimSuffix(strings.Repeat("a.", 127), ".") + "."
	if packet, _, err := packQuery(nil, longest, TypeNS, true); err != nil || len(packet) > maxPacket {
		t.Errorf("%d bytes for the longest name, %v", len(packet), err)
	}
}

// message packs an answer to the question, changed by edit.
func message(t testing.TB, kind Type, edit func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(askedName, uint16(kind))
	m.Id, m.Response = 0, true
	edit(m)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func record(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func TestOnlyTheAnswerToTheQuestionMatches(t *testing.T) {
	packet, end := asked(t, TypeA)
	tests := map[string]struct {
		edit func(*dns.Msg)
		want bool
	}{
		"the answer":       {func(*dns.Msg) {}, true},
		"other case":       {func(m *dns.Msg) { m.Question[0].Name = "AsKeD.iN." }, true},
		"a query":          {func(m *dns.Msg) { m.Response = false }, false},
		"other opcode":     {func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, false},
		"other name":       {func(m *dns.Msg) { m.Question[0].Name = "asker.in." }, false},
		"shorter name":     {func(m *dns.Msg) { m.Question[0].Name = "in." }, false},
		"longer name":      {func(m *dns.Msg) { m.Question[0].Name = "www.asked.in." }, false},
		"other type":       {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }, false},
		"type plus 32":     {func(m *dns.Msg) { m.Question[0].Qtype = 33 }, false},
		"other class":      {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, false},
		"two questions":    {func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, false},
		"no question":      {func(m *dns.Msg) { m.Question = nil }, false},
		"bare SERVFAIL":    {func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeServerFailure }, false},
		"bare NXDOMAIN":    {func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeNameError }, false},
		"bare FORMERR":     {func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeFormatError }, true},
		"bare NOTIMP":      {func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeNotImplemented }, true},
		"FORMERR and more": {func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeFormatError; m.SetEdns0(512, false) }, false},
	}
	for name, tt := range tests {
		b := message(t, TypeA, tt.edit)
		if got := isReply(b) && answersQuestion(b, packet, end); got != tt.want {
			t.Errorf("%s: accepted %v, want %v", name, got, tt.want)
		}
	}
	plain, _, err := packQuery(nil, askedName, TypeA, false)
	if err != nil {
		t.Fatal(err)
	}
	if answersQuestion(message(t, TypeA, func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeFormatError }), plain, end) {
		t.Error("bare FORMERR: accepted for a query without EDNS")
	}
	// Only the case of a letter in the name may differ.
	whole := message(t, TypeA, func(*dns.Msg) {})
	for i := range whole[:end] {
		if isReply(whole[:i]) && answersQuestion(whole[:i], packet, end) {
			t.Errorf("accepted after %d bytes", i)
		}
		if i < headerLen {
			continue
		}
		for bit := range 8 {
			b := slices.Clone(whole)
			b[i] ^= 1 << bit
			letter := bit == 5 && lower(whole[i]) >= 'a' && lower(whole[i]) <= 'z' && i < end-4
			if answersQuestion(b, packet, end) != letter {
				t.Errorf("bit %d of byte %d flipped: accepted %v", bit, i, !letter)
			}
		}
	}
}

func TestExtendedCodeIsNotNOERROR(t *testing.T) {
	_, end := asked(t, TypeA)
	b := message(t, TypeA, func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.Rcode = dns.RcodeBadVers // 16: the header says 0
	})
	r, err := unpackAnswer(b, end, askedName, TypeA)
	if err != nil || r.rcode != dns.RcodeBadVers || rcodeName(r.rcode) != "BADVERS" || settled(r.rcode) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRecordsOfOthersDoNotCount(t *testing.T) {
	_, end := asked(t, TypeA)
	b := message(t, TypeA, func(m *dns.Msg) {
		m.Answer = []dns.RR{
			record(t, "other.in. A 192.0.2.66"),
			record(t, "asked.in. CH A 192.0.2.66"),
			record(t, "Asked.IN. A 192.0.2.1"),
			record(t, "asked.in. TXT nothing"),
			record(t, "asked.in. A 192.0.2.1"),
			record(t, "www.other.in. CNAME asked.in."),
		}
		m.Ns = []dns.RR{record(t, "asked.in. A 192.0.2.66")}
		m.Extra = []dns.RR{record(t, "asked.in. A 192.0.2.66")}
	})
	r, err := unpackAnswer(b, end, askedName, TypeA)
	if want := (reply{values: []string{"192.0.2.1"}, ttl: 3600}); err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCutMessages(t *testing.T) {
	_, end := asked(t, TypeMX)
	whole := message(t, TypeMX, func(m *dns.Msg) {
		m.Compress = true
		m.Answer = []dns.RR{record(t, "asked.in. MX 1 mx.asked.in."), record(t, "asked.in. MX 2 mx2.asked.in.")}
	})
	for i := end; i < len(whole); i++ {
		if r, err := unpackAnswer(whole[:i], end, askedName, TypeMX); err == nil {
			t.Errorf("cut at %d of %d: %+v", i, len(whole), r)
		}
		cut := slices.Clone(whole[:i])
		cut[2] |= bitTC
		if r, err := unpackAnswer(cut, end, askedName, TypeMX); err != nil || !r.truncated {
			t.Errorf("cut at %d of %d, and says so: %+v, %v", i, len(whole), r, err)
		}
	}
}

func TestOnlyASingleNullMXCounts(t *testing.T) {
	_, end := asked(t, TypeMX)
	for _, tt := range []struct {
		records []string
		want    bool
	}{
		{[]string{"asked.in. MX 0 ."}, true},
		{[]string{"asked.in. MX 0 .", "asked.in. MX 10 mail.evil.example."}, false},
		{[]string{"asked.in. MX 10 mail.evil.example.", "asked.in. MX 0 ."}, false},
		{[]string{"asked.in. MX 1 ."}, false},
		{[]string{"other.in. MX 0 ."}, false},
		{nil, false},
	} {
		b := message(t, TypeMX, func(m *dns.Msg) {
			for _, text := range tt.records {
				m.Answer = append(m.Answer, record(t, text))
			}
		})
		if r, err := unpackAnswer(b, end, askedName, TypeMX); err != nil || r.nullMX != tt.want {
			t.Errorf("%q: %+v, %v", tt.records, r, err)
		}
	}
}

// A random answer section gives exactly what a plain reading of the rule says.
func TestRecordsFollowTheChain(t *testing.T) {
	names := []string{askedName, "b.in.", "c.in.", "d.in.", "e.in."}
	_, end := asked(t, TypeA)
	rapid.Check(t, func(t *rapid.T) {
		var rrs []dns.RR
		alias := map[string]string{}
		addrs := map[string][]string{}
		for i := range rapid.IntRange(0, 100).Draw(t, "records") {
			owner := rapid.SampledFrom(names).Draw(t, "owner")
			target := rapid.SampledFrom(names).Draw(t, "target")
			shown := owner
			if rapid.Bool().Draw(t, "upper") {
				shown = strings.ToUpper(owner)
			}
			h := dns.RR_Header{Name: shown, Class: dns.ClassINET, Ttl: 1, Rrtype: dns.TypeA}
			if _, has := alias[owner]; !has && rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				h.Rrtype = dns.TypeCNAME
				alias[owner] = target
				rrs = append(rrs, &dns.CNAME{Hdr: h, Target: strings.ToUpper(target)})
				continue
			}
			ip := net.IPv4(192, 0, 2, byte(rapid.IntRange(0, i).Draw(t, "address")))
			addrs[owner] = append(addrs[owner], ip.String())
			rrs = append(rrs, &dns.A{Hdr: h, A: ip})
		}
		m := new(dns.Msg).SetQuestion(askedName, dns.TypeA)
		m.Response, m.Compress = true, rapid.Bool().Draw(t, "compress")
		m.Answer = rapid.Permutation(rrs).Draw(t, "order")
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got, err := unpackAnswer(b, end, askedName, TypeA)
		if err != nil {
			t.Fatal(err)
		}

		reached := map[string]bool{}
		want := reply{alias: alias[askedName] != ""}
		for name := askedName; name != "" && !reached[name]; name = alias[name] {
			reached[name] = true
			want.values = append(want.values, addrs[name]...)
			if target := alias[name]; target != "" {
				want.chain = append(want.chain, strings.TrimSuffix(target, "."))
			}
		}
		if len(want.values) > 0 {
			want.ttl = 1
		}
		want.values, want.chain = tidy(want.values), tidy(want.chain)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestTimeToLive(t *testing.T) {
	_, end := asked(t, TypeA)
	for _, tt := range []struct {
		name   string
		answer []string
		ns     []string
		want   uint32
	}{
		{"the least of the records", []string{"asked.in. 300 CNAME b.in.", "b.in. 60 A 192.0.2.1", "b.in. 90 A 192.0.2.2"}, nil, 60},
		{"NODATA: the SOA's own", nil, []string{"in. 100 SOA ns. h. 1 2 3 4 900"}, 100},
		{"NODATA: its MINIMUM", nil, []string{"in. 3600 SOA ns. h. 1 2 3 4 900"}, 900},
		{"NODATA without a SOA", nil, []string{"in. 3600 NS ns."}, 0},
		{"an alias of nothing", []string{"asked.in. 30 CNAME b.in."}, []string{"in. 3600 SOA ns. h. 1 2 3 4 900"}, 30},
		{"the most there is", []string{"asked.in. 2147483647 A 192.0.2.1"}, nil, 1<<31 - 1},
		{"more than there is", []string{"asked.in. 2147483648 A 192.0.2.1"}, nil, 0},
		{"NODATA: more than there is", nil, []string{"in. 4294967295 SOA ns. h. 1 2 3 4 900"}, 0},
	} {
		b := message(t, TypeA, func(m *dns.Msg) {
			for _, text := range tt.answer {
				m.Answer = append(m.Answer, record(t, text))
			}
			for _, text := range tt.ns {
				m.Ns = append(m.Ns, record(t, text))
			}
		})
		if r, err := unpackAnswer(b, end, askedName, TypeA); err != nil || r.ttl != tt.want {
			t.Errorf("%s: %d s, want %d (%v)", tt.name, r.ttl, tt.want, err)
		}
	}
}

func FuzzResponse(f *testing.F) {
	packet, end := asked(f, TypeMX)
	seed := func(edit func(*dns.Msg)) { f.Add(message(f, TypeMX, edit)) }
	seed(func(*dns.Msg) {})
	seed(func(m *dns.Msg) { m.Rcode = dns.RcodeNameError; m.Ns = []dns.RR{record(f, "in. SOA ns. h. 1 2 3 4 5")} })
	seed(func(m *dns.Msg) {
		m.Ns = []dns.RR{record(f, "in. NS ns.in."), record(f, "asked.in. NS ns.gone.example.")}
	})
	seed(func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeFormatError })
	seed(func(m *dns.Msg) { m.SetEdns0(1232, true); m.Rcode = dns.RcodeBadVers })
	seed(func(m *dns.Msg) {
		m.Compress = true
		m.Answer = []dns.RR{
			record(f, "ASKED.in. CNAME b.in."), record(f, "b.in. CNAME asked.in."), record(f, "in. DNAME test."),
			record(f, "b.in. MX 0 ."), record(f, `b.in. MX 1 \000\255\"\ \.mx.in.`),
		}
	})
	f.Add(append(slices.Clone(packet[:end]), 0xc0, 0x0c, 0, 15, 0, 1, 0, 0, 0, 1, 0, 4, 0, 1, 0xc0, 0x0c))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isReply(b) || !answersQuestion(b, packet, end) {
			return
		}
		r, err := unpackAnswer(b, end, askedName, TypeMX)
		// No wrong acceptance: what passed repeats our question, by the codec's
		// reading too, and cannot settle it otherwise.
		var m dns.Msg
		whole := m.Unpack(b) == nil
		if len(b) == headerLen {
			if err == nil && settled(r.rcode) {
				t.Errorf("a bare header settles the question: %+v", r)
			}
		} else if q, _, bad := dns.UnpackDomainName(b, headerLen); bad != nil || !strings.EqualFold(q, askedName) || b[end-3] != byte(dns.TypeMX) {
			t.Errorf("accepted the answer to %q, %v", q, bad)
		}
		if err != nil {
			return
		}
		if r.rcode == rcodeReferral && (whole && len(m.Answer) > 0 || b[3]&(bitRA|maskRCode) != 0) {
			t.Errorf("not a referral: %v", &m)
		} else if whole && m.IsEdns0() == nil && r.rcode != m.Rcode && r.rcode != rcodeReferral {
			t.Errorf("code %d, the codec says %d", r.rcode, m.Rcode)
		}
		for _, list := range [][]string{r.values, r.chain} {
			if len(list) > maxRecords || !slices.IsSorted(list) {
				t.Errorf("the list is not tidy: %q", list)
			}
			for i, s := range list {
				plain := func(c rune) bool { return c > ' ' && c <= '~' && (c < 'A' || c > 'Z') }
				if s == "" || len(s) > 4*255 || strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) >= 0 {
					t.Errorf("not a text for people: %q", s)
				}
				if i > 0 && s == list[i-1] {
					t.Errorf("%q is there twice", s)
				}
			}
		}
	})
}

func TestPlainNamesArePackedAsTheCodecDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`([a-c\-_\\.0-9]{0,70}\.){0,5}`).Draw(t, "name")
		var got, want [300]byte
		n := packPlain(got[:], name)
		end, err := dns.PackDomainName(name, want[:], 0, nil, false)
		if n > 0 && (err != nil || n != end || got != want) {
			t.Errorf("%q: %d bytes, the codec has %d, %v", name, n, end, err)
		}
		if n == 0 && err == nil && name != "." && name != "" && !strings.Contains(name, `\`) {
			t.Errorf("%q is left to the codec", name)
		}
	})
}

// Whatever the name is, what is sent is a question about it that fits.
func FuzzQuery(f *testing.F) {
	for _, name := range []string{".", "a..b.", askedName, `a\.b.in.`, strings.Repeat("a.", 127), strings.Repeat("a.", 128), strings.Repeat(`\097.`, 127), strings.Repeat(strings.Repeat("y", 63)+".", 4)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !strings.HasSuffix(name, ".") {
			return // not what packQuery takes
		}
		packet, end, err := packQuery(nil, name, TypeNS, true)
		if err != nil {
			return
		}
		if len(packet) > maxPacket || end-headerLen-4 > maxWireName || end+optLen != len(packet) {
			t.Fatalf("%q: %d bytes, the question ends at %d", name, len(packet), end)
		}
		var m dns.Msg
		if err := m.Unpack(packet); err != nil || len(m.Question) != 1 {
			t.Errorf("%q: %v, %v", name, &m, err)
		}
	})
}

func TestNamesThatAreTooLongAreNotPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := ""
		for limit := rapid.IntRange(200, 300).Draw(t, "length"); len(name) < limit; {
			name += strings.Repeat("y", rapid.IntRange(1, 63).Draw(t, "label")) + "."
		}
		packet, _, err := packQuery(nil, name, TypeNS, true)
		if fits := len(name) <= maxName+1; (err == nil) != fits || len(packet) > maxPacket {
			t.Errorf("%d characters: %d bytes, %v", len(name), len(packet), err)
		}
	})
}
