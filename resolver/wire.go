package resolver

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	receiveBuffer = 4 << 20 // asked of the system for each socket
	replyCost     = 832     // what the kernel charges to the buffer for a small reply
	maxWindow     = 1 << 14 // a quarter of the IDs: a random free one is found at once
)

// wire moves datagrams through one connected UDP socket; being connected, the
// kernel drops what comes from any other address. It knows nothing of DNS. A
// faster one for a system (several datagrams a system call) replaces this file
// by build tags and keeps these methods.
type wire struct {
	conn   *net.UDPConn
	window int // replies that the receive buffer holds
}

func dialWire(addr netip.AddrPort) (*wire, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	size := growReceiveBuffer(conn, receiveBuffer)
	return &wire{conn, min(max(size/replyCost, 1), maxWindow)}, nil
}

// send hands one datagram to the kernel. Safe for concurrent use.
func (w *wire) send(packet []byte) error {
	_, err := w.conn.Write(packet)
	return err
}

// receive calls deliver for each datagram until close; deliver must not keep
// the slice. It calls failed when the kernel reports that the peer cannot be
// reached (an ICMP message).
func (w *wire) receive(deliver func([]byte), failed func(error)) {
	buf := make([]byte, 4096) // three times what EDNS allows the server to send
	row := 0
	for {
		n, err := w.conn.Read(buf)
		switch {
		case err == nil:
			row = 0
			deliver(buf[:n])
		case errors.Is(err, net.ErrClosed):
			return
		default:
			failed(err)
			// Each report is delivered once, so a long row of them is a socket
			// that is broken for good; do not spin on it.
			if row++; row > 1000 {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}

func (w *wire) close() error { return w.conn.Close() }
