//go:build e2e

package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/store/storetest"
)

// again asks until want is what comes of it.
func again(t *testing.T, want string, f func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until it is %s", want)
		case <-tick.C:
		}
	}
}

// A real server that is killed, comes back empty, and hangs: each is an error
// at once or a name that is not known, and never a wrong answer.
func TestRealRedis(t *testing.T) {
	server := storetest.StartRedis(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: 3 * time.Second, Mirror: true})
	defer r.Close()
	remember := func() error {
		return r.Remember(t.Context(), "example.com", []store.Entry{{Name: "a.com", Published: time.Now()}})
	}
	known := func() (bool, error) {
		got, err := r.Known(t.Context(), "example.com", []string{"a.com"})
		return err == nil && !got[0].Published.IsZero(), err
	}
	if err := remember(); err != nil {
		t.Fatal(err)
	}
	if ok, err := known(); !ok {
		t.Fatalf("just remembered: %v", err)
	}

	server.Kill()
	again(t, "an error", func() bool { _, err := known(); return err != nil })
	if _, err := known(); !errors.Is(err, store.ErrPaused) {
		t.Errorf("after a failure: %v, want that the server is left alone", err)
	}
	if !server.Start() {
		t.Fatal("it does not start again")
	}
	again(t, "answered", func() bool { _, err := known(); return err == nil })
	if ok, err := known(); ok || err != nil {
		t.Errorf("restarted empty, and the name is known: %v", err)
	}
	if err := remember(); err != nil {
		t.Error(err)
	}

	server.Signal(syscall.SIGSTOP)
	if ok, err := known(); ok || err == nil {
		t.Error("a server that hangs answered")
	}
	server.Signal(syscall.SIGCONT)
	again(t, "known", func() bool { ok, _ := known(); return ok })
}

// The history in a real server. What a test cannot wait for, the end of a time,
// is brought about by a server that starts empty.
func TestRealRedisHistory(t *testing.T) {
	server := storetest.StartRedis(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
	defer r.Close()
	storetest.RunHistory(t, r, func(time.Duration) {
		server.Kill()
		if !server.Start() {
			t.Fatal("it does not start again")
		}
		again(t, "answered", func() bool { _, err := r.LastChange(t.Context()); return err == nil })
	})
}

func TestRealWatch(t *testing.T) {
	server := storetest.StartRedis(t)
	var workers []*store.RedisWatch
	for range 2 {
		r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
		defer r.Close()
		workers = append(workers, r.Watch())
	}
	storetest.RunWatch(t, workers[0], workers[1])
}

func TestRealList(t *testing.T) {
	server := storetest.StartRedis(t)
	one, two := redisAt(t, server.Addr()), redisAt(t, server.Addr())
	storetest.RunList(t, one.List(store.Allowed, storetest.ListLimit), two.List(store.Allowed, storetest.ListLimit), one.List(store.Denied, storetest.ListLimit))

	// As much as one request may bring is taken, and read, within the patience for it.
	l := one.List(store.Denied, 100_000)
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("%05d.com", i))
	}
	if n, err := l.Add(t.Context(), many, time.Now(), strings.Repeat("n", 256)); n != len(many) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got, _, err := two.List(store.Denied, 100_000).Load(t.Context(), ""); !slices.Equal(got, many) || err != nil {
		t.Errorf("%d domains, %v", len(got), err)
	}

	// A server that is short of memory may give up one key and not the other.
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	if err := client.Del(t.Context(), "typostream:denied").Err(); err != nil {
		t.Fatal(err)
	}
	if got, more, err := l.Page(t.Context(), "", 1); len(got) != 1 || got[0].Domain != many[0] || !more || err != nil {
		t.Errorf("%v, %v, %v", got, more, err)
	}
}
