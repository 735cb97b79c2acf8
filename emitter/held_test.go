package emitter

import (
	"context"
	"strings"
	"testing"
)

// Lines of unknown outcome are kept from a replay until the outcome is known,
// and those that Kafka turns out to have are not sent.
func TestHeldLines(t *testing.T) {
	dir := t.TempDir()
	s := newTestSpool(t, dir, nil)
	defer s.Close()
	var sent []string
	emit := func(_ context.Context, msgs ...Message) (Receipt, error) {
		for _, m := range msgs {
			sent = append(sent, m.Key)
		}
		return Receipt{Acked: len(msgs)}, nil
	}
	if err := s.Put(messages(1), false); err != nil {
		t.Fatal(err)
	}
	tricky := Message{Topic: testTopic, Key: `a","unknown":true`, Value: []byte(`{"x":",\"unknown\":true"}`)}
	known, err := s.PutHeld([]Message{tricky, msg("b.example", 2)})
	if err != nil {
		t.Fatal(err)
	}
	lost, err := s.PutHeld([]Message{msg("c.example", 3)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.free(); err != nil {
		t.Fatal(err)
	}
	r := rig{dir: dir}
	path := r.spools(t)[0]
	if _, err := Replay(t.Context(), path, emit, ReplayOptions{}); !isLive(err) {
		t.Errorf("replay of held lines: %v, want it refused", err)
	}
	if err := known.Delivered(); err != nil {
		t.Fatal(err)
	}
	lost.Release()
	if err := s.free(); err != nil {
		t.Fatal(err)
	}
	rep, err := Replay(t.Context(), path, emit, ReplayOptions{})
	if err != nil || rep.Sent != 4 || rep.BadCount != 0 || rep.RenamedTo == "" {
		t.Errorf("replay: %+v, %v", rep, err)
	}
	if got := strings.Join(sent, " "); got != "name0.example c.example" {
		t.Errorf("sent %s", got)
	}
}
