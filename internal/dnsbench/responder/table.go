package responder

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/typostream/typostream/internal/dnsbench/zone"
)

// The numbers of the protocol that are needed (RFC 1035, RFC 3596, RFC 6891).
const (
	typeA    = 1
	typeNS   = 2
	typeSOA  = 6
	typeMX   = 15
	typeAAAA = 28

	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeNotImp   = 4

	headerLength = 12
	ttl          = 3600
)

// A rrset is the records of one type as they stand in an answer: owner is a
// pointer to the question.
type rrset struct {
	count uint16
	data  []byte
}

// An entry is a name that exists. A type without records is answered with its SOA.
type entry struct {
	ns, a, aaaa, mx rrset
}

func (e *entry) of(qtype uint16) rrset {
	switch qtype {
	case typeNS:
		return e.ns
	case typeA:
		return e.a
	case typeAAAA:
		return e.aaaa
	case typeMX:
		return e.mx
	}
	return rrset{}
}

// A Table is what a responder knows. It is not changed once it is made.
type Table struct {
	entries map[string]*entry // by the name on the wire, in lower case
}

// NewTable knows those of names, and of the names above them up to the root,
// that exist. Every other name does not.
func NewTable(names []string) *Table {
	t := &Table{entries: map[string]*entry{}}
	seen := map[string]bool{}
	for _, name := range names {
		for ; !seen[name]; name = zone.Suffix(name) {
			seen[name] = true
			if r, ok := zone.Of(name); ok {
				t.entries[string(appendName(nil, name))] = newEntry(r)
			}
		}
	}
	return t
}

func newEntry(r zone.Records) *entry {
	return &entry{
		ns: hostRecords(typeNS, r.NS), mx: hostRecords(typeMX, r.MX),
		a: addressRecords(typeA, r.A), aaaa: addressRecords(typeAAAA, r.AAAA),
	}
}

func hostRecords(rtype uint16, hosts []string) rrset {
	s := rrset{count: uint16(len(hosts))}
	for _, host := range hosts {
		var data []byte
		if rtype == typeMX {
			data = append(data, 0, 10) // preference
		}
		s.data = appendRecord(s.data, headerLength, rtype, appendName(data, host))
	}
	return s
}

func addressRecords(rtype uint16, addresses []string) rrset {
	s := rrset{count: uint16(len(addresses))}
	for _, address := range addresses {
		s.data = appendRecord(s.data, headerLength, rtype, netip.MustParseAddr(address).AsSlice())
	}
	return s
}

// soaData is the same for every zone.
var soaData = func() []byte {
	data := appendName(appendName(nil, "a.nic.example"), "hostmaster.nic.example")
	for _, v := range []uint32{2026010101, 1800, 900, 604800, 900} {
		data = binary.BigEndian.AppendUint32(data, v)
	}
	return data
}()

// appendRecord writes a record whose owner stands at an offset of the message.
func appendRecord(b []byte, owner int, rtype uint16, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0xc000|uint16(owner))
	b = binary.BigEndian.AppendUint16(b, rtype)
	b = append(b, 0, 1)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// appendName writes a name without compression; "" is the root.
func appendName(b []byte, name string) []byte {
	for label := range strings.SplitSeq(name, ".") {
		if label != "" {
			b = append(b, byte(len(label)))
			b = append(b, label...)
		}
	}
	return append(b, 0)
}
