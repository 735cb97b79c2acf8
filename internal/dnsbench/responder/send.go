//go:build linux

package responder

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// segmentControl is a control message with the length of a segment.
type segmentControl struct {
	header unix.Cmsghdr
	length uint16
	_      [6]byte
}

// An outbox sends replies, those of one length to one address together.
type outbox struct {
	messages [batch]message
	vectors  [batch]unix.Iovec
	control  [batch]segmentControl
	order    [batch]uint8
	keys     [batch]uint32
}

// send sends at most a batch. A datagram that the kernel does not take is gone,
// as on any network, but when it refuses to segment that is switched off for good.
func (o *outbox) send(s *Server, replies []reply) {
	if len(replies) == 0 {
		return
	}
	together := s.gso.Load()
	o.sort(replies, together)
	n := o.fill(replies, together)
	for sent := 0; sent < n; {
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&o.messages[sent])), uintptr(n-sent), 0, 0, 0)
		switch {
		case errno == 0:
			sent += int(k)
		case errno == unix.EINTR:
		case together && o.messages[sent].header.Control != nil && (errno == unix.EIO || errno == unix.EINVAL || errno == unix.EOPNOTSUPP):
			s.gso.Store(false)
			sent++
		default:
			sent++
		}
	}
}

// sort puts replies that can go together next to each other, and keeps the
// order of the others. A batch is small and often sorted already.
func (o *outbox) sort(replies []reply, together bool) {
	for i := range replies {
		o.order[i] = uint8(i)
		if !together {
			continue
		}
		key := uint32(replies[i].to.Port)<<16 | uint32(len(replies[i].data))
		j := i
		for ; j > 0 && o.keys[j-1] > key; j-- {
			o.keys[j], o.order[j] = o.keys[j-1], o.order[j-1]
		}
		o.keys[j], o.order[j] = key, uint8(i)
	}
}

// fill makes the messages and returns how many.
func (o *outbox) fill(replies []reply, together bool) int {
	n := 0
	for i := 0; i < len(replies); {
		first := &replies[o.order[i]]
		begin := i
		for ; i < len(replies) && (i == begin || together && o.keys[i] == o.keys[begin]); i++ {
			r := &replies[o.order[i]]
			o.vectors[i].Base = &r.data[0]
			o.vectors[i].SetLen(len(r.data))
		}
		h := &o.messages[n].header
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&first.to)), Namelen: uint32(unsafe.Sizeof(first.to)), Iov: &o.vectors[begin]}
		h.SetIovlen(i - begin)
		if i-begin > 1 {
			c := &o.control[n]
			c.header.Level, c.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
			c.header.SetLen(unix.CmsgLen(2))
			c.length = uint16(len(first.data))
			h.Control = (*byte)(unsafe.Pointer(c))
			h.SetControllen(unix.CmsgSpace(2))
		}
		n++
	}
	return n
}
