package emitter

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// Byte offsets in an encoded record set: four bytes of size, then one record
// batch of version 2 (KIP-98).
const (
	atBatch     = 4 // base offset, 8 bytes of 0
	atLength    = atBatch + 8
	atEpochLead = atBatch + 12 // leader epoch, not known to producers
	atMagic     = atBatch + 16
	atCRC       = atBatch + 17 // CRC-32C of everything after it
	atAttr      = atBatch + 21
	atLastDelta = atBatch + 23
	atFirstTime = atBatch + 27
	atLastTime  = atBatch + 35
	atProducer  = atBatch + 43
	atEpoch     = atBatch + 51
	atSequence  = atBatch + 53
	atCount     = atBatch + 57
	headerEnd   = atBatch + 61
)

// recordOverhead is the most that a record adds to its key and value: lengths
// and deltas as varints.
const recordOverhead = 32

// encodeBatch returns the wire bytes of one idempotent batch. kafka-go's
// encoder writes -1 for producer, epoch and sequence whatever it is given, and
// costs a dozen allocations a record; a test compares the rest of the bytes.
func encodeBatch(items []*item, c *compressor, p producer, seq int32, now time.Time) ([]byte, error) {
	size := headerEnd
	for _, it := range items {
		size += len(it.msg.Key) + len(it.msg.Value) + recordOverhead
	}
	if size > math.MaxInt32 {
		return nil, &encodeError{fmt.Errorf("%d bytes are too many for a batch", size)}
	}
	b := c.buffer(size)[:headerEnd]
	for i, it := range items {
		b = appendRecord(b, i, it.msg.Key, it.msg.Value)
	}
	codec := codecNone
	if c.codec != codecNone {
		packed, err := c.compress(c.buffer(size)[:headerEnd], b[headerEnd:])
		if err != nil {
			return nil, &encodeError{err}
		}
		if len(packed) < len(b) {
			b, packed, codec = packed, b, c.codec
		}
		c.release(packed)
	}
	e := binary.BigEndian
	e.PutUint32(b, uint32(len(b)-atBatch))
	e.PutUint64(b[atBatch:], 0)
	e.PutUint32(b[atLength:], uint32(len(b)-atEpochLead))
	e.PutUint32(b[atEpochLead:], math.MaxUint32)
	b[atMagic] = 2
	e.PutUint16(b[atAttr:], uint16(codec))
	e.PutUint32(b[atLastDelta:], uint32(len(items)-1))
	e.PutUint64(b[atFirstTime:], uint64(now.UnixMilli()))
	e.PutUint64(b[atLastTime:], uint64(now.UnixMilli()))
	e.PutUint64(b[atProducer:], uint64(p.id))
	e.PutUint16(b[atEpoch:], uint16(p.epoch))
	e.PutUint32(b[atSequence:], uint32(seq))
	e.PutUint32(b[atCount:], uint32(len(items)))
	e.PutUint32(b[atCRC:], crc32.Checksum(b[atAttr:], castagnoli))
	return b, nil
}

// appendRecord appends a record with the batch's own time. An empty key is
// none.
func appendRecord(dst []byte, delta int, key string, value []byte) []byte {
	keyLen := int64(len(key))
	keySize := int(keyLen) + varintSize(keyLen)
	if keyLen == 0 {
		keyLen, keySize = -1, 1
	}
	// attributes, time delta, offset delta, key, value, number of headers
	size := 1 + 1 + varintSize(int64(delta)) + keySize + varintSize(int64(len(value))) + len(value) + 1
	dst = binary.AppendVarint(dst, int64(size))
	dst = append(dst, 0, 0)
	dst = binary.AppendVarint(dst, int64(delta))
	dst = binary.AppendVarint(dst, keyLen)
	dst = append(dst, key...)
	dst = binary.AppendVarint(dst, int64(len(value)))
	dst = append(dst, value...)
	return append(dst, 0)
}

// varintSize is the length of v in zigzag encoding.
func varintSize(v int64) int {
	n := 1
	for u := uint64(v<<1) ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}

// encodeError says that a batch has no encoding.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return "encoding the batch: " + e.err.Error() }
func (e *encodeError) Unwrap() error { return e.err }

// nextSequence is seq advanced by n records; after 2³¹−1 comes 0.
func nextSequence(seq int32, n int) int32 {
	return int32((int64(seq) + int64(n)) & 0x7fffffff)
}
