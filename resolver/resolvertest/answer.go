package resolvertest

import (
	"math/rand/v2"
	"net"
	"time"

	"github.com/miekg/dns"
)

// ServeDNS answers one query; the dns package calls it.
func (s *Server) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	if m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 {
		s.write(w, new(dns.Msg).SetRcode(m, dns.RcodeNotImplemented))
		return
	}
	q := question{dns.CanonicalName(m.Question[0].Name), m.Question[0].Qtype}
	_, overTCP := w.RemoteAddr().(*net.TCPAddr)
	before := s.count(q, overTCP, m.RecursionDesired)
	found := s.zone.lookup(q)
	f := s.zone.faultOf(q, found.owner)
	if f.delay > 0 && !s.wait(f.delay) {
		return
	}
	s.forge(w, m, f, overTCP)
	if f.silent || !overTCP && before < f.drop {
		return
	}
	reply := new(dns.Msg).SetReply(m)
	reply.RecursionAvailable = true
	if f.lowercase && !overTCP {
		reply.Question[0].Name = dns.CanonicalName(reply.Question[0].Name)
	}
	opt := m.IsEdns0()
	size := dns.MinMsgSize
	switch {
	case f.formErrEDNS && opt != nil:
		reply.SetRcode(m, dns.RcodeFormatError)
		s.write(w, reply)
		return
	case opt != nil:
		size = max(size, int(opt.UDPSize()))
		reply.SetEdns0(1232, false)
	}
	switch {
	case f.malformed:
		s.writeMalformed(w, reply)
		return
	case f.rcode != 0:
		reply.Rcode = f.rcode
	case f.truncate && !overTCP:
		reply.Truncated = true
	default:
		s.fill(reply, m, q, found, f)
		reply.Compress = true
		if !overTCP {
			reply.Truncate(size)
		}
	}
	s.write(w, reply)
}

// fill puts what was found into reply, or what the server says instead.
func (s *Server) fill(reply, m *dns.Msg, q question, found found, f fault) {
	reply.Rcode, reply.Answer, reply.Ns = found.rcode, found.answer, found.authority
	reply.Authoritative = !m.RecursionDesired
	switch {
	case f.referral:
		reply.Authoritative, reply.RecursionAvailable = false, false
		reply.Rcode, reply.Answer, reply.Ns = dns.RcodeSuccess, nil, s.zone.delegation(q.name)
	case f.aliasFails && len(found.answer) > 0:
		reply.Rcode, reply.Answer, reply.Ns = dns.RcodeServerFailure, found.answer[:1], nil
	case f.rotate > 0 && len(reply.Answer) > f.rotate:
		shown := make([]dns.RR, f.rotate)
		for i, which := range rand.Perm(len(reply.Answer))[:f.rotate] {
			shown[i] = reply.Answer[which]
		}
		reply.Answer = shown
	case s.zone.lie.IsValid() && found.rcode == dns.RcodeNameError:
		reply.Rcode, reply.Answer, reply.Ns = dns.RcodeSuccess, nil, nil
		if q.kind == dns.TypeA {
			header := dns.RR_Header{Name: q.name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
			reply.Answer = []dns.RR{&dns.A{Hdr: header, A: s.zone.lie.AsSlice()}}
		}
	}
}

// wait pauses an answer; false when the server closes meanwhile.
func (s *Server) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return false
	}
}

// write sends m. The one that asked may be gone, which is its own affair.
func (s *Server) write(w dns.ResponseWriter, m *dns.Msg) { _ = w.WriteMsg(m) }

// forge sends what a stranger might: messages that must not be taken for the
// answer. They all claim that the name has the address 203.0.113.66 (TEST-NET-3).
func (s *Server) forge(w dns.ResponseWriter, m *dns.Msg, f fault, overTCP bool) {
	lie := func(name string) *dns.Msg {
		reply := new(dns.Msg).SetReply(m)
		reply.Question = []dns.Question{{Name: name, Qtype: m.Question[0].Qtype, Qclass: dns.ClassINET}}
		reply.Answer = []dns.RR{
			&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(203, 0, 113, 66)},
			&dns.NS{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "forged.invalid."},
		}
		return reply
	}
	if f.wrongID {
		reply := lie(m.Question[0].Name)
		reply.Id ^= 0x5555
		s.write(w, reply)
	}
	for range f.flood {
		if !overTCP {
			s.write(w, lie("forged.invalid."))
		}
	}
	if f.wrongQuestion {
		s.write(w, lie("forged.invalid."))
	}
	if f.garbage {
		id := []byte{byte(m.Id >> 8), byte(m.Id)}
		_, _ = w.Write([]byte("no"))
		_, _ = w.Write(append(id, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c, 0xff))
	}
}

// writeMalformed answers the question with a record that ends too early.
func (s *Server) writeMalformed(w dns.ResponseWriter, reply *dns.Msg) {
	reply.Extra = nil
	packed, err := reply.Pack()
	if err != nil {
		return
	}
	packed[7] = 1 // ANCOUNT
	_, _ = w.Write(append(packed, 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0))
}
