//go:build !portable

package resolver

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	receiveBatch = 64
	mergedBatch  = 8       // likewise, of messages that may be many datagrams
	maxMerged    = 1 << 16 // bytes in one such message
	maxSegments  = 64      // UDP_MAX_SEGMENTS of older kernels
	maxSegmented = 1 << 15 // bytes in one message to the kernel; the limit is 65,507
)

func (w *wiring) dial(addr netip.AddrPort) (wire, error) {
	if w.portable {
		return dialPlain(addr)
	}
	return w.dialBatch(addr)
}

// refusal reports whether err is what came back for an earlier datagram: a
// connected socket reports ICMP messages on whatever call comes next.
func refusal(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH)
}

// passing reports whether err is over by itself, a full queue for example.
func passing(err error) bool { return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) }

// mmsghdr is struct mmsghdr of recvmmsg(2); the compiler pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batchWire moves many datagrams in a system call: recvmmsg(2), sendmmsg(2),
// and datagrams of one length as one message that the kernel cuts (UDP_SEGMENT)
// or has put together (UDP_GRO).
type batchWire struct {
	conn   *net.UDPConn
	raw    syscall.RawConn
	wiring *wiring
	room   int
	merged bool // the kernel hands over datagrams of one length as one (UDP_GRO)
	drops  atomic.Uint64

	// For send.
	messages []mmsghdr
	vectors  []unix.Iovec
	controls []byte
	cursors  []cursor // where in the outbox each message begins
	sending  []mmsghdr
	sent     int
	errno    syscall.Errno
	doSend   func(uintptr) bool
}

// cursor is a place in an outbox.
type cursor struct{ bin, offset int }

var (
	segmentSpace = unix.CmsgSpace(2)
	numberSpace  = unix.CmsgSpace(4)
	controlSpace = 2 * numberSpace // the length of merged datagrams, the count of drops
)

func (w *wiring) dialBatch(addr netip.AddrPort) (wire, error) {
	conn, room, err := dialUDP(addr)
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	b := &batchWire{
		conn: conn, raw: raw, wiring: w, room: room,
		messages: make([]mmsghdr, maxBatch), vectors: make([]unix.Iovec, maxBatch),
		controls: make([]byte, maxBatch*segmentSpace), cursors: make([]cursor, maxBatch),
	}
	for i := range b.messages {
		b.messages[i].hdr.Iov = &b.vectors[i]
		b.messages[i].hdr.SetIovlen(1)
		header := (*unix.Cmsghdr)(unsafe.Pointer(&b.controls[i*segmentSpace]))
		header.Level, header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		header.SetLen(unix.CmsgLen(2))
	}
	b.doSend = func(fd uintptr) bool {
		n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.sending[0])), uintptr(len(b.sending)), unix.MSG_DONTWAIT, 0, 0)
		b.sent, b.errno = int(n), errno
		return errno != unix.EAGAIN
	}
	err = raw.Control(func(fd uintptr) {
		// Without the count of drops one number less is known.
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		if _, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT); err != nil {
			w.segmentOff.Store(true) // before Linux 4.18
		}
		b.merged = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil // from Linux 5.0 on
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return b, nil
}

func (w *batchWire) capacity() int    { return w.room }
func (w *batchWire) overflow() uint64 { return w.drops.Load() }
func (w *batchWire) close() error     { return w.conn.Close() }

func (w *batchWire) send(out *outbox) (fault error) {
	at := cursor{}
	for retries := 0; at.bin < len(out.used); {
		n, next := w.fill(out, at)
		err := w.flush(n)
		switch {
		case err == nil:
			at = next
			continue
		case errors.Is(err, net.ErrClosed):
			return nil
		}
		failed := n - len(w.sending) // the message that err is about
		at = w.cursors[failed]
		switch length := out.used[at.bin]; {
		case w.messages[failed].hdr.Control != nil && segmentFault(err):
			w.wiring.segmentOff.Store(true) // and again, one by one
		case refusal(err) && retries < 3:
			fault = err
			retries++ // it was about an earlier datagram; this one was not sent
		default:
			if !passing(err) {
				fault = err
			}
			at.offset += int(w.vectors[failed].Len)
			if at.offset >= len(out.bins[length]) {
				at = cursor{at.bin + 1, 0}
			}
		}
	}
	return fault
}

// segmentFault reports whether a device or a kernel cannot cut messages: EIO is
// what one says that has no checksum offload.
func segmentFault(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) ||
		errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOPROTOOPT)
}

