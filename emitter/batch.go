package emitter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
)

// Byte offsets in an encoded record set: four bytes of size, then one record
// batch of version 2 (KIP-98).
const (
	atBatch    = 4
	atCRC      = atBatch + 17 // CRC-32C of everything after it
	atCRCBegin = atBatch + 21
	atProducer = atBatch + 43
	atEpoch    = atBatch + 51
	atSequence = atBatch + 53
	headerEnd  = atBatch + 61
)

// recordOverhead is the most that a record adds to its key and value: lengths
// and deltas as varints.
const recordOverhead = 32

// encodeBatch returns the wire bytes of one idempotent batch. kafka-go writes
// -1 for producer, epoch and sequence whatever it is given, so they are set
// afterwards and the checksum computed again.
func encodeBatch(items []*item, codec compress.Compression, p producer, seq int32, now time.Time) ([]byte, error) {
	recs := make([]kafka.Record, len(items))
	size := headerEnd
	for i, it := range items {
		recs[i] = kafka.Record{Time: now, Value: kafka.NewBytes(it.msg.Value)}
		if it.msg.Key != "" {
			recs[i].Key = kafka.NewBytes([]byte(it.msg.Key))
		}
		size += len(it.msg.Key) + len(it.msg.Value) + recordOverhead
	}
	var buf bytes.Buffer
	if codec == compress.None {
		buf.Grow(size)
	}
	set := protocol.RecordSet{Version: 2, Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(recs...)}
	if _, err := set.WriteTo(&buf); err != nil {
		return nil, &encodeError{err}
	}
	b := buf.Bytes()
	if len(b) < headerEnd {
		return nil, &encodeError{errors.New("kafka-go encoded a batch shorter than its header")}
	}
	binary.BigEndian.PutUint64(b[atProducer:], uint64(p.id))
	binary.BigEndian.PutUint16(b[atEpoch:], uint16(p.epoch))
	binary.BigEndian.PutUint32(b[atSequence:], uint32(seq))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atCRCBegin:], castagnoli))
	return b, nil
}

// encodeError says that a batch has no encoding.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return "encoding the batch: " + e.err.Error() }
func (e *encodeError) Unwrap() error { return e.err }

// nextSequence is seq advanced by n records; after 2³¹−1 comes 0.
func nextSequence(seq int32, n int) int32 {
	return int32((int64(seq) + int64(n)) & 0x7fffffff)
}
