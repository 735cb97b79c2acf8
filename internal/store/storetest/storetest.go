// Package storetest is the behaviour that every store has, as a suite.
package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// Store is what is tested.
type Store interface {
	Known(ctx context.Context, seed string, names []string) ([]store.Entry, error)
	Remember(ctx context.Context, seed string, entries []store.Entry, changed ...store.Change) error
}

// TTL is how long the store under test must remember.
const TTL = time.Hour

// Patience is how long a server may take where slowness is not what is tested.
const Patience = time.Minute

// Run tests an empty store that remembers for TTL; pass lets time pass.
func Run(t *testing.T, s Store, pass func(time.Duration)) {
	t.Helper()
	ctx := t.Context()
	known := func(seed string, names ...string) []store.Entry {
		t.Helper()
		entries, err := s.Known(ctx, seed, names)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != len(names) {
			t.Fatalf("%d entries for %d names", len(entries), len(names))
		}
		for i, e := range entries {
			if e.Name != names[i] {
				t.Fatalf("entry %d is of %s, want %s", i, e.Name, names[i])
			}
		}
		return entries
	}
	remember := func(seed string, entries ...store.Entry) {
		t.Helper()
		if err := s.Remember(ctx, seed, entries); err != nil {
			t.Fatal(err)
		}
	}

	if got := known("example.com"); len(got) != 0 {
		t.Errorf("no names gave %v", got)
	}
	if e := known("example.com", "examp1e.com")[0]; !e.Published.IsZero() {
		t.Errorf("an empty store knows %v", e)
	}
	first := store.Entry{Name: "examp1e.com", Published: time.UnixMilli(time.Now().UnixMilli()), Records: store.Records{
		NS: []string{"ns1.example.net", "ns2.example.net"}, A: []string{"192.0.2.1"}, AAAA: []string{"2001:db8::1"}, MX: []string{"mx.example.net"}, CNAME: []string{"host.example.net"},
	}}
	remember("example.com", first)
	remember("example.com")
	entries := known("example.com", "other.com", "examp1e.com", "third.com")
	if got := entries[1]; !got.Published.Equal(first.Published) || !got.Records.Equal(first.Records) {
		t.Errorf("remembered %v, known is %v", first, got)
	}
	if !entries[0].Published.IsZero() || !entries[2].Published.IsZero() {
		t.Errorf("names that were never remembered are known: %v", entries)
	}
	if e := known("example.org", "examp1e.com")[0]; !e.Published.IsZero() {
		t.Error("a name of one seed is known of another")
	}

	pass(TTL / 2)
	second := store.Entry{Name: "examp1e.com", Published: first.Published.Add(TTL / 2)}
	remember("example.com", second, store.Entry{Name: "second.com", Published: second.Published})
	if got := known("example.com", "examp1e.com")[0]; !got.Published.Equal(second.Published) || len(got.Records.NS) != 0 {
		t.Errorf("after it was remembered again known is %v, want %v", got, second)
	}
	pass(TTL * 3 / 4)
	if e := known("example.com", "examp1e.com")[0]; e.Published.IsZero() || !e.FirstSeen.Equal(e.Published) || !e.LastSeen.Equal(e.Published) {
		t.Errorf("before its time is over known is %v", e)
	}
	// Seen since, though not published.
	second.FirstSeen, second.LastSeen = first.Published, second.Published.Add(TTL*3/4)
	remember("example.com", second)
	pass(TTL * 3 / 4)
	if e := known("example.com", "examp1e.com")[0]; !e.Published.Equal(second.Published) || !e.FirstSeen.Equal(second.FirstSeen) || !e.LastSeen.Equal(second.LastSeen) {
		t.Errorf("seen since then, known is %v, want %v", e, second)
	}
	pass(2 * TTL)
	if e := known("example.com", "examp1e.com")[0]; !e.Published.IsZero() {
		t.Errorf("still known after its time: %v", e)
	}
	concurrent(t, s)
}

// concurrent lets several goroutines use the store at once.
func concurrent(t *testing.T, s Store) {
	t.Helper()
	var users sync.WaitGroup
	for u := range 8 {
		users.Go(func() {
			seed := fmt.Sprintf("seed%d.com", u%2)
			for i := range 20 {
				name := fmt.Sprintf("name%d-%d.com", u, i)
				if err := s.Remember(t.Context(), seed, []store.Entry{{Name: name, Published: time.Now()}}); err != nil {
					t.Error(err)
				}
				if got, err := s.Known(t.Context(), seed, []string{name}); err != nil || got[0].Published.IsZero() {
					t.Errorf("%s just remembered: %v, %v", name, got, err)
				}
			}
		})
	}
	users.Wait()
}
