package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/store/storetest"
)

func TestBoltHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		b := openBolt(t, path)
		defer b.Close()
		storetest.RunHistory(t, b, time.Sleep)
	})
}

func TestRedisHistory(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
	defer r.Close()
	storetest.RunHistory(t, r, server.FastForward)
}

// The journal keeps its newest lines, and says where an old reader goes on.
func TestJournalIsBounded(t *testing.T) {
	b := openBolt(t, filepath.Join(t.TempDir(), "state.db"))
	defer b.Close()
	const length, more = 100_000, 5_000
	for n := 0; n < length+more; n += more {
		lines := make([]store.Change, more)
		for i := range lines {
			lines[i] = store.Change{Name: fmt.Sprintf("n%d.com", n+i)}
		}
		if err := b.Remember(t.Context(), "bank.com", nil, lines...); err != nil {
			t.Fatal(err)
		}
	}
	all, err := b.Changes(t.Context(), "", length+more)
	if err != nil || len(all) != length || all[0].Name != fmt.Sprintf("n%d.com", more) {
		t.Fatalf("%d lines, %v", len(all), err)
	}
	if page, err := b.Changes(t.Context(), "17", 1); err != nil || len(page) != 1 || page[0].ID != all[0].ID {
		t.Errorf("after a line that is gone: %v, %v", page, err)
	}
}

// A value of the first builds is read: it knows of no times but one.
func TestRedisOldValue(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
	defer r.Close()
	if err := server.Set("typostream:published:bank.com:bamk.com", `{"p":1760600000000,"i":"e1","r":{"a":["192.0.2.1"]}}`); err != nil {
		t.Fatal(err)
	}
	got, err := r.Known(t.Context(), "bank.com", []string{"bamk.com"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1760600000000)
	if e := got[0]; !e.Published.Equal(at) || !e.FirstSeen.Equal(at) || !e.LastSeen.Equal(at) || !e.Gone.IsZero() || e.Change != "" || !e.ChangedAt.IsZero() || strings.Join(e.Addresses, " ") != "192.0.2.1" {
		t.Errorf("%+v", e)
	}
}

func TestOpenRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if _, err := store.OpenRead(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	b := openBolt(t, path)
	if err := b.Scanned(t.Context(), "bank.com", store.SeedRecord{Registered: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenRead(path); !errors.Is(err, store.ErrInUse) {
		t.Errorf("beside a worker: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := store.OpenRead(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if record, err := f.Published(time.Hour).Seed(t.Context(), "bank.com"); err != nil || record.Registered != 3 {
		t.Errorf("%+v, %v", record, err)
	}
}
