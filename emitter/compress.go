package emitter

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// codec is a compression, as the attributes of a batch name it.
type codec int16

const (
	codecNone codec = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

var codecNames = []string{codecNone: "none", codecGzip: "gzip", codecSnappy: "snappy", codecLZ4: "lz4", codecZstd: "zstd"}

// compressor compresses batches and lends the buffers for them. It is safe for
// concurrent use.
//
// kafka-go's codecs are not used: its lz4 announces blocks of 4 MiB, which
// readers set aside for each batch, however small, and so does its encoder.
type compressor struct {
	codec   codec
	streams sync.Pool // of a codec that writes a stream
	zstd    *zstd.Encoder
	buffers sync.Pool // of *[]byte
}

// stream is a compressing writer that can be used again.
type stream interface {
	io.WriteCloser
	Reset(io.Writer)
}

// zstdWindow is how far back zstd looks, and what a reader sets aside: as much
// as a batch holds by default.
const zstdWindow = 512 << 10

func newCompressor(name string) (*compressor, error) {
	c := &compressor{codec: -1}
	for i, known := range codecNames {
		if name == known {
			c.codec = codec(i)
		}
	}
	switch c.codec {
	case codecGzip:
		c.streams.New = func() any { return gzip.NewWriter(nil) }
	case codecLZ4:
		// Kafka's readers take independent blocks; a checksum beside the
		// batch's own is not needed.
		if err := lz4.NewWriter(nil).Apply(lz4Options()...); err != nil {
			return nil, err
		}
		c.streams.New = func() any {
			w := lz4.NewWriter(nil)
			_ = w.Apply(lz4Options()...) // they were right above
			return w
		}
	case codecZstd:
		var err error
		c.zstd, err = zstd.NewWriter(nil, zstd.WithWindowSize(zstdWindow), zstd.WithEncoderCRC(false))
		return c, err
	case -1:
		return nil, fmt.Errorf("no compression is named %q", name)
	}
	return c, nil
}

func lz4Options() []lz4.Option {
	return []lz4.Option{lz4.BlockSizeOption(lz4.Block64Kb), lz4.ConcurrencyOption(1), lz4.ChecksumOption(false), lz4.BlockChecksumOption(false)}
}

// compress appends what src is compressed to.
func (c *compressor) compress(dst, src []byte) ([]byte, error) {
	switch c.codec {
	case codecNone:
		return append(dst, src...), nil
	case codecSnappy:
		at, most := len(dst), snappy.MaxEncodedLen(len(src))
		dst = slices.Grow(dst, most)
		return dst[:at+len(snappy.Encode(dst[at:at+most], src))], nil
	case codecZstd:
		return c.zstd.EncodeAll(src, dst), nil
	}
	w := c.streams.Get().(stream)
	defer c.streams.Put(w)
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// buffer lends an empty buffer of at least that capacity.
func (c *compressor) buffer(size int) []byte {
	if b, ok := c.buffers.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, size)
}

// release takes a buffer back. Nobody may read it any more.
func (c *compressor) release(b []byte) { c.buffers.Put(&b) }
