package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/internal/store"
)

// brokenList is a list that can be made to fail, and counts what is read whole.
type brokenList struct {
	*store.List
	err   error
	loads int
}

func (b *brokenList) Load(ctx context.Context, have string) ([]string, string, error) {
	if b.err != nil {
		return nil, "", b.err
	}
	domains, version, err := b.List.Load(ctx, have)
	if version != have {
		b.loads++
	}
	return domains, version, err
}

func listsIn(t *testing.T) (*brokenList, *brokenList) {
	t.Helper()
	f, _, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &brokenList{List: f.List(store.Allowed, 10)}, &brokenList{List: f.List(store.Denied, 10)}
}

func put(t *testing.T, l *brokenList, domains ...string) {
	t.Helper()
	if _, err := l.Add(t.Context(), domains, time.Now(), ""); err != nil {
		t.Fatal(err)
	}
}

// A list that is added to counts from the next time on; one that cannot be read
// stays as it was, which is told once.
func TestLists(t *testing.T) {
	var log bytes.Buffer
	allow, deny := listsIn(t)
	file := fuzzer.NewDomainList([]string{"file.com"})
	l := NewLists(ListsConfig{File: func() *fuzzer.DomainList { return file }, Allow: allow, Deny: deny, Log: slog.New(slog.NewTextHandler(&log, nil))})
	wants := func(allowed, denied string) {
		t.Helper()
		lists := l.Current()
		var a, d []string
		for _, name := range []string{"file.com", "ours.com", "x.ours.com", "bad.com"} {
			if lists.Allows(name) {
				a = append(a, name)
			}
			if lists.Denies(name) {
				d = append(d, name)
			}
		}
		if strings.Join(a, " ") != allowed || strings.Join(d, " ") != denied {
			t.Errorf("allowed %v, denied %v, want %s and %s", a, d, allowed, denied)
		}
	}
	wants("file.com", "")
	put(t, allow, "ours.com")
	put(t, deny, "bad.com", "x.ours.com")
	wants("file.com ours.com", "x.ours.com bad.com")
	file = nil
	wants("ours.com", "x.ours.com bad.com")
	if allow.loads != 2 || deny.loads != 2 {
		t.Errorf("read %d and %d times, want 2 each", allow.loads, deny.loads)
	}

	deny.err = errors.New("the server is gone")
	put(t, allow, "file.com")
	put(t, deny, "file.com")
	wants("file.com ours.com", "x.ours.com bad.com")
	wants("file.com ours.com", "x.ours.com bad.com")
	if n := strings.Count(log.String(), "those before stay in force"); n != 1 || !strings.Contains(log.String(), "allowed=2 denied=2 cause=\"the server is gone\"") {
		t.Errorf("told %d times: %s", n, &log)
	}
	deny.err = nil
	wants("ours.com", "file.com x.ours.com bad.com")
	if !strings.Contains(log.String(), "can be read again") {
		t.Errorf("%s", &log)
	}
	if none := NewLists(ListsConfig{Log: slog.New(slog.DiscardHandler)}).Current(); none.Allowing() || none.Denies("bad.com") {
		t.Error("no list says something")
	}
}

// An allowed name is gone from the next scan, a denied one is tagged in it, though
// a domain above it is allowed. What is known and has not changed is not published
// again for that.
func TestScanWithLists(t *testing.T) {
	allow, deny := listsIn(t)
	sink := &memory{}
	s := newScanner(t, testZone, sink)
	s.Lists = NewLists(ListsConfig{Allow: allow, Deny: deny, Log: slog.New(slog.DiscardHandler)}).Current
	tags := func(seed Seed, want ...string) {
		t.Helper()
		sink.messages = nil
		if _, err := s.Scan(t.Context(), seed); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range sink.messages {
			if m.Topic != testTopics.Candidates || m.Key == seed.FQDN && !seed.Recheck {
				continue
			}
			var event emitter.Event
			if err := json.Unmarshal(m.Value, &event); err != nil {
				t.Fatal(err)
			}
			got = append(got, m.Key+" "+strings.Join(event.Detail.Tags, ","))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	seed := bank(t, FromKafka)
	tags(seed, "bak.com ", "ban.com special_address")
	put(t, allow, "bak.com")
	put(t, deny, "ban.com")
	tags(seed, "ban.com denied,special_address")
	put(t, allow, "ban.com") // both: hostile
	tags(seed, "ban.com denied,special_address")

	recheck, err := ParseSubmission("bak.com", "BANK", true)
	if err != nil {
		t.Fatal(err)
	}
	put(t, deny, "bak.com")
	tags(recheck.Seed, "bak.com denied")
	if _, err := deny.Remove(t.Context(), "ban.com"); err != nil {
		t.Fatal(err)
	}
	tags(seed, "bak.com denied")

	memory, err := store.NewMemory(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	s.Dedup, s.Now = NewDedup(memory, time.Hour, false, s.Metrics, s.Log), nil
	tags(seed, "bak.com denied")
	tags(seed)
}
