package emitter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync/atomic"
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
		return nil, err
	}
	b := buf.Bytes()
	if len(b) < headerEnd {
		return nil, errors.New("kafka-go encoded a batch shorter than its header")
	}
	binary.BigEndian.PutUint64(b[atProducer:], uint64(p.id))
	binary.BigEndian.PutUint16(b[atEpoch:], uint16(p.epoch))
	binary.BigEndian.PutUint32(b[atSequence:], uint32(seq))
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atCRCBegin:], castagnoli))
	return b, nil
}

// nextSequence is seq advanced by n records; after 2³¹−1 comes 0.
func nextSequence(seq int32, n int) int32 {
	return int32((int64(seq) + int64(n)) & 0x7fffffff)
}

var errAbandoned = errors.New("the attempt was given up before it was sent")

// parcel hands a batch's bytes to kafka-go and knows whether they were taken.
// If they were not when the attempt ends, they never will be: the outcome of
// that attempt is certain, whatever the error.
type parcel struct {
	b     []byte
	state atomic.Uint32
}

const (
	parcelHere uint32 = iota
	parcelTaken
	parcelKept
)

// WriteTo gives the bytes to kafka-go's encoder.
func (p *parcel) WriteTo(w io.Writer) (int64, error) {
	if !p.state.CompareAndSwap(parcelHere, parcelTaken) {
		return 0, errAbandoned
	}
	n, err := w.Write(p.b)
	return int64(n), err
}

// Read is never called by io.Copy, which prefers WriteTo.
func (p *parcel) Read([]byte) (int, error) { return 0, errAbandoned }

// keep ends the parcel's journey; it reports whether the bytes were taken.
func (p *parcel) keep() (taken bool) {
	return !p.state.CompareAndSwap(parcelHere, parcelKept)
}