// fill prepares messages with the packets of out from a place on, and returns
// their number and where the rest begins.
func (w *batchWire) fill(out *outbox, at cursor) (n int, next cursor) {
	segment := !w.wiring.segmentOff.Load()
	for ; at.bin < len(out.used); at = (cursor{at.bin + 1, 0}) {
		length := out.used[at.bin]
		packets := out.bins[length]
		for at.offset < len(packets) {
			if n == len(w.messages) {
				return n, at
			}
			size := length
			if segment {
				size = min(len(packets)-at.offset, min(maxSegments, maxSegmented/length)*length)
			}
			hdr := &w.messages[n].hdr
			w.vectors[n].Base = &packets[at.offset]
			w.vectors[n].SetLen(size)
			hdr.Control = nil
			hdr.SetControllen(0)
			if size > length {
				control := w.controls[n*segmentSpace:]
				binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], uint16(length))
				hdr.Control = &control[0]
				hdr.SetControllen(segmentSpace)
			}
			w.cursors[n] = at
			at.offset += size
			n++
		}
	}
	return n, at
}

// flush sends the first n messages. On an error w.sending begins with the one
// that it is about.
func (w *batchWire) flush(n int) error {
	w.sending = w.messages[:n]
	for len(w.sending) > 0 {
		if err := w.raw.Write(w.doSend); err != nil {
			return net.ErrClosed
		}
		switch w.errno {
		case 0:
			w.sending = w.sending[w.sent:]
		case unix.EINTR:
		default:
			return w.errno
		}
	}
	return nil
}

func (w *batchWire) receive(deliver func([][]byte), failed func(error)) {
	in := newInbox(w.merged)
	var n int
	var errno syscall.Errno
	read := func(fd uintptr) bool {
		for i := range in.messages {
			in.messages[i].hdr.SetControllen(controlSpace)
		}
		got, _, e := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.messages[0])), uintptr(len(in.messages)), unix.MSG_DONTWAIT, 0, 0)
		n, errno = int(got), e
		return e != unix.EAGAIN
	}
	for row := 0; ; {
		if err := w.raw.Read(read); err != nil {
			return // closed
		}
		switch errno {
		case 0:
			row = 0
			deliver(in.open(n, &w.drops))
		case unix.EINTR:
		default:
			failed(errno)
			row = rest(row)
		}
	}
}

// inbox is where a system call puts what it receives.
type inbox struct {
	messages []mmsghdr
	vectors  []unix.Iovec
	controls []byte
	memory   []byte
	room     int // for one message, in bytes
	batch    [][]byte
}

// newInbox has room for merged datagrams, which are up to 64 KiB together, or
// for single ones.
func newInbox(merged bool) *inbox {
	n, room := receiveBatch, maxDatagram
	if merged {
		n, room = mergedBatch, maxMerged
	}
	in := &inbox{
		messages: make([]mmsghdr, n), vectors: make([]unix.Iovec, n), controls: make([]byte, n*controlSpace),
		memory: make([]byte, n*room), room: room,
	}
	for i := range in.messages {
		in.vectors[i].Base = &in.memory[i*room]
		in.vectors[i].SetLen(room)
		in.messages[i].hdr.Iov = &in.vectors[i]
		in.messages[i].hdr.SetIovlen(1)
		in.messages[i].hdr.Control = &in.controls[i*controlSpace]
	}
	return in
}

// open returns the datagrams of the first n messages, valid until the next
// system call, and stores how many were dropped, if the kernel says so.
func (in *inbox) open(n int, drops *atomic.Uint64) [][]byte {
	in.batch = in.batch[:0]
	for i := range in.messages[:n] {
		m := &in.messages[i]
		b := in.memory[i*in.room:][:m.n]
		each := len(b)
		for control := in.controls[i*controlSpace:][:m.hdr.Controllen]; len(control) >= unix.SizeofCmsghdr; {
			header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
			value := binary.NativeEndian.Uint32(control[unix.CmsgLen(0):])
			switch {
			case header.Level == unix.SOL_UDP && header.Type == unix.UDP_GRO:
				each = max(int(value), 1)
			case header.Level == unix.SOL_SOCKET && header.Type == unix.SO_RXQ_OVFL:
				drops.Store(uint64(value))
			}
			control = control[min(numberSpace, len(control)):] // each holds one number of 32 bits
		}
		for len(b) > each {
			in.batch = append(in.batch, b[:each])
			b = b[each:]
		}
		in.batch = append(in.batch, b)
	}
	return in.batch
}
