package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestInterruptibleIsAReader(t *testing.T) {
	text := strings.Repeat("example.com\n", 20_000) // several chunks
	if err := iotest.TestReader(&interruptible{ctx: t.Context(), r: strings.NewReader(text)}, []byte(text)); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	got, err := io.ReadAll(&interruptible{ctx: t.Context(), r: io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken))})
	if string(got) != "a" || !errors.Is(err, broken) {
		t.Errorf("read %q, %v", got, err)
	}
}

// A read that waits ends with the context.
func TestInterruptibleEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	go w.Write([]byte("example.com\n"))
	in := &interruptible{ctx: ctx, r: r}
	got := make([]byte, len("example.com\n"))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "example.com\n" {
		t.Fatalf("read %q, %v", got, err)
	}
	cancel()
	if n, err := in.Read(got); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
