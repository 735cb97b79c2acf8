package resolver

import (
	"net"
	"net/netip"
	"sync/atomic"
)

const (
	receiveBuffer = 4 << 20 // asked of the system for each socket
	replyCost     = 832     // what the kernel charges to the buffer for a small reply
	maxWindow     = 1 << 14 // a quarter of the IDs: a random free one is found at once
	maxDatagram   = 2048    // more than EDNS allows the server to send
	maxBatch      = 256     // datagrams handed to the kernel at a time
)

// wire moves datagrams through one connected UDP socket; being connected, the
// kernel drops what comes from any other address. It knows nothing of DNS.
// There are two: one that moves many datagrams in a system call, on Linux, and
// one that works everywhere.
type wire interface {
	// send hands the packets to the kernel, by one goroutine at a time. What the
	// kernel has no room for is lost, as it may be on the way. The error says
	// that the peer cannot be reached; the rest was sent nevertheless.
	send(out *outbox) error
	// receive calls deliver with batches of datagrams until close; deliver must
	// not keep the slices. It calls failed when the kernel reports that the peer
	// cannot be reached (an ICMP message).
	receive(deliver func([][]byte), failed func(error))
	// capacity is how many replies the receive buffer holds.
	capacity() int
	// overflow is how many datagrams the kernel has dropped since it was full,
	// as far as known.
	overflow() uint64
	close() error
}

// outbox collects packets by their length: those of one length can go to the
// kernel as one (UDP_SEGMENT).
type outbox struct {
	bins [maxPacket + 1][]byte // packets of the index's length, one after the other
	used []int                 // lengths, in the order of their first packet
	n    int
}

func (o *outbox) add(packet []byte) {
	l := len(packet)
	if len(o.bins[l]) == 0 {
		o.used = append(o.used, l)
	}
	o.bins[l] = append(o.bins[l], packet...)
	o.n++
}

func (o *outbox) reset() {
	for _, l := range o.used {
		o.bins[l] = o.bins[l][:0]
	}
	o.used, o.n = o.used[:0], 0
}

// wiring says how sockets are opened; the zero value is the fastest way that
// the system has.
type wiring struct {
	portable   bool                               // use the wire that works everywhere
	instead    func(netip.AddrPort) (wire, error) // of the system's, in tests
	segmentOff atomic.Bool                        // UDP_SEGMENT is missing or has failed once
}

func dialUDP(addr netip.AddrPort) (conn *net.UDPConn, capacity int, err error) {
	if conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr)); err != nil {
		return nil, 0, err
	}
	size := growReceiveBuffer(conn, receiveBuffer)
	return conn, min(max(size/replyCost, 1), maxWindow), nil
}
