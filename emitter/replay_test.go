package emitter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sink is an emitter that takes all, or stops after so many calls.
type sink struct {
	got   []Message
	calls int
	stop  int
}

func (s *sink) emit(_ context.Context, msgs ...Message) ([]Fate, error) {
	s.calls++
	if s.stop > 0 && s.calls > s.stop {
		s.got = append(s.got, msgs[0])
		return append(all(FateAcked, 1), all(FateUndelivered, len(msgs)-1)...), &UndeliveredError{Count: len(msgs) - 1, Cause: errors.New("down")}
	}
	s.got = append(s.got, msgs...)
	return all(FateAcked, len(msgs)), nil
}

// all are n times the same fate.
func all(f Fate, n int) []Fate {
	return slices.Repeat([]Fate{f}, n)
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var allTopics = ReplayOptions{Topic: testTopic, CrawlTopic: "phish.urls.crawl", InactiveTopic: "phish.urls.inactive"}

func TestReplayBareEvents(t *testing.T) {
	lines := []string{
		`{"src":"dnstwist","canonical_fqdn":"a.example","fqdn":"no"}`,
		`{ "fqdn": "b.example" , "host": "no" }`,
		`{"host":"c.example","url":"https://c.example/"}`,
		`{"schema_version":"v1","url":"https://d.example/","canonical_fqdn":"d.example"}`,
		`{"schema_version":"v1","status":"unregistered","canonical_fqdn":"e.example"}`,
	}
	path := write(t, "dnstwist_variants.jsonl", "\xef\xbb\xbf"+strings.Join(lines[:2], "\r\n")+"\n\n"+strings.Join(lines[2:], "\n"))
	var s sink
	rep, err := Replay(t.Context(), path, s.emit, allTopics)
	if err != nil || rep.Sent != 5 || rep.Lines != 5 || rep.BadCount != 0 || rep.Torn || rep.RenamedTo != "" {
		t.Fatalf("Replay: %+v, %v", rep, err)
	}
	want := []Message{
		{testTopic, "a.example", []byte(lines[0])},
		{testTopic, "b.example", []byte(lines[1])},
		{testTopic, "c.example", []byte(lines[2])},
		{"phish.urls.crawl", "d.example", []byte(lines[3])},
		{"phish.urls.inactive", "", []byte(lines[4])},
	}
	for i, m := range want {
		if g := s.got[i]; g.Topic != m.Topic || g.Key != m.Key || !bytes.Equal(g.Value, m.Value) {
			t.Errorf("message %d: %q, want %q", i, g, m)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a file of bare events was moved: %v", err)
	}
}

// oldLine is of version 1, whose checksum does not cover the topic.
const oldLine = `{"v":1,"topic":"domains.candidates","key":"a.example","unknown":false,"crc32c":1566535510,"value":{"canonical_fqdn":"a.example","n":1}}`

func TestReplayBadLines(t *testing.T) {
	spooled := func(m Message) string {
		return strings.TrimSuffix(string(appendSpoolLine(nil, &m, false)), "\n")
	}
	good := spooled(msg("a.example", 1))
	path := write(t, "spool_1.jsonl", strings.Join([]string{
		good,
		strings.Replace(good, `"n":1`, `"n":2`, 1),
		strings.Replace(good, `"v":2`, `"v":3`, 1),
		`not JSON`,
		`[]`,
		`"x"`,
		`{"canonical_fqdn":1}`,
		`{"src":"ct","type":"heartbeat"}`,
		`{"canonical_fqdn":"c.example","typostream":{"state":"absent"}}`,
		`{"schema_version":"v1","failure_type":"json_parse_error","raw_value":""}`,
		strings.Replace(oldLine, `"topic":"domains.candidates"`, `"topic":"../../etc"`, 1),
		strings.Repeat("x", 3000),
		spooled(msg("b.example", 2)),
		strings.Replace(good, `"topic":"domains.candidates"`, `"topic":"eomains.candidates"`, 1),
		oldLine,
	}, "\n")+"\n")
	opts := allTopics
	opts.MaxLine = 2000
	var s sink
	rep, err := Replay(t.Context(), path, s.emit, opts)
	if err != nil || rep.Sent != 3 || rep.Lines != 15 || rep.BadCount != 12 || rep.Torn || rep.RenamedTo != "" {
		t.Fatalf("Replay: %+v, %v", rep, err)
	}
	want := []string{
		"2: checksum does not match", "3: spool line of version 3", "4: not JSON", "5: not a JSON object", "6: not a JSON object",
		"7: not a JSON object", "8: no canonical_fqdn", "9: the name is absent", "10: a dead letter that holds no event", "11: topic", "12: line too long", "14: checksum does not match",
	}
	for i, w := range want {
		if got := fmt.Sprintf("%d: %s", rep.Bad[i].Line, rep.Bad[i].Reason); !strings.HasPrefix(got, w) {
			t.Errorf("bad line %q, want %q…", got, w)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("a spool with bad lines was moved: %v", err)
	}
}

// A spool cut at any byte of its last line loses that line only, and says so.
func TestReplayTornTail(t *testing.T) {
	var whole []byte
	for n := range 3 {
		m := msg("a.example", n)
		whole = appendSpoolLine(whole, &m, false)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := last; cut <= len(whole); cut++ {
		path := write(t, "spool_1.jsonl", string(whole[:cut]))
		var s sink
		rep, err := Replay(t.Context(), path, s.emit, ReplayOptions{})
		want := 2
		if cut >= len(whole)-1 { // only the line feed is missing
			want = 3
		}
		if err != nil || rep.Sent != want || rep.BadCount != 0 || rep.Torn != (want == 2 && cut > last) || rep.RenamedTo == "" {
			t.Errorf("cut at %d of %d: %+v, %v", cut, len(whole), rep, err)
		}
	}
}

func TestReplayStops(t *testing.T) {
	var spool []byte
	for n := range 20 {
		m := msg("a.example", n)
		spool = appendSpoolLine(spool, &m, false)
	}
	path := write(t, "spool_1.jsonl", string(spool))
	s := sink{stop: 2}
	rep, err := Replay(t.Context(), path, s.emit, ReplayOptions{BatchLines: 6})
	nd, ok := errors.AsType[*NotDeliveredError](err)
	if !ok || nd.Line != 14 || rep.Sent != 13 || rep.RenamedTo != "" {
		t.Errorf("Replay: %+v, %v", rep, err)
	}
	// An emitter that spools again does not deliver either.
	rep, err = Replay(t.Context(), path, func(_ context.Context, msgs ...Message) ([]Fate, error) {
		return all(FateSpooled, len(msgs)), nil
	}, ReplayOptions{})
	if _, ok := errors.AsType[*NotDeliveredError](err); !ok || rep.Sent != 0 || rep.Earlier != 13 {
		t.Errorf("Replay into a spool: %+v, %v", rep, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	// Dead letters are an end too; a name that is taken is not overwritten. Of
	// what was given to Kafka before it is not known whether it is there.
	if err := os.WriteFile(path+".replayed", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err = Replay(t.Context(), path, func(_ context.Context, msgs ...Message) ([]Fate, error) {
		s.got = append(s.got, msgs...)
		return append(all(FateAcked, len(msgs)-1), FateDeadLettered), nil
	}, ReplayOptions{})
	if err != nil || rep.Sent != 6 || rep.DeadLettered != 1 || rep.Earlier != 13 || rep.Doubtful != 6 || rep.RenamedTo != path+".2.replayed" {
		t.Errorf("Replay: %+v, %v", rep, err)
	}
	for n, m := range s.got { // each once, in order
		if want := msg("a.example", n); !bytes.Equal(m.Value, want.Value) {
			t.Errorf("message %d is %s", n, m.Value)
		}
	}
	if _, err := os.Stat(path + doneSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the notes are left: %v", err)
	}
	if _, err := Replay(t.Context(), path, s.emit, ReplayOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Replay of no file: %v", err)
	}
}

func TestReplayEmptyAndGarbage(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "blank": "\n \n", "binary": "\x00\xff\n\x1f\x8b", "no newline": "x"} {
		path := write(t, "f.jsonl", content)
		var s sink
		rep, err := Replay(t.Context(), path, s.emit, allTopics)
		if err != nil || rep.Sent != 0 || rep.RenamedTo != "" || s.calls != 0 {
			t.Errorf("%s: %+v, %v", name, rep, err)
		}
	}
}

func TestReadLine(t *testing.T) {
	in := bufio.NewReaderSize(strings.NewReader("short\n"+strings.Repeat("l", 100)+"\nnext\r\n\n"+strings.Repeat("e", 100)), 16)
	type line struct {
		s     string
		whole bool
		long  bool
	}
	var got []line
	for {
		b, whole, err := readLine(in, 40)
		if err != nil && !errors.Is(err, errLongLine) {
			break
		}
		got = append(got, line{string(b), whole, err != nil})
	}
	want := []line{{"short", true, false}, {"", true, true}, {"next", true, false}, {"", true, false}, {"", false, true}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("lines %v, want %v", got, want)
	}
}

// Whatever a file holds: no panic, and what is taken for a spool line comes
// back from a spool unchanged.
func FuzzReplayLine(f *testing.F) {
	for _, m := range []Message{msg("a.example", 1), {Topic: "t", Key: "\xff", Value: []byte("\n")}, {Topic: "t", Value: []byte("null")}} {
		f.Add(bytes.TrimSuffix(appendSpoolLine(nil, &m, true), []byte("\n")))
	}
	f.Add([]byte(`{"schema_version":"v1","url":"https://d.example/","canonical_fqdn":"d.example"}`))
	f.Add([]byte(`{"v":1,"crc32c":0,"value":null}`))
	f.Add([]byte(oldLine))
	f.Fuzz(func(t *testing.T, line []byte) {
		topics := replayTopics{"t", "c", "i"}
		m, kind, _, err := decodeLine(line, topics)
		if err != nil {
			return
		}
		if kind == bareEvent && !bytes.Equal(m.Value, line) {
			t.Fatalf("a bare line changed: %q → %q", line, m.Value)
		}
		again, _, _, err := decodeLine(bytes.TrimSuffix(appendSpoolLine(nil, &m, false), []byte("\n")), topics)
		if err != nil || again.Topic != m.Topic || again.Key != m.Key || !bytes.Equal(again.Value, m.Value) {
			t.Fatalf("%q → %q, %v", m, again, err)
		}
	})
}
