package emitter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func newLetters(t testing.TB, dir string, limit int64) *DeadLetters {
	t.Helper()
	d, err := NewDeadLetters(DeadLettersConfig{Dir: dir, MaxBytes: limit, Now: fixedNow, Log: (&logBuffer{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Letters are taken out while others, of two processes, come in: none of those
// is lost, and none that was taken out comes back.
func TestRemoveBesideWriters(t *testing.T) {
	dir := t.TempDir()
	a, b := newLetters(t, dir, 0), newLetters(t, dir, 0)
	const each = 60
	var wg sync.WaitGroup
	for w, d := range []*DeadLetters{a, b} {
		wg.Go(func() {
			for n := range each {
				l := DeadLetter{FailureType: FailureKafkaSend, Reason: "x", Topic: testTopic, Key: fmt.Sprintf("%d-%d", w, n), Raw: []byte("{}")}
				if err := d.Put(t.Context(), l); err != nil {
					t.Error(err)
				}
			}
		})
	}
	removed := 0
	stop := make(chan struct{})
	var remover sync.WaitGroup
	remover.Go(func() {
		for {
			n, err := RemoveDeadLetters(t.Context(), dir, func(l StoredLetter) bool { return strings.HasSuffix(l.Key, "5") })
			if err != nil {
				t.Error(err)
			}
			removed += n
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	wg.Wait()
	close(stop)
	remover.Wait()
	n, err := RemoveDeadLetters(t.Context(), dir, func(l StoredLetter) bool { return strings.HasSuffix(l.Key, "5") })
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	bad, err := ReadDeadLetters(dir, func(l StoredLetter) bool { left[l.Key] = true; return true })
	if err != nil || bad != 0 || removed+n != 12 || len(left) != 2*each-12 {
		t.Errorf("%d taken out, %d left, %d bad, %v; want 12, %d and none", removed+n, len(left), bad, err, 2*each-12)
	}
	if st, err := os.Stat(filepath.Join(dir, deadLetterFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v", st, err)
	}
}

// The file has a limit: what would go beyond it is refused, and an event stays
// in the spool until there is room.
func TestLettersFull(t *testing.T) {
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Compression = "none" }, kfake.SeedTopics(1, testTopic), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "4000"}))
	r.dead = newLetters(t, r.dir, 9000)
	big := func(n int) Message {
		return Message{Topic: testTopic, Key: fmt.Sprintf("big%d.example", n), Value: []byte(`{"pad":"` + strings.Repeat("x", 5000) + `"}`)}
	}
	if got, err := r.Emit(t.Context(), big(0)); err != nil || got.DeadLettered != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if got, err := r.Emit(t.Context(), big(1)); err != nil || got.Spooled != 1 {
		t.Fatalf("Emit = %+v, %v; want it in the spool", got, err)
	}
	if left := r.Drain(t.Context()); left != 1 {
		t.Errorf("%d left", left)
	}
	err := r.dead.Put(t.Context(), DeadLetter{FailureType: FailureJSONParse, Raw: bytes.Repeat([]byte("x"), 5000)})
	if full, ok := errors.AsType[*FullError](err); !ok || full.Hint() == "" {
		t.Errorf("Put: %v", err)
	}
	if n, err := RemoveDeadLetters(t.Context(), r.dir, func(StoredLetter) bool { return true }); n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	waitFor(t, func() bool { return r.Drain(t.Context()) == 0 })
	if a := r.Accounting(); a.DeadLettered != 2 || a.Acked != 0 {
		t.Errorf("books: %+v", a)
	}
}

// Each letter is copied to its topic; one that is too long goes without the
// original's bytes. Without the topic the letters are in the file all the same,
// and Close does not wait long.
func TestLetterCopies(t *testing.T) {
	const copyTopic = "typostream.dlq"
	r := newRig(t, func(cfg *KafkaConfig) { cfg.DeadLetterTopic = copyTopic }, kfake.SeedTopics(1, testTopic, copyTopic))
	letters := []DeadLetter{
		{FailureType: FailureJSONParse, Reason: "not JSON", Raw: []byte("x"), Topic: "raw.hosts"},
		{FailureType: FailureKafkaSend, Reason: "too large", Raw: bytes.Repeat([]byte("x"), copyBytes), Topic: testTopic, Key: "a.example"},
	}
	for _, l := range letters {
		if err := r.dead.Put(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return r.copies.waiting.Load() == 0 })
	lines := r.lines(t, deadLetterFile)
	for i, rec := range r.read(t, copyTopic) {
		var got deadLetterLine
		if err := json.Unmarshal(rec.Value, &got); err != nil || string(rec.Key) != letters[i].Key || got.Reason != letters[i].Reason {
			t.Errorf("copy %d: %.200s, %v", i, rec.Value, err)
		}
		if whole := string(rec.Value) == lines[i]; whole != (i == 0) || (got.RawBase64 == "") != (i == 1) {
			t.Errorf("copy %d has %d bytes of the letter's %d", i, len(rec.Value), len(lines[i]))
		}
	}
	if r.copies.lost.Load() != 0 {
		t.Errorf("%d copies lost", r.copies.lost.Load())
	}
	if err := r.cluster.DeleteTopic(copyTopic); err != nil {
		t.Fatal(err)
	}
	k := r.connect(t, func(cfg *KafkaConfig) { cfg.DeadLetterTopic = "gone" })
	if err := k.dead.Put(t.Context(), letters[0]); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.lines(t, deadLetterFile)); n != 3 || k.copies.lost.Load() != 1 || len(k.Health().Problems) != 0 {
		t.Errorf("%d letters, %d copies lost, %v", n, k.copies.lost.Load(), k.Health().Problems)
	}
	if a := k.Accounting(); a != (Accounting{}) {
		t.Errorf("copies are in the books: %+v", a)
	}
}
