//go:build e2e

package store_test

import (
	"context"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/store/storetest"
)

// A real server is killed between the beginning and the end of a scan, and comes
// back empty; then it hangs: what happened meanwhile is shown afterwards, and
// nobody waited.
func TestRealBoard(t *testing.T) {
	server := storetest.StartRedis(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.Addr()})
	defer r.Close()
	reader := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	defer reader.Close()
	board := store.NewBoard(r, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); board.Run(ctx) }()
	status := func(seed, want string) {
		t.Helper()
		again(t, want, func() bool { return reader.Get(t.Context(), "dnstwist:status:"+seed).Val() == want })
	}
	at := time.Unix(1760600000, 0)
	board.Begun("sbi.co.in", "SBI", at)
	status("sbi.co.in", "processing")

	server.Kill()
	board.Completed("sbi.co.in", 3, 3, 100, at)
	board.Begun("x.com", "X", at)
	if !server.Start() {
		t.Fatal("it does not start again")
	}
	status("x.com", "processing")
	status("sbi.co.in", "completed")

	server.Signal(syscall.SIGSTOP)
	board.Failed("x.com", at)
	board.Completed("y.com", 0, 0, 100, at)
	server.Signal(syscall.SIGCONT)
	status("x.com", "failed")
	status("y.com", "completed")
	if n, err := reader.Exists(t.Context(), "dnstwist:queue:active", "dnstwist:progress:x.com").Result(); n != 0 || err != nil {
		t.Errorf("%d keys of seeds in work are left (%v)", n, err)
	}
	cancel()
	<-ended
}
