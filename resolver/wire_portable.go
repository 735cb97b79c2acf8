package resolver

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// plainWire moves one datagram in a system call.
type plainWire struct {
	conn *net.UDPConn
	room int
}

func dialPlain(addr netip.AddrPort) (wire, error) {
	conn, room, err := dialUDP(addr)
	if err != nil {
		return nil, err
	}
	return &plainWire{conn, room}, nil
}

func (w *plainWire) capacity() int    { return w.room }
func (w *plainWire) overflow() uint64 { return 0 }
func (w *plainWire) close() error     { return w.conn.Close() }

func (w *plainWire) send(out *outbox) (fault error) {
	for _, length := range out.used {
		for packets := out.bins[length]; len(packets) > 0; packets = packets[length:] {
			_, err := w.conn.Write(packets[:length])
			if refusal(err) {
				// It was the answer to an earlier datagram; this one was not sent.
				fault = err
				_, err = w.conn.Write(packets[:length])
			}
			if err != nil && !passing(err) {
				fault = err
			}
		}
	}
	return fault
}

func (w *plainWire) receive(deliver func([][]byte), failed func(error)) {
	buf := make([]byte, maxDatagram)
	batch := make([][]byte, 1)
	row := 0
	for {
		n, err := w.conn.Read(buf)
		switch {
		case err == nil:
			row = 0
			batch[0] = buf[:n]
			deliver(batch)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			failed(err)
			row = rest(row)
		}
	}
}

// rest counts failures in a row. Each report of the kernel is delivered once,
// so a long row of them is a socket that is broken for good; do not spin on it.
func rest(row int) int {
	if row > 1000 {
		time.Sleep(10 * time.Millisecond)
	}
	return row + 1
}
