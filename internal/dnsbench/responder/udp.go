//go:build linux

package responder

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is the number of datagrams of one system call, and the most that
// UDP_SEGMENT takes together.
const batch = 64

// maxDelayed bounds the answers that wait for their time.
const maxDelayed = 1 << 17

// A reply is an answer on its way.
type reply struct {
	to   unix.RawSockaddrInet4
	data []byte
	due  time.Duration // since the start of the loop
}

// A loop is what serveUDP works with.
type loop struct {
	*Server
	fate    *fate
	begun   time.Time
	in      *inbox
	out     outbox
	now     []reply // to be sent at once
	space   []byte  // of their data
	delayed []reply // a ring
	head    int     // of the ring
	count   int
}

func (s *Server) serveUDP() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := &loop{Server: s, fate: newFate(s.faults), begun: time.Now(), in: newInbox(), space: make([]byte, 0, batch*maxAnswer)}
	for !s.closed() {
		n := l.receive()
		l.now, l.space = l.now[:0], l.space[:0]
		at := time.Since(l.begun)
		for i := range n {
			l.handle(i, at)
		}
		if l.faults.Delay > 0 {
			l.takeDue(time.Since(l.begun))
		}
		l.out.send(s, l.now)
		s.answered.Add(uint64(len(l.now)))
		s.received.Add(uint64(n)) // last, so that whoever sees it sees what became of them
	}
}

// receive returns the number of datagrams that arrived, at least one unless a
// delayed answer is due or the time of wakeUp is over.
func (l *loop) receive() int {
	if l.faults.Delay == 0 {
		return l.in.receive(l.fd, unix.MSG_WAITFORONE)
	}
	wait := wakeUp
	if l.count > 0 {
		wait = min(wait, l.delayed[l.head].due-time.Since(l.begun))
	}
	if wait > 0 {
		patience := unix.NsecToTimespec(wait.Nanoseconds())
		// An error is an interruption, and the loop comes back.
		_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}, &patience, nil)
	}
	return l.in.receive(l.fd, unix.MSG_DONTWAIT)
}

// handle answers datagram i, now or later, or lets it vanish.
func (l *loop) handle(i int, at time.Duration) {
	switch {
	case l.fate.capped(at):
		l.capped.Add(1)
		return
	case l.fate.lost():
		l.lost.Add(1)
		return
	}
	fail := l.fate.failed()
	start := len(l.space)
	l.space = l.table.appendAnswer(l.space, l.in.datagram(i), fail)
	data := l.space[start:len(l.space):len(l.space)]
	if len(data) == 0 {
		l.malformed.Add(1)
		return
	}
	if fail {
		l.servFails.Add(1)
	}
	if l.faults.Delay == 0 {
		l.now = append(l.now, reply{to: l.in.from[i], data: data})
		return
	}
	l.put(reply{to: l.in.from[i], data: data, due: at + l.faults.Delay})
	l.space = l.space[:start]
}

// put keeps a reply until it is due. Beyond maxDelayed the server is
// overwhelmed, and the query is lost.
func (l *loop) put(r reply) {
	if l.delayed == nil {
		l.delayed = make([]reply, maxDelayed)
	}
	if l.count == maxDelayed {
		l.lost.Add(1)
		return
	}
	place := &l.delayed[(l.head+l.count)%maxDelayed]
	r.data = append(place.data[:0], r.data...)
	*place = r
	l.count++
}

// takeDue moves up to a batch of what is due to what is sent.
func (l *loop) takeDue(now time.Duration) {
	for l.count > 0 && len(l.now) < batch && l.delayed[l.head].due <= now {
		l.now = append(l.now, l.delayed[l.head])
		l.head = (l.head + 1) % maxDelayed
		l.count--
	}
}

// A message is a struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

// An inbox receives datagrams.
type inbox struct {
	messages [batch]message
	vectors  [batch]unix.Iovec
	from     [batch]unix.RawSockaddrInet4
	data     [batch][1024]byte
}

func newInbox() *inbox {
	in := new(inbox)
	for i := range in.messages {
		in.vectors[i].Base = &in.data[i][0]
		in.vectors[i].SetLen(len(in.data[i]))
		h := &in.messages[i].header
		h.Name = (*byte)(unsafe.Pointer(&in.from[i]))
		h.Namelen = uint32(unsafe.Sizeof(in.from[i]))
		h.Iov = &in.vectors[i]
		h.SetIovlen(1)
	}
	return in
}

func (in *inbox) datagram(i int) []byte { return in.data[i][:in.messages[i].length] }

// receive returns how many datagrams it got, none on a time-out or an error.
func (in *inbox) receive(fd, flags int) int {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&in.messages[0])), batch, uintptr(flags), 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// overflow returns how many datagrams found the receive buffer full.
func overflow(fd int) uint64 {
	var info [9]uint32 // SK_MEMINFO_DROPS is the last (sock_diag.h)
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return uint64(info[8])
}
