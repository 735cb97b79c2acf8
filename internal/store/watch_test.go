package store_test

import (
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/store/storetest"
)

func TestWatch(t *testing.T) {
	f, _ := openQueue(t, filepath.Join(t.TempDir(), "state.db"))
	storetest.RunWatch(t, f.Watch(), f.Watch())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Watch().Count(t.Context()); err == nil {
		t.Error("a closed file counts")
	}
}

func TestRedisWatch(t *testing.T) {
	server := miniredis.RunT(t)
	var workers []*store.RedisWatch
	for range 2 {
		r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
		defer r.Close()
		workers = append(workers, r.Watch())
	}
	storetest.RunWatch(t, workers[0], workers[1])
}

// Rows are remembered by reading, and forgotten in steps.
func TestRows(t *testing.T) {
	f, _ := openQueue(t, filepath.Join(t.TempDir(), "state.db"))
	r := f.Rows()
	mark := func(keys ...store.SeedKey) uint64 {
		t.Helper()
		reading, err := r.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Mark(reading, keys...); err != nil {
			t.Fatal(err)
		}
		return reading
	}
	var all []store.SeedKey
	for i := range 5000 {
		all = append(all, store.KeyOf("x.com", string(rune(i))))
	}
	mark(all...)
	last := mark(all[:10]...)
	gone := map[store.SeedKey]bool{}
	steps := 0
	err := r.Gone(last, func(keys []store.SeedKey) error {
		steps++
		for _, k := range keys {
			gone[k] = true
		}
		return nil
	})
	if err != nil || len(gone) != 4990 || steps < 2 || gone[all[0]] {
		t.Errorf("%d gone in %d steps, %v", len(gone), steps, err)
	}
	if known, err := r.Known(all[9], all[10]); err != nil || !known[0] || known[1] {
		t.Errorf("%v, %v", known, err)
	}
}
