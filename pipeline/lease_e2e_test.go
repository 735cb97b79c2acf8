//go:build e2e

package pipeline

import (
	"sync"
	"syscall"
	"testing"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store/storetest"
)

func TestRealLeases(t *testing.T) {
	server := storetest.StartRedis(t)
	names, sink := someNames(2000), &tallies{of: map[string]int{}, fate: emitter.FateAcked}
	a, b := bothOrders(t, server.Addr(), sink, names)
	sink.want(t, names, 1, 1)
	t.Logf("one published %d, the other %d", a.candidates, b.candidates)
}

func TestRealLeasesOfTheDead(t *testing.T) {
	server := storetest.StartRedis(t)
	names, sink := someNames(2000), &tallies{of: map[string]int{}, fate: emitter.FateAcked}
	r := sharedStore(t, server.Addr())
	if _, err := r.Lease(t.Context(), "bank.com", names, "the dead", leaseLife); err != nil {
		t.Fatal(err)
	}
	bothOrders(t, server.Addr(), sink, names)
	sink.want(t, names, 1, 1)
}

// Whatever happens to Redis midway, two workers lose nothing and come to their end.
func TestRealLeasesWithoutRedis(t *testing.T) {
	for name, fault := range map[string]func(*storetest.RedisServer){
		"killed":  (*storetest.RedisServer).Kill,
		"stalled": func(s *storetest.RedisServer) { s.Signal(syscall.SIGSTOP) },
		"restarted empty": func(s *storetest.RedisServer) {
			s.Kill()
			if !s.Start() {
				t.Error("redis-server does not start again")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.StartRedis(t)
			names, sink := someNames(2000), &tallies{of: map[string]int{}, fate: emitter.FateAcked}
			var once sync.Once
			sink.after = func(total int) {
				if total >= 500 {
					once.Do(func() { fault(server) })
				}
			}
			bothOrders(t, server.Addr(), sink, names)
			sink.want(t, names, 1, 2)
		})
	}
}
