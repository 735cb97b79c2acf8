package resolver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Of a DNS message, in bytes.
const (
	headerLen = 12
	optLen    = 11   // an EDNS0 pseudo-record without options
	ednsSize  = 1232 // the UDP payload we can take: no fragments on any usual path (DNS Flag Day 2020)

	maxPacket  = headerLen + maxWireName + 4 + optLen
	maxUnpack  = 512 // answer records looked at; more than 64 KiB can hold in practice
	maxAliases = 16  // length of a CNAME chain that is followed
)

// Bits of the third and fourth byte of a header (RFC 1035 section 4.1.1).
const (
	bitQR      = 0x80
	maskOpcode = 0x78
	bitTC      = 0x02
	bitRD      = 0x01
	bitRA      = 0x80
	maskRCode  = 0x0f
)

// What stands where a response code would.
const (
	rcodeNone     = -1 // no answer came
	rcodeReferral = -2 // NOERROR, but only the names of other servers to ask
)

var errMalformed = errors.New("malformed message")

// packQuery appends a recursive query for name (canonical, with trailing dot)
// to dst[:0] and returns it with the end of its question. The ID is left zero:
// the socket that sends the query chooses it. A name that is none, or longer
// than a name can be, is an error.
func packQuery(dst []byte, name string, t Type, edns bool) (packet []byte, end int, err error) {
	if cap(dst) < maxPacket {
		dst = make([]byte, maxPacket)
	}
	b := dst[:maxPacket]
	clear(b[:headerLen])
	b[2] = bitRD
	b[5] = 1 // QDCOUNT
	if end = packPlain(b[headerLen:], name); end > 0 {
		end += headerLen
	} else if end, err = dns.PackDomainName(name, b[:headerLen+maxWireName], headerLen, nil, false); err != nil {
		return nil, 0, fmt.Errorf("pack %q: %w", name, err)
	}
	binary.BigEndian.PutUint16(b[end:], uint16(t))
	binary.BigEndian.PutUint16(b[end+2:], dns.ClassINET)
	end += 4
	b = b[:end]
	if edns {
		b[11] = 1                                                         // ARCOUNT
		b = append(b, 0, 0, byte(dns.TypeOPT), ednsSize>>8, ednsSize&255, // owner ., type, payload size
			0, 0, 0, 0, 0, 0) // extended RCODE, version, flags, RDLENGTH
	}
	return b, end, nil
}

// packPlain writes a name with trailing dot to b and returns its length in wire
// format; 0 for one with escapes or that is no name, which is left to the codec.
func packPlain(b []byte, name string) int {
	if len(name) < 2 || len(name) > maxName+1 {
		return 0
	}
	start := 0 // of the label; its length goes before it
	for i := range len(name) {
		switch c := name[i]; c {
		case '.':
			if i == start || i-start > 63 {
				return 0
			}
			b[start] = byte(i - start)
			start = i + 1
		case '\\':
			return 0
		default:
			b[i+1] = c
		}
	}
	if start != len(name) {
		return 0
	}
	b[start] = 0
	return start + 1
}

// messageID returns the ID of a message that is at least a header.
func messageID(b []byte) uint16 { return binary.BigEndian.Uint16(b) }

// isReply reports whether b can be an answer at all, from its header alone.
func isReply(b []byte) bool {
	return len(b) >= headerLen && b[2]&bitQR != 0 && b[2]&maskOpcode == 0
}

// answersQuestion reports whether b repeats exactly the question of the sent
// packet, which ends at end. Letters of the name may differ in case (RFC 4343).
// A bare header that says FORMERR or NOTIMP passes too if packet has EDNS: servers
// from before it answer like that, and nothing but a retry without follows from it.
func answersQuestion(b, packet []byte, end int) bool {
	if binary.BigEndian.Uint16(b[4:]) != 1 || len(b) < end {
		rcode := int(b[3] & maskRCode)
		bare := len(b) == headerLen && b[4]|b[5] == 0
		return bare && len(packet) > end && (rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented)
	}
	if string(b[headerLen:end]) == string(packet[headerLen:end]) {
		return true // nearly always
	}
	for i := headerLen; i < end-4; i++ {
		if lower(b[i]) != lower(packet[i]) {
			return false
		}
	}
	return string(b[end-4:end]) == string(packet[end-4:end])
}

