package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/typostream/typostream/internal/store"
)

// show runs a board on the server while f notes things, and returns once all is
// written.
func show(t *testing.T, addr string, f func(*store.Board)) {
	t.Helper()
	r := store.NewRedis(store.RedisConfig{Addr: addr})
	defer r.Close()
	b := store.NewBoard(r, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	f(b)
	cancel()
	<-ended
}

// dump is the whole content of the server, a key a line.
func dump(server *miniredis.Miniredis) string {
	var out []string
	for _, key := range server.Keys() {
		switch server.Type(key) {
		case "string":
			value, _ := server.Get(key)
			out = append(out, key+" = "+value)
		case "hash":
			fields, _ := server.HKeys(key)
			for _, field := range fields {
				out = append(out, key+"."+field+" = "+server.HGet(key, field))
			}
		case "zset":
			members, _ := server.SortedSet(key)
			for member, score := range members {
				out = append(out, fmt.Sprintf("%s[%s] = %.0f", key, member, score))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// The keys of a seed that is scanned, is done, brings nothing, fails, and is
// scanned again after the crawler has begun to count.
func TestBoard(t *testing.T) {
	server := miniredis.RunT(t)
	at := time.Unix(1760600000, 0)
	expect := func(want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := dump(server); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	}
	show(t, server.Addr(), func(b *store.Board) { b.Begun("sbi.co.in", "SBI", at) })
	expect("dnstwist:status:sbi.co.in = processing", "dnstwist:queue:active[sbi.co.in] = 1760600000",
		"dnstwist:progress:sbi.co.in.started_at = 1760600000", "dnstwist:progress:sbi.co.in.cse_id = SBI", "dnstwist:progress:sbi.co.in.current_pass = all")
	show(t, server.Addr(), func(b *store.Board) { b.Completed("sbi.co.in", 9, 7, 4000, at.Add(time.Minute)) })
	done := []string{
		"dnstwist:variants:sbi.co.in = 9", "dnstwist:unregistered:sbi.co.in = 4000", "dnstwist:timestamp:sbi.co.in = 1760600060",
		"dnstwist:history[sbi.co.in] = 1760600060", "dnstwist:total_processed = 1", "dnstwist:status:sbi.co.in = completed",
		"fcrawler:seed:sbi.co.in:total = 7", "fcrawler:seed:sbi.co.in:crawled = 0", "fcrawler:seed:sbi.co.in:failed = 0", "fcrawler:seed:sbi.co.in:status = pending",
	}
	expect(done...)
	for _, key := range server.Keys() {
		lives := server.TTL(key)
		if forever := key == "dnstwist:history" || key == "dnstwist:total_processed"; forever != (lives == 0) || !forever && lives != 90*24*time.Hour {
			t.Errorf("%s lives for %v", key, lives)
		}
	}
	server.FlushAll()
	show(t, server.Addr(), func(b *store.Board) {
		b.Begun("none.com", "NONE", at)
		b.Completed("none.com", 0, 0, 5000, at)
	})
	expect("dnstwist:variants:none.com = 0", "dnstwist:unregistered:none.com = 5000", "dnstwist:timestamp:none.com = 1760600000",
		"dnstwist:history[none.com] = 1760600000", "dnstwist:total_processed = 1", "dnstwist:status:none.com = completed",
		"fcrawler:seed:none.com:total = 0", "fcrawler:seed:none.com:crawled = 0", "fcrawler:seed:none.com:failed = 0", "fcrawler:seed:none.com:status = completed")

	server.FlushAll()
	show(t, server.Addr(), func(b *store.Board) { b.Begun("x.com", "X", at); b.Failed("x.com", at) })
	expect("dnstwist:status:x.com = failed")

	server.FlushAll()
	show(t, server.Addr(), func(b *store.Board) { b.Completed("x.com", 5, 5, 0, at) })
	server.Set("fcrawler:seed:x.com:crawled", "5")
	server.Set("fcrawler:seed:x.com:status", "completed")
	show(t, server.Addr(), func(b *store.Board) { b.Completed("x.com", 5, 0, 0, at) })
	if got := dump(server); !strings.Contains(got, "crawled = 5\n") || !strings.Contains(got, "x.com:status = completed\n") || !strings.Contains(got, "x.com:total = 5") {
		t.Errorf("a scan that found nothing new began the crawler's counts anew:\n%s", got)
	}
	show(t, server.Addr(), func(b *store.Board) { b.Completed("x.com", 7, 2, 0, at) })
	if got := dump(server); !strings.Contains(got, "crawled = 5\n") || !strings.Contains(got, "fcrawler:seed:x.com:status = pending") || !strings.Contains(got, "x.com:total = 7") {
		t.Errorf("two new candidates are not added:\n%s", got)
	}
}

// The history keeps the newest thousand.
func TestBoardHistory(t *testing.T) {
	server := miniredis.RunT(t)
	show(t, server.Addr(), func(b *store.Board) {
		for i := range 1005 {
			b.Completed(fmt.Sprintf("s%d.com", i), 0, 0, 0, time.Unix(int64(i), 0))
		}
	})
	members, err := server.SortedSet("dnstwist:history")
	if _, oldest := members["s4.com"]; err != nil || len(members) != 1000 || oldest {
		t.Errorf("%d seeds, s4.com among them: %t (%v)", len(members), oldest, err)
	}
	if got, _ := server.Get("dnstwist:total_processed"); got != "1005" {
		t.Errorf("%s processed", got)
	}
}

// Without Redis nobody waits, and the end of Run does not hang.
func TestBoardWithoutRedis(t *testing.T) {
	server := miniredis.RunT(t)
	addr := server.Addr()
	server.Close()
	show(t, addr, func(b *store.Board) {
		for i := range 20_000 {
			b.Begun(fmt.Sprint(i), "X", time.Unix(0, 0))
		}
	})
}
