package main

import (
	"bytes"
	"os"
	"testing"
)

// The embedded table is that of the x/net in go.mod. If this fails after an
// update: go generate ./fuzzer.
func TestTableIsOfThisVersion(t *testing.T) {
	want, err := table()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../fuzzer/suffixes_icann.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d octets, the list of x/net makes %d: run go generate ./fuzzer", len(got), len(want))
	}
}