// sameQuestion reports whether the name in b, which answersQuestion accepts, has
// its letters in the case that was sent.
func sameQuestion(b, packet []byte, end int) bool {
	return string(b[headerLen:end-4]) == string(packet[headerLen:end-4])
}

// lower folds ASCII letters. The length byte of a label is at most 63 and so
// never taken for a letter.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// reply is what one message says about one question.
type reply struct {
	rcode     int // with the upper bits of EDNS (RFC 6891 section 6.1.3), or rcodeReferral
	truncated bool
	values    []string // records of the asked type; tidy
	chain     []string // targets of the CNAME chain; tidy
	alias     bool     // the asked name itself owns a CNAME or DNAME
	nullMX    bool
	delegated []string // hosts that a referral delegates the asked name itself to; tidy
	ttl       uint32   // seconds for which all of this may be kept: the least of the records', RFC 2308's if there are none
}

// unpackAnswer reads a message whose question, ending at end, was already
// compared with what was asked. The header and the frame of every record are
// always checked; records are decoded only when the answer section has some,
// which spares most of the work for names that do not exist.
func unpackAnswer(msg []byte, end int, name string, t Type) (reply, error) {
	r := reply{rcode: int(msg[3] & maskRCode), truncated: msg[2]&bitTC != 0}
	if len(msg) == headerLen {
		return r, nil // only the bare FORMERR that answersQuestion lets pass
	}
	answers := int(binary.BigEndian.Uint16(msg[6:]))
	authority := int(binary.BigEndian.Uint16(msg[8:]))
	others := authority + int(binary.BigEndian.Uint16(msg[10:]))
	var rrs []dns.RR
	r.ttl = math.MaxInt32 // the largest there is; more counts as 0 (RFC 2181 section 8)
	negative := uint32(0)
	var hasNS, hasSOA bool // in the authority section
	off := end
	for i := range answers + others {
		kind, ttl, next, ok := skipRecord(msg, off)
		if !ok {
			if r.truncated {
				break // cut anywhere; TCP will bring the rest
			}
			return reply{}, errMalformed
		}
		switch {
		case i < answers && i < maxUnpack && wanted(kind, t):
			rr, _, err := dns.UnpackRR(msg, off)
			if err != nil {
				return reply{}, fmt.Errorf("%w: %w", errMalformed, err)
			}
			rrs = append(rrs, rr)
			r.ttl = min(r.ttl, lifetime(ttl))
		case i >= answers && i < answers+authority && kind == dns.TypeNS:
			hasNS = true
		case i >= answers && i < answers+authority && kind == dns.TypeSOA && next-off > 4:
			hasSOA = true
			negative = min(lifetime(ttl), binary.BigEndian.Uint32(msg[next-4:])) // MINIMUM is the last field
		case i >= answers && kind == dns.TypeOPT:
			r.rcode |= int(ttl>>24) << 4
		}
		off = next
	}
	if len(rrs) > 0 {
		r.collect(rrs, name, t)
	}
	if len(r.values) == 0 && !r.nullMX {
		r.ttl = min(r.ttl, negative) // RFC 2308 section 5: none without a SOA
	}
	if r.rcode == dns.RcodeSuccess && answers == 0 && hasNS && !hasSOA && msg[3]&bitRA == 0 {
		// RFC 2308 section 2.2: who does not recurse says whom to ask, not that
		// there is nothing.
		r.rcode, r.delegated = rcodeReferral, delegatedTo(msg, end, authority, name)
	}
	return r, nil
}

// delegatedTo returns the hosts that the n records at off, whose frames were
// checked, delegate exactly name to.
func delegatedTo(msg []byte, off, n int, name string) []string {
	var hosts []string
	for range min(n, maxUnpack) {
		rr, next, err := dns.UnpackRR(msg, off)
		if err != nil {
			break
		}
		if ns, ok := rr.(*dns.NS); ok && ns.Hdr.Class == dns.ClassINET && strings.EqualFold(ns.Hdr.Name, name) {
			if host := hostText(ns.Ns); host != "" {
				hosts = append(hosts, host)
			}
		}
		off = next
	}
	return tidy(hosts)
}

