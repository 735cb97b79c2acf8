package main

import (
	"context"
	"io"
)

// interruptible is standard input that a signal can end: a Read that waits for
// a person or a pipe returns the context's error when that ends. What was read
// by then is lost, and so is the goroutine that waits, which is why it is for
// standard input alone, at the end of the process. Not safe for concurrent use.
type interruptible struct {
	ctx  context.Context
	r    io.Reader
	read chan chunk // what the goroutine has read; nil while none reads
	rest []byte     // read and not yet handed out
	err  error      // after rest
}

type chunk struct {
	data []byte
	err  error
}

// stdinChunk is how much is read at a time, in bytes.
const stdinChunk = 64 << 10

func (i *interruptible) Read(p []byte) (int, error) {
	for len(i.rest) == 0 {
		if i.err != nil {
			return 0, i.err
		}
		if i.read == nil {
			i.read = make(chan chunk, 1) // the goroutine can end when nobody listens any more
			go func(to chan<- chunk) {
				buffer := make([]byte, stdinChunk)
				n, err := i.r.Read(buffer)
				to <- chunk{buffer[:n], err}
			}(i.read)
		}
		select {
		case c := <-i.read:
			i.rest, i.err, i.read = c.data, c.err, nil
		case <-i.ctx.Done():
			return 0, i.ctx.Err()
		}
	}
	n := copy(p, i.rest)
	i.rest = i.rest[n:]
	return n, nil
}
