package resolver_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/typostream/typostream/resolver"
)

func TestFloodOfForgeriesIsAnsweredOverTCP(t *testing.T) {
	server := serve(t, "a.in. A 192.0.2.1\n;! a.in. FLOOD 5")
	r := quick(t, resolver.Config{Upstreams: []string{server.Addr()}, Types: []resolver.Type{resolver.TypeA}, Timeout: time.Minute})
	a := resolve(t, r, "a.in")
	if a.State != resolver.Registered || !slices.Equal(a.A, []string{"192.0.2.1"}) {
		t.Errorf("got %+v", a)
	}
	if server.TCP() != 1 {
		t.Errorf("%d queries over TCP, want one", server.TCP())
	}
}

func TestCaseThatIsLostIsCheckedOverTCPAndThenLetBe(t *testing.T) {
	server := serve(t, "manyletters. A 192.0.2.1\n;! * LOWERCASE") // nothing is above it that could have a wildcard
	r := quick(t, resolver.Unhurried(resolver.Config{Upstreams: []string{server.Addr()}, Types: []resolver.Type{resolver.TypeA}, Timeout: time.Minute}))
	for range 10 {
		if a := resolve(t, r, "manyletters"); a.State != resolver.Registered {
			t.Fatalf("got %+v", a)
		}
	}
	if server.TCP() != 3 || server.Total() != 13 {
		t.Errorf("%d queries, %d over TCP; want 13 and 3: then the case is no longer random", server.Total(), server.TCP())
	}
}

func TestCaseThatIsLostWithoutTCP(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0") // and TCP is closed
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for i := 12; i < n && buf[i] != 0; i++ {
				if c := buf[i]; 'A' <= c && c <= 'Z' {
					buf[i] |= 0x20
				}
			}
			buf[2] |= 0x80
			buf[3] |= 3
			_, _ = conn.WriteTo(buf[:n], from) // the end of the test closes conn
		}
	}()
	defer func() { conn.Close(); <-served }()
	r := quick(t, resolver.Config{Upstreams: []string{conn.LocalAddr().String()}, Timeout: 5 * time.Second})
	if a := resolve(t, r, "manyletters.in"); a.State != resolver.Absent {
		t.Errorf("got %+v", a)
	}
}