// lifetime returns what a TTL field says, in seconds: 0 if its top bit is set
// (RFC 2181 section 8).
func lifetime(ttl uint32) uint32 {
	if ttl > math.MaxInt32 {
		return 0
	}
	return ttl
}

func wanted(kind uint16, t Type) bool {
	return kind == uint16(t) || kind == dns.TypeCNAME || kind == dns.TypeDNAME
}

// skipRecord finds the end of the record at off without decoding it.
func skipRecord(msg []byte, off int) (kind uint16, ttl uint32, next int, ok bool) {
	for {
		if off >= len(msg) {
			return 0, 0, 0, false
		}
		c := int(msg[off])
		off++
		if c == 0 {
			break
		}
		if c >= 0xc0 { // a pointer ends a name
			off++
			break
		}
		if c > 63 {
			return 0, 0, 0, false
		}
		off += c
	}
	if off+10 > len(msg) {
		return 0, 0, 0, false
	}
	kind = binary.BigEndian.Uint16(msg[off:])
	ttl = binary.BigEndian.Uint32(msg[off+4:])
	next = off + 10 + int(binary.BigEndian.Uint16(msg[off+8:]))
	return kind, ttl, next, next <= len(msg)
}

// collect follows the CNAME chain from name and keeps the records of type t
// that one of its names owns.
func (r *reply) collect(rrs []dns.RR, name string, t Type) {
	owners := []string{name}
	for len(owners) <= maxAliases {
		target := ""
		for _, rr := range rrs {
			h := rr.Header()
			if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, owners[len(owners)-1]) {
				continue
			}
			switch rr := rr.(type) {
			case *dns.CNAME:
				target = strings.ToLower(rr.Target)
				r.alias = r.alias || len(owners) == 1
			case *dns.DNAME:
				r.alias = r.alias || len(owners) == 1
			}
		}
		if target == "" || target == "." {
			break
		}
		r.chain = append(r.chain, hostText(target))
		if contains(owners, target) {
			break // a loop
		}
		owners = append(owners, target)
	}
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype != uint16(t) || h.Class != dns.ClassINET || !slices.ContainsFunc(owners, func(owner string) bool { return strings.EqualFold(owner, h.Name) }) {
			continue
		}
		if text := r.text(rr); text != "" {
			r.values = append(r.values, text)
		}
	}
	r.values, r.chain = tidy(r.values), tidy(r.chain)
	// RFC 7505 section 3: with another MX record beside it, it is none.
	r.nullMX = r.nullMX && len(r.values) == 0
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// text returns what a list of Answer shows of a record, "" for nothing.
func (r *reply) text(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.NS:
		return hostText(rr.Ns)
	case *dns.MX:
		if rr.Mx == "." && rr.Preference == 0 {
			r.nullMX = true
		}
		return hostText(rr.Mx)
	case *dns.SOA:
		return strings.TrimSpace(hostText(rr.Ns) + " " + hostText(rr.Mbox))
	case *dns.A:
		if ip := rr.A.To4(); ip != nil {
			return netip.AddrFrom4([4]byte(ip)).String()
		}
	case *dns.AAAA:
		// Not net.IP.String: it would show ::ffff:192.0.2.1 as an IPv4 address.
		if ip := rr.AAAA.To16(); ip != nil {
			return netip.AddrFrom16([16]byte(ip)).String()
		}
	}
	return ""
}

// hostText turns a name from the codec, which escapes every byte that is not
// printable, into the form of the lists. The root has none.
func hostText(name string) string {
	const longest = 4 * 255 // every byte of a name as \DDD
	if len(name) > longest {
		return ""
	}
	// The codec writes a blank as \ and the blank itself.
	return strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(name, "."), `\ `, `\032`))
}

// rcodeName returns the mnemonic, or "RCODE23" for one that has none.
func rcodeName(rcode int) string {
	switch rcode { // the frequent ones without a look into the table
	case rcodeNone:
		return ""
	case rcodeReferral:
		return ReasonReferral
	case dns.RcodeNameError:
		return "NXDOMAIN"
	case dns.RcodeSuccess:
		return "NOERROR"
	case dns.RcodeBadVers:
		return "BADVERS" // the codec's table has the TSIG meaning of 16
	}
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", rcode)
}
