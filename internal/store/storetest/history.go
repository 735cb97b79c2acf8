package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// History is a Store that outlives the process.
type History interface {
	Store
	Candidates(ctx context.Context, seed, after string, limit int) (found []store.Entry, more bool, err error)
	Changes(ctx context.Context, after string, limit int) ([]store.Change, error)
	LastChange(ctx context.Context) (string, error)
	Seed(ctx context.Context, seed string) (store.SeedRecord, error)
	Scanned(ctx context.Context, seed string, record store.SeedRecord) error
	Begin(ctx context.Context, seed string, at time.Time) (before time.Time, err error)
	End(ctx context.Context, seed string) error
	Seeds(ctx context.Context, yield func(string, store.SeedRecord)) error
}

// RunHistory tests an empty history that remembers for TTL; pass lets time pass.
func RunHistory(t *testing.T, h History, pass func(time.Duration)) {
	t.Helper()
	// Not as subtests: those cannot run where the time is an artificial one.
	candidates(t, h, pass)
	seedRecords(t, h)
	beginnings(t, h)
	changes(t, h)
}

func candidates(t *testing.T, h History, pass func(time.Duration)) {
	t.Helper()
	now := time.UnixMilli(time.Now().UnixMilli())
	want := store.Entry{
		Name: "examp1e.com", ID: "e1", Published: now.Add(-2 * time.Minute), FirstSeen: now.Add(-3 * time.Minute), LastSeen: now.Add(-time.Minute), Gone: now,
		Change: "gone", ChangedAt: now.Add(-time.Second),
		Records: store.Records{A: []string{"192.0.2.1"}}, Addresses: []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"},
	}
	var names []string
	entries := []store.Entry{want}
	for i := range 2500 { // more than is asked of Redis at a time
		entries = append(entries, store.Entry{Name: fmt.Sprintf("n%d.com", i), Published: now})
	}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	others := []store.Entry{{Name: "before.com", Published: now}}
	for seed, of := range map[string][]store.Entry{"bank.com": entries, "bank.co": others, "bank.com.au": others} {
		if err := h.Remember(t.Context(), seed, of); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int{1000, 7, len(names), len(names) + 1} {
		var got []string
		after := ""
		for {
			page, more, err := h.Candidates(t.Context(), "bank.com", after, size)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got = append(got, e.Name)
				after = e.Name
			}
			if !more {
				break
			}
			if len(page) != size {
				t.Fatalf("%d names of %d, and there are more", len(page), size)
			}
		}
		if !slices.Equal(got, names) {
			t.Errorf("by %d: %d names, want %d", size, len(got), len(names))
		}
	}
	page, more, err := h.Candidates(t.Context(), "bank.com", "", 1)
	if err != nil || !more || len(page) != 1 {
		t.Fatalf("%v, %v, %v", page, more, err)
	}
	got := page[0]
	if !got.Published.Equal(want.Published) || !got.FirstSeen.Equal(want.FirstSeen) || !got.LastSeen.Equal(want.LastSeen) || !got.Gone.Equal(want.Gone) ||
		got.ID != want.ID || !got.Records.Equal(want.Records) || !slices.Equal(got.Addresses, want.Addresses) ||
		got.Change != want.Change || !got.ChangedAt.Equal(want.ChangedAt) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if page, _, err := h.Candidates(t.Context(), "bank.co", "", 1); err != nil || len(page) != 1 || page[0].Change != "" || !page[0].ChangedAt.IsZero() {
		t.Errorf("of a name that has not changed: %+v, %v", page, err)
	}
	if page, more, err := h.Candidates(t.Context(), "other.com", "", 10); len(page) > 0 || more || err != nil {
		t.Errorf("of an unknown seed: %v, %v, %v", page, more, err)
	}
	pass(TTL + time.Minute)
	if page, more, err := h.Candidates(t.Context(), "bank.com", "", 10); len(page) > 0 || more || err != nil {
		t.Errorf("after their time: %v, %v, %v", page, more, err)
	}
}

