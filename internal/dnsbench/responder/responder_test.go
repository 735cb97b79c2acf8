//go:build linux

package responder_test

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/typostream/typostream/internal/dnsbench/responder"
	"github.com/typostream/typostream/internal/dnsbench/zone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var names = zone.Names(400)

func start(t *testing.T, f responder.Faults) *responder.Server {
	t.Helper()
	s, err := responder.Start(responder.NewTable(names), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// query is in mixed case, with EDNS if the number is even.
func query(t *testing.T, number int, name string, qtype uint16) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.Id, m.RecursionDesired = uint16(number), true
	mixed := []byte(dns.Fqdn(name))
	for i := range mixed {
		if (i+number)%3 == 0 {
			mixed[i] = bytes.ToUpper(mixed[i : i+1])[0]
		}
	}
	m.Question = []dns.Question{{Name: string(mixed), Qtype: qtype, Qclass: dns.ClassINET}}
	if number%2 == 0 {
		m.SetEdns0(1232, false)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func dial(t *testing.T, network string, s *responder.Server) *dns.Conn {
	t.Helper()
	conn, err := net.Dial(network, s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	// So that a lost answer ends the test; nothing is measured.
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &dns.Conn{Conn: conn}
}

// await waits until the server has read n datagrams.
func await(t *testing.T, s *responder.Server, n int) responder.Stats {
	t.Helper()
	for {
		stats := s.Stats()
		if stats.Received+stats.Overflow >= uint64(n) {
			return stats
		}
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func TestAnswersAreTheZones(t *testing.T) {
	for _, tt := range []struct {
		name, network string
		faults        responder.Faults
	}{
		{"UDP", "udp", responder.Faults{}},
		{"UDP without GSO", "udp", responder.Faults{NoGSO: true}},
		{"UDP, later", "udp", responder.Faults{Delay: time.Millisecond}},
		{"TCP", "tcp", responder.Faults{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.faults)
			conn := dial(t, tt.network, s)
			// Several at a time, so that answers go together.
			const together = 20
			types := []uint16{dns.TypeNS, dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT}
			for from := 0; from < len(names)*len(types); from += together {
				sent := map[uint16][]byte{}
				for i := from; i < from+together; i++ {
					q := query(t, i, names[i/len(types)], types[i%len(types)])
					sent[uint16(i)] = q
					if _, err := conn.Write(q); err != nil {
						t.Fatal(err)
					}
				}
				for range together {
					checkAnswer(t, conn, sent)
				}
			}
		})
	}
}

func checkAnswer(t *testing.T, conn *dns.Conn, sent map[uint16][]byte) {
	t.Helper()
	raw := make([]byte, 1500)
	n, err := conn.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	var got, asked dns.Msg
	if err := got.Unpack(raw[:n]); err != nil {
		t.Fatal(err)
	}
	q := sent[got.Id]
	if q == nil {
		t.Fatalf("an answer to %d, which was not asked or is answered already", got.Id)
	}
	delete(sent, got.Id)
	if err := asked.Unpack(q); err != nil {
		t.Fatal(err)
	}
	if end := 12 + len(asked.Question[0].Name) + 1 + 4; !bytes.Equal(raw[12:end], q[12:end]) {
		t.Errorf("the question %q comes back as %q", q[12:end], raw[12:end])
	}
	if (got.IsEdns0() != nil) != (asked.IsEdns0() != nil) {
		t.Errorf("%d: EDNS is %t in the query and %t in the answer", got.Id, asked.IsEdns0() != nil, got.IsEdns0() != nil)
	}
	name := strings.ToLower(strings.TrimSuffix(asked.Question[0].Name, "."))
	truth, registered := zone.Of(name)
	if registered != (got.Rcode == dns.RcodeSuccess) || !registered && got.Rcode != dns.RcodeNameError {
		t.Errorf("%s: registered is %t, answered %s", name, registered, dns.RcodeToString[got.Rcode])
	}
	want := map[uint16][]string{dns.TypeNS: truth.NS, dns.TypeA: truth.A, dns.TypeAAAA: truth.AAAA, dns.TypeMX: truth.MX}[asked.Question[0].Qtype]
	var values []string
	for _, rr := range got.Answer {
		if rr.Header().Rrtype != asked.Question[0].Qtype || !strings.EqualFold(rr.Header().Name, asked.Question[0].Name) {
			t.Errorf("%s: got %v", name, rr)
		}
		values = append(values, valueOf(t, rr))
	}
	slices.Sort(values)
	if !slices.Equal(values, want) {
		t.Errorf("%s %s: got %q, want %q", name, dns.TypeToString[asked.Question[0].Qtype], values, want)
	}
	checkSOA(t, &got, len(want) == 0, registered)
}

func checkSOA(t *testing.T, m *dns.Msg, wanted, registered bool) {
	t.Helper()
	if !wanted {
		if len(m.Ns) > 0 {
			t.Errorf("%s: an SOA beside records", m.Question[0].Name)
		}
		return
	}
	if len(m.Ns) != 1 || m.Ns[0].Header().Rrtype != dns.TypeSOA {
		t.Errorf("%s: got %v, want an SOA", m.Question[0].Name, m.Ns)
		return
	}
	owner := m.Ns[0].Header().Name
	if !dns.IsSubDomain(owner, m.Question[0].Name) || (owner == m.Question[0].Name) != registered {
		t.Errorf("%s: the SOA is of %s", m.Question[0].Name, owner)
	}
}

func valueOf(t *testing.T, rr dns.RR) string {
	t.Helper()
	switch rr := rr.(type) {
	case *dns.NS:
		return strings.TrimSuffix(rr.Ns, ".")
	case *dns.MX:
		return strings.TrimSuffix(rr.Mx, ".")
	case *dns.A:
		return netip.AddrFrom4([4]byte(rr.A.To4())).String()
	case *dns.AAAA:
		return netip.AddrFrom16([16]byte(rr.AAAA)).String()
	}
	t.Fatalf("unexpected %v", rr)
	return ""
}

// What a resolver asks before it begins: the root, a suffix, a name that nobody has.
func TestAroundTheZone(t *testing.T) {
	s := start(t, responder.Faults{})
	conn := dial(t, "udp", s)
	for i, tt := range []struct {
		name    string
		rcode   int
		records int
	}{
		{".", dns.RcodeSuccess, 2},
		{"com.", dns.RcodeSuccess, 2},
		{"uk.", dns.RcodeSuccess, 2},
		{"co.uk.", dns.RcodeSuccess, 2},
		{"nobody-has-this.com.", dns.RcodeNameError, 0},
		{"invalid.", dns.RcodeNameError, 0},
	} {
		if _, err := conn.Write(query(t, i, tt.name, dns.TypeNS)); err != nil {
			t.Fatal(err)
		}
		m, err := conn.ReadMsg()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if m.Rcode != tt.rcode || len(m.Answer) != tt.records {
			t.Errorf("%s: got %v", tt.name, m)
		}
	}
}

func TestGarbageIsNotAnswered(t *testing.T) {
	s := start(t, responder.Faults{})
	conn := dial(t, "udp", s)
	reply := query(t, 1, "a.com", dns.TypeA)
	reply[2] |= 0x80
	garbage := [][]byte{{}, {1, 2, 3}, make([]byte, 12), reply, reply[:20], bytes.Repeat([]byte{0xff}, 600)}
	for _, g := range garbage {
		if _, err := conn.Write(g); err != nil {
			t.Fatal(err)
		}
	}
	if stats := await(t, s, len(garbage)); stats.Malformed != uint64(len(garbage)) || stats.Answered != 0 {
		t.Errorf("got %+v, want %d malformed", stats, len(garbage))
	}
}

func TestCloseTwice(t *testing.T) {
	s := start(t, responder.Faults{Delay: time.Hour})
	dial(t, "tcp", s)
	s.Close()
	s.Close()
}
