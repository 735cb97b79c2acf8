package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := store.NewMemory(storetest.TTL)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		storetest.Run(t, m, time.Sleep)
	})
}

// boltFile is the memory and the file that it is in.
type boltFile struct {
	*store.Bolt
	file *store.File
}

func (b *boltFile) Close() error { return b.file.Close() }

func openBolt(t *testing.T, path string) *boltFile {
	t.Helper()
	f, setAside, err := store.Open(path)
	if err != nil || setAside != "" {
		t.Fatalf("opening: set aside %q, %v", setAside, err)
	}
	return &boltFile{f.Published(storetest.TTL), f}
}

func TestBolt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "state.db")
	synctest.Test(t, func(t *testing.T) {
		b := openBolt(t, path)
		defer b.Close()
		storetest.Run(t, b, time.Sleep)
	})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

// testFind remembers names of two seeds and looks for some with find.
func testFind(t *testing.T, s storetest.Store, find func(store.Query, func(seed string, e store.Entry)) error) {
	t.Helper()
	at := time.UnixMilli(time.Now().UnixMilli())
	for seed, names := range map[string][]string{"example.com": {"a.com", "b.com", "xa.com"}, "example.org": {"a.com", "a*com"}} {
		var entries []store.Entry
		for _, name := range names {
			entries = append(entries, store.Entry{Name: name, ID: seed + "/" + name, Published: at})
		}
		if err := s.Remember(t.Context(), seed, entries); err != nil {
			t.Fatal(err)
		}
	}
	for q, want := range map[store.Query]string{
		{Name: "a.com"}:           "example.com/a.com example.org/a.com",
		{Name: "b.com"}:           "example.com/b.com",
		{Name: "a*com"}:           "example.org/a*com",
		{Name: ".com"}:            "",
		{ID: "example.org/a.com"}: "example.org/a.com",
		{ID: "example.org/b.com"}: "",
		{}:                        "",
		{Name: "none.example"}:    "",
	} {
		var got []string
		err := find(q, func(seed string, e store.Entry) {
			if !e.Published.Equal(at) || e.ID != seed+"/"+e.Name {
				t.Errorf("%+v of %s", e, seed)
			}
			got = append(got, seed+"/"+e.Name)
		})
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%+v: found %v, %v, want %s", q, got, err, want)
		}
	}
}

// fileStore opens a file for each call, and so leaves it to a search in between.
type fileStore struct {
	t    *testing.T
	path string
}

func (f fileStore) Known(ctx context.Context, seed string, names []string) ([]store.Entry, error) {
	b := openBolt(f.t, f.path)
	defer b.Close()
	return b.Known(ctx, seed, names)
}

func (f fileStore) Remember(ctx context.Context, seed string, entries []store.Entry, changed ...store.Change) error {
	b := openBolt(f.t, f.path)
	defer b.Close()
	return b.Remember(ctx, seed, entries, changed...)
}

