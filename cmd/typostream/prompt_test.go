package main

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesArePassedOnSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := newPromptWriter(&out)
		for round := range 3 {
			w.mu.Lock()
			out.Reset()
			w.mu.Unlock()
			for range 2 {
				if _, err := w.Write([]byte("line\n")); err != nil {
					t.Fatal(err)
				}
			}
			w.mu.Lock()
			if out.Len() > 0 {
				t.Errorf("round %d: %q at once", round, &out)
			}
			w.mu.Unlock()
			time.Sleep(promptDelay)
			synctest.Wait()
			if got := out.String(); got != "line\nline\n" {
				t.Errorf("round %d: %q after a while", round, got)
			}
		}
		if _, err := w.Write([]byte("last\n")); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil || !bytes.HasSuffix(out.Bytes(), []byte("last\n")) {
			t.Errorf("%q, %v", &out, err)
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestALateErrorIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPromptWriter(fullDisk{})
		if _, err := w.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(promptDelay)
		synctest.Wait()
		if _, err := w.Write([]byte("line\n")); err == nil {
			t.Error("the next line was taken")
		}
		if err := w.Flush(); err == nil {
			t.Error("Flush succeeds")
		}
	})
}
