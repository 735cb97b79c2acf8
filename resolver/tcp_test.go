package resolver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// streamServer serves framed DNS on 127.0.0.1: handle gets each connection
// with its number, from 1.
func streamServer(t *testing.T, handle func(conn net.Conn, number int)) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var conns sync.Map
	serving.Go(func() {
		for number := 1; ; number++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(conn, true)
			serving.Go(func() { defer conn.Close(); handle(conn, number) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		serving.Wait()
	})
	return l.Addr().String()
}

// readQuery returns the next query, nil at the end.
func readQuery(in *bufio.Reader) []byte {
	message, err := readFrame(in)
	if err != nil {
		return nil
	}
	return message
}

// answerEmpty sends an empty NOERROR answer to a query.
func answerEmpty(w io.Writer, query []byte) {
	b := append([]byte(nil), query...)
	b[2] |= bitQR
	_, _ = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
}

func carrierTo(t *testing.T, addr string) (*Resolver, *streams) {
	t.Helper()
	r, _ := newLogged(t, Config{Upstreams: []string{addr}})
	c := newStreams(r.all[0], time.Minute, func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	})
	t.Cleanup(c.close)
	return r, c
}

func askCarrier(ctx context.Context, c carrier) error {
	q := newQuery()
	if err := q.set("a.in.", TypeNS, true); err != nil {
		return err
	}
	if err := c.exchange(ctx, q); err != nil {
		return err
	}
	if !isReply(q.answer) || !answersQuestion(q.answer, q.packet, q.end) {
		return errors.New("the answer is to another question")
	}
	return nil
}

func TestQueriesShareAConnection(t *testing.T) {
	const n = fewPipelined
	var conns atomic.Int32
	addr := streamServer(t, func(conn net.Conn, number int) {
		conns.Store(int32(number))
		in := bufio.NewReader(conn)
		var batch [][]byte
		for q := readQuery(in); q != nil; q = readQuery(in) {
			// Answer only when all have come, in the opposite order.
			if batch = append(batch, q); len(batch) == n {
				for i := n - 1; i >= 0; i-- {
					answerEmpty(conn, batch[i])
				}
				batch = nil
			}
		}
	})
	_, c := carrierTo(t, addr)
	for range 3 {
		var asking sync.WaitGroup
		for range n {
			asking.Go(func() {
				if err := askCarrier(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		asking.Wait()
	}
	if got := conns.Load(); got != 1 {
		t.Errorf("%d connections for %d queries at a time, want one", got, n)
	}
}

func TestQueryOutlivesAConnection(t *testing.T) {
	addr := streamServer(t, func(conn net.Conn, _ int) {
		in := bufio.NewReader(conn)
		if q := readQuery(in); q != nil {
			answerEmpty(conn, q) // one, and the connection is closed
		}
	})
	_, c := carrierTo(t, addr)
	for range 20 {
		if err := askCarrier(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSilentConnectionIsLeft(t *testing.T) {
	var asked atomic.Int32
	addr := streamServer(t, func(conn net.Conn, number int) {
		in := bufio.NewReader(conn)
		for q := readQuery(in); q != nil; q = readQuery(in) {
			asked.Add(1)
			if number > 1 {
				answerEmpty(conn, q)
			}
		}
	})
	r, c := carrierTo(t, addr)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- askCarrier(ctx, c) }()
	for asked.Load() == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	short, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := askCarrier(short, c); err != nil {
		t.Errorf("after a silence: %v", err)
	}
	r.Close()
	if err := askCarrier(t.Context(), c); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestSilenceOverAConnectionIsATimeout(t *testing.T) {
	addr := streamServer(t, func(conn net.Conn, _ int) { _, _ = io.Copy(io.Discard, conn) })
	_, c := carrierTo(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := askCarrier(ctx, c); !errors.Is(err, errTimeout) {
		t.Errorf("got %v", err)
	}
}
