package responder

import "encoding/binary"

// maxAnswer bounds an answer in bytes. A question takes at most 259; the
// records of a name fill less than 200.
const maxAnswer = 512

// optRecord says that 1232 bytes can be taken (RFC 6891).
var optRecord = [...]byte{0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0}

// appendAnswer writes the answer to a query, whose question it repeats byte for
// byte, whatever the case of its letters. It writes nothing to what is no query
// with one question. With fail the answer is SERVFAIL.
func (t *Table) appendAnswer(b, query []byte, fail bool) []byte {
	end, zoneAt := question(query)
	if end == 0 {
		return b
	}
	start := len(b)
	b = append(b, query[:end]...)
	header := b[start : start+headerLength]
	header[2] = 0x80 | query[2]&0x79 // QR; opcode and RD as asked
	header[3] = 0x80                 // RA
	clear(header[6:])
	switch {
	case query[2]&0x78 != 0:
		header[3] |= rcodeNotImp
	case fail:
		header[3] |= rcodeServFail
	default:
		b = t.appendRecords(b, start, end, zoneAt)
	}
	if binary.BigEndian.Uint16(query[10:]) > 0 {
		b[start+11] = 1
		b = append(b, optRecord[:]...)
	}
	return b
}

// appendRecords writes what is known of the name to a message that begins at
// start and has header and question.
func (t *Table) appendRecords(b []byte, start, end, zoneAt int) []byte {
	var lower [256]byte
	name := lower[:end-headerLength-4]
	for i, c := range b[start+headerLength : start+end-4] {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		name[i] = c
	}
	found := t.entries[string(name)]
	if found != nil {
		if set := found.of(binary.BigEndian.Uint16(b[start+end-4:])); set.count > 0 {
			binary.BigEndian.PutUint16(b[start+6:], set.count)
			return append(b, set.data...)
		}
		zoneAt = headerLength
	} else {
		b[start+3] |= rcodeNXDomain
	}
	b[start+9] = 1
	return appendRecord(b, zoneAt, typeSOA, soaData)
}

// question returns where the question of a query ends, 0 if it has none, and
// where the last label of its name begins.
func question(query []byte) (end, last int) {
	if len(query) < headerLength+5 || query[2]&0x80 != 0 || binary.BigEndian.Uint16(query[4:]) != 1 {
		return 0, 0
	}
	i := headerLength
	last = i
	for query[i] != 0 {
		last = i
		i += int(query[i]) + 1
		if query[last] > 63 || i >= len(query) || i > headerLength+254 {
			return 0, 0
		}
	}
	if i += 5; i > len(query) {
		return 0, 0
	}
	return i, last
}
