package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	tests := []struct {
		name string
		p    progress
		want string
	}{
		{
			// 421 of 1000 names in 2.2 s: the other 579 take 3 s more
			"running",
			progress{names: 1000, asked: 421, found: 17, unknown: 3, queries: 2728, elapsed: 2200 * time.Millisecond},
			"permutations: 42.10% of 1000 | found: 17 | unknown: 3 | eta: 0m 03s | speed: 1240 qps",
		},
		{"nothing generated yet", progress{elapsed: time.Second}, "permutations: 0.00% of 0 | found: 0 | unknown: 0 | eta: 0m 00s | speed: 0 qps"},
		{"nothing asked yet", progress{names: 10}, "permutations: 0.00% of 10 | found: 0 | unknown: 0 | eta: 0m 00s | speed: 0 qps"},
		{"done", progress{names: 10, asked: 10, found: 1, queries: 30, elapsed: time.Second}, "permutations: 100.00% of 10 | found: 1 | unknown: 0 | eta: 0m 00s | speed: 30 qps"},
		{"slow", progress{names: 1000, asked: 1, queries: 1, elapsed: 4 * time.Second}, "permutations: 0.10% of 1000 | found: 0 | unknown: 0 | eta: 66m 36s | speed: 0 qps"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.p.line(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestScreen: a status line never stays behind, and never wraps.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := &screen{w: &out}
	s.wipe() // nothing there
	s.status("a long status line", 10)
	s.status("short", 0)
	if _, err := s.Write([]byte("typostream: warning: x\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("typostream: more\n")); err != nil {
		t.Fatal(err)
	}
	s.status("last", 80)
	s.wipe()
	s.wipe()
	want := "\r\x1b[Ka long st\r\x1b[Kshort\r\x1b[Ktypostream: warning: x\ntypostream: more\n\r\x1b[Klast\r\x1b[K"
	if got := out.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestNoStatusWithoutTerminal: a file gets no status line.
func TestNoStatusWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	stop := startStatus(&screen{w: &out}, func() progress { return progress{} })
	stop()
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
}