func seedRecords(t *testing.T, h History) {
	t.Helper()
	if got, err := h.Seed(t.Context(), "bank.com"); err != nil || got != (store.SeedRecord{}) {
		t.Errorf("of a seed that was never scanned: %+v, %v", got, err)
	}
	at := time.Date(2025, 10, 16, 8, 0, 0, 0, time.UTC)
	want := store.SeedRecord{Brand: "BANK", Baseline: at, LastScan: at.Add(time.Hour), Registered: 7}
	for _, seed := range []string{"bank.com", "bank.net"} {
		if err := h.Scanned(t.Context(), seed, want); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := h.Seed(t.Context(), "bank.com"); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	var seeds []string
	err := h.Seeds(t.Context(), func(seed string, r store.SeedRecord) {
		if r != want {
			t.Errorf("%s: %+v", seed, r)
		}
		seeds = append(seeds, seed)
	})
	if slices.Sort(seeds); err != nil || !slices.Equal(seeds, []string{"bank.com", "bank.net"}) {
		t.Errorf("seeds %v, %v", seeds, err)
	}
}

func beginnings(t *testing.T, h History) {
	t.Helper()
	first := time.Date(2025, 10, 16, 8, 0, 0, 1e6, time.UTC)
	begin := func(seed string, at, want time.Time) {
		t.Helper()
		if before, err := h.Begin(t.Context(), seed, at); !before.Equal(want) || err != nil {
			t.Errorf("%s begins at %v, before that at %v, %v; want %v", seed, at, before, err, want)
		}
	}
	begin("bank.com", first, time.Time{})
	begin("bank.com", first.Add(time.Second), first)
	begin("bank.com", first.Add(time.Minute), first)
	begin("bank.net", first.Add(time.Minute), time.Time{})
	for range 2 {
		if err := h.End(t.Context(), "bank.com"); err != nil {
			t.Fatal(err)
		}
	}
	begin("bank.com", first.Add(time.Hour), time.Time{})
	begin("bank.net", first.Add(time.Hour), first.Add(time.Minute))
	if record, err := h.Seed(t.Context(), "began.com"); err != nil || record != (store.SeedRecord{}) {
		t.Errorf("a seed that only began has %+v, %v", record, err)
	}
}

func changes(t *testing.T, h History) {
	t.Helper()
	if id, err := h.LastChange(t.Context()); id != "" || err != nil {
		t.Errorf("an empty journal ends with %q, %v", id, err)
	}
	at := time.Date(2025, 10, 16, 8, 0, 0, 0, time.UTC)
	var lines []store.Change
	for i := range 30 {
		lines = append(lines, store.Change{
			ID: "not heeded", At: at, Seed: "bank.com", Brand: "BANK", Name: fmt.Sprintf("n%d.com", i), Event: "e", Kind: "changed", Changed: []string{"a"},
			Records: store.Records{A: []string{"192.0.2.1"}},
		})
	}
	if err := errors.Join(h.Remember(t.Context(), "bank.com", nil, lines[:10]...), h.Remember(t.Context(), "bank.com", nil, lines[10:]...)); err != nil {
		t.Fatal(err)
	}
	after := ""
	for n := 0; n < len(lines); {
		page, err := h.Changes(t.Context(), after, 7)
		if err != nil || len(page) == 0 {
			t.Fatalf("after %q: %v, %v", after, page, err)
		}
		for _, got := range page {
			if want := lines[n]; got.Name != want.Name || !got.At.Equal(at) || got.Kind != want.Kind || !slices.Equal(got.Changed, want.Changed) || !got.Records.Equal(want.Records) {
				t.Errorf("line %d is %+v", n, got)
			}
			after = got.ID
			n++
		}
	}
	if id, err := h.LastChange(t.Context()); id != after || err != nil {
		t.Errorf("the journal ends with %q, %v, want %q", id, err, after)
	}
	if page, err := h.Changes(t.Context(), after, 7); len(page) > 0 || err != nil {
		t.Errorf("after the last: %v, %v", page, err)
	}
	for _, bad := range []string{"x", "-1", "1 2", "99999999999999999999"} {
		if _, err := h.Changes(t.Context(), bad, 7); !errors.As(err, new(*store.ChangeIDError)) {
			t.Errorf("after %q: %v", bad, err)
		}
	}
}
