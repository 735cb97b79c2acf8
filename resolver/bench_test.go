package resolver_test

import (
	"fmt"
	"iter"
	"net"
	"slices"
	"testing"

	"github.com/typostream/typostream/resolver"
)

// respond answers on conn as fast as a few lines of Go can: NXDOMAIN, but for
// names that begin with "r" NOERROR with one record for A.
func respond(conn net.PacketConn) {
	buf := make([]byte, 2048)
	address := []byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1}
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		end := 12 + slices.Index(buf[12:n], 0) + 5
		b := buf[:end]
		b[2], b[3], b[11] = 0x84, 0x83, 0
		if b[13]|0x20 == 'r' {
			b[3] = 0x80
			if b[end-3] == 1 {
				b[7] = 1
				b = append(b, address...)
			}
		}
		_, _ = conn.WriteTo(b, from) // the end of the benchmark closes conn
	}
}

// BenchmarkEach resolves 20,000 names, 5 % of them registered, against a
// responder in this process.
func BenchmarkEach(b *testing.B) {
	const n = 20000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%c-microsoftonline-%05d.com", "rabcdefghijklmnopqst"[i%20], i)
	}
	for _, concurrency := range []int{64, 512, 4096} {
		b.Run(fmt.Sprint("concurrency=", concurrency), func(b *testing.B) {
			conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			_ = conn.(*net.UDPConn).SetReadBuffer(4 << 20) // a smaller one only drops more
			done := make(chan struct{})
			go func() { defer close(done); respond(conn) }()
			defer func() { conn.Close(); <-done }()
			r, err := resolver.New(resolver.Config{Upstreams: []string{conn.LocalAddr().String()}, Concurrency: concurrency})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			b.ReportAllocs()
			for b.Loop() {
				registered, unknown := 0, 0
				err := resolver.Each(b.Context(), r, iter.Seq[string](slices.Values(names)), func(s string) string { return s }, func(_ string, a resolver.Answer) error {
					switch {
					case a.State == resolver.Unknown || len(a.Incomplete) > 0:
						unknown++
					case a.State == resolver.Registered:
						registered++
					}
					return nil
				})
				if err != nil || registered != n/20 || unknown > 0 {
					b.Fatalf("%d registered, %d unknown, %v", registered, unknown, err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "names/s")
			b.ReportMetric(float64(r.Stats().Queries)/b.Elapsed().Seconds(), "queries/s")
		})
	}
}
