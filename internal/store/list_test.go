package store_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/store/storetest"
)

func TestList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	f, _ := openQueue(t, path)
	l := f.List(store.Allowed, storetest.ListLimit)
	storetest.RunList(t, l, f.List(store.Allowed, storetest.ListLimit), f.List(store.Denied, storetest.ListLimit))
	before, version, err := l.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Load(t.Context(), ""); err == nil {
		t.Error("a closed file has a list")
	}
	f, _ = openQueue(t, path)
	defer f.Close()
	if after, same, err := f.List(store.Allowed, 1).Load(t.Context(), ""); !slices.Equal(after, before) || same != version || err != nil {
		t.Errorf("after the restart %v, %q, %v, want %v, %q", after, same, err, before, version)
	}
}

func TestRedisList(t *testing.T) {
	server := miniredis.RunT(t)
	one, two := redisAt(t, server.Addr()), redisAt(t, server.Addr())
	storetest.RunList(t, one.List(store.Denied, storetest.ListLimit), two.List(store.Denied, storetest.ListLimit), one.List(store.Allowed, storetest.ListLimit))

	// A server that has lost everything has another version.
	l := one.List(store.Denied, storetest.ListLimit)
	_, version, err := l.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	server.FlushAll()
	if domains, now, err := l.Load(t.Context(), version); len(domains) > 0 || now == version || err != nil {
		t.Errorf("of an empty server %v, %q, %v", domains, now, err)
	}
	server.Close()
	for range 2 {
		if _, _, err := l.Load(t.Context(), version); err == nil {
			t.Error("a server that is gone answered")
		}
	}
}

func redisAt(t *testing.T, addr string) *store.Redis {
	r := store.NewRedis(store.RedisConfig{Addr: addr, TTL: storetest.TTL, Timeout: storetest.Patience})
	t.Cleanup(func() { r.Close() })
	return r
}

// A list of more than is read from Redis at a time is read whole.
func TestRedisListInChunks(t *testing.T) {
	l := redisAt(t, miniredis.RunT(t).Addr()).List(store.Allowed, 100_000)
	var want []string
	for i := range 2001 {
		want = append(want, fmt.Sprintf("%04d.com", i))
	}
	for _, some := range [][]string{want[:2000], want[2000:]} {
		if n, err := l.Add(t.Context(), some, time.Now(), ""); n != len(some) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if got, _, err := l.Load(t.Context(), ""); !slices.Equal(got, want[:len(got)]) || !slices.Equal(got[len(got)-len(some):], some) || err != nil {
			t.Errorf("%d domains, %v", len(got), err)
		}
	}
}