func TestFindBolt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	find := func(q store.Query, yield func(string, store.Entry)) error {
		return store.FindBolt(t.Context(), path, q, yield)
	}
	if err := find(store.Query{Name: "a.com"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	testFind(t, fileStore{t, path}, find)
	b := openBolt(t, path)
	defer b.Close()
	if err := find(store.Query{Name: "a.com"}, nil); !errors.Is(err, store.ErrInUse) {
		t.Errorf("beside a writer: %v", err)
	}
}

// A search of more than it looks at without letting go finds each entry once.
func TestFindBoltGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b := openBolt(t, path)
	const names = 120_000
	entries := make([]store.Entry, names)
	for i := range entries {
		entries[i] = store.Entry{Name: fmt.Sprintf("n%d.com", i), ID: "same", Published: time.Now()}
	}
	for some := range slices.Chunk(entries, names/50) { // bbolt is slow with many new keys in one transaction
		if err := b.Remember(t.Context(), "example.com", some); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	err := store.FindBolt(t.Context(), path, store.Query{ID: "same"}, func(_ string, e store.Entry) { found[e.Name] = true })
	if err != nil || len(found) != names {
		t.Errorf("%d of %d found, %v", len(found), names, err)
	}
}

// A damaged file is an error, whatever is wrong with it, and stays as it is.
func TestFindBoltDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b := openBolt(t, path)
	var entries []store.Entry
	for i := range 2000 {
		entries = append(entries, store.Entry{Name: fmt.Sprintf("n%d.com", i), Published: time.Now()})
	}
	if err := errors.Join(b.Remember(t.Context(), "example.com", entries), b.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	for name, text := range map[string][]byte{
		"no store": []byte("no store"), "empty": {}, "cut": whole[:3*page],
		"overwritten": slices.Concat(whole[:2*page], make([]byte, len(whole)-2*page)),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		err := store.FindBolt(t.Context(), path, store.Query{ID: "x"}, nil)
		if err == nil || errors.Is(err, store.ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !slices.Equal(after, text) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
}

func TestBoltSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	b := openBolt(t, path)
	now := time.Now()
	if err := b.Remember(t.Context(), "example.com", []store.Entry{{Name: "a.com", Published: now}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Open(path); !errors.Is(err, store.ErrInUse) {
		t.Errorf("opening it a second time: %v, want that it is in use", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = openBolt(t, path)
	defer b.Close()
	if got, err := b.Known(t.Context(), "example.com", []string{"a.com"}); err != nil || got[0].Published.IsZero() {
		t.Errorf("after a restart: %v, %v", got, err)
	}
}

func TestBoltDamaged(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"no store":  func([]byte) []byte { return []byte("this is no store\n") },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"zeroed":    func(b []byte) []byte { return make([]byte, len(b)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			b := openBolt(t, path)
			var entries []store.Entry
			for i := range 500 {
				entries = append(entries, store.Entry{Name: fmt.Sprintf("n%d.com", i), Published: time.Now()})
			}
			if err := b.Remember(t.Context(), "example.com", entries); err != nil {
				t.Fatal(err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(text), 0o600); err != nil {
				t.Fatal(err)
			}
			f, setAside, err := store.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			b = &boltFile{f.Published(storetest.TTL), f}
			if _, err := os.Stat(setAside); err != nil {
				t.Errorf("the damaged file is not kept: %v", err)
			}
			if err := b.Remember(t.Context(), "example.com", []store.Entry{{Name: "new.com", Published: time.Now()}}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBoltCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Open(filepath.Join(dir, "file", "state.db")); err == nil {
		t.Error("a store was opened below a file")
	}
}

func TestBoltSweep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	synctest.Test(t, func(t *testing.T) {
		b := openBolt(t, path)
		defer b.Close()
		const old = 5000 // more than one step
		var entries []store.Entry
		for i := range old {
			entries = append(entries, store.Entry{Name: fmt.Sprintf("old%d.com", i), Published: time.Now()})
		}
		remember := func(entries ...store.Entry) {
			if err := b.Remember(t.Context(), "example.com", entries); err != nil {
				t.Fatal(err)
			}
		}
		remember(entries...)
		time.Sleep(storetest.TTL)
		remember(store.Entry{Name: "old7.com", Published: time.Now()}, store.Entry{Name: "new.com", Published: time.Now()})
		if n, err := b.Sweep(t.Context()); n != old-1 || err != nil {
			t.Errorf("swept %d, %v, want %d", n, err, old-1)
		}
		if n, err := b.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("swept %d more, %v", n, err)
		}
		got, err := b.Known(t.Context(), "example.com", []string{"old7.com", "new.com"})
		if err != nil || got[0].Published.IsZero() || got[1].Published.IsZero() {
			t.Errorf("after the sweep: %v, %v", got, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Sweep(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("a sweep that was cancelled says %v", err)
		}
	})
}

func TestRedis(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
	defer r.Close()
	storetest.Run(t, r, server.FastForward)
	for _, k := range server.Keys() {
		if server.TTL(k) == 0 {
			t.Errorf("key %s never expires", k)
		}
	}
}

func TestRedisFind(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience, Mirror: true})
	defer r.Close()
	testFind(t, r, func(q store.Query, yield func(string, store.Entry)) error { return r.Find(t.Context(), q, yield) })
}

func TestRedisMirror(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience, Mirror: true})
	defer r.Close()
	then := time.Unix(1760600000, 0)
	for _, published := range []time.Time{then, then.Add(time.Minute)} { // the second does not replace the first
		if err := r.Remember(t.Context(), "example.com", []store.Entry{{Name: "a.com", Published: published}}); err != nil {
			t.Fatal(err)
		}
		if got, err := server.Get("first_seen:a.com"); err != nil || got != "1760600000" {
			t.Errorf("first_seen is %q, %v", got, err)
		}
	}
	if ttl := server.TTL("first_seen:a.com"); ttl != storetest.TTL {
		t.Errorf("first_seen lives for %v", ttl)
	}
}

func TestRedisGoneAndBack(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
	defer r.Close()
	known := func() error {
		_, err := r.Known(t.Context(), "example.com", []string{"a.com"})
		return err
	}
	if err := known(); err != nil {
		t.Fatal(err)
	}
	server.SetError("LOADING dataset")
	if err := known(); err == nil || errors.Is(err, store.ErrPaused) {
		t.Errorf("the first failure is %v", err)
	}
	server.SetError("")
	if err := known(); !errors.Is(err, store.ErrPaused) {
		t.Errorf("just after a failure: %v, want a pause", err)
	}
	if err := r.Remember(t.Context(), "example.com", []store.Entry{{Name: "a.com"}}); !errors.Is(err, store.ErrPaused) {
		t.Errorf("just after a failure: %v, want a pause", err)
	}
}

// That somebody does not wait for the answer says nothing of the server.
func TestRedisOutlivesItsCallers(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: storetest.TTL, Timeout: storetest.Patience})
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Known(ctx, "example.com", []string{"a.com"}); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller has gone: %v", err)
	}
	if _, err := r.Known(t.Context(), "example.com", []string{"a.com"}); err != nil {
		t.Errorf("the next caller: %v", err)
	}
}

func TestRedisNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	r := store.NewRedis(store.RedisConfig{Addr: addr, TTL: time.Hour})
	defer r.Close()
	if _, err := r.Known(t.Context(), "example.com", []string{"a.com"}); err == nil {
		t.Error("a server that is not there answered")
	}
}

func TestRedisPassword(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireAuth("open sesame")
	for password, good := range map[string]bool{"open sesame": true, "wrong": false, "": false} {
		r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: time.Hour, Timeout: storetest.Patience, Password: func() (string, error) { return password, nil }})
		_, err := r.Known(t.Context(), "example.com", []string{"a.com"})
		if (err == nil) != good || err != nil && password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("with password %q: %v", password, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: time.Hour, Password: func() (string, error) { return "", os.ErrNotExist }})
	defer r.Close()
	if _, err := r.Known(t.Context(), "example.com", []string{"a.com"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a password that cannot be read: %v", err)
	}
}

// Whatever is in the store under a name's key, it is no entry unless it can be read.
func TestRedisGarbage(t *testing.T) {
	server := miniredis.RunT(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr(), TTL: time.Hour, Timeout: storetest.Patience})
	defer r.Close()
	if err := server.Set("typostream:published:example.com:a.com", "\xff{"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Known(t.Context(), "example.com", []string{"a.com"}); err != nil || !got[0].Published.IsZero() {
		t.Errorf("garbage gave %v, %v", got, err)
	}
}
