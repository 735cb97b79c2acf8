package resolver

import (
	"net"

	"golang.org/x/sys/unix"
)

// growReceiveBuffer asks for a receive buffer of want bytes and returns the
// size that the kernel accounts against, which it reports doubled.
// SO_RCVBUFFORCE needs CAP_NET_ADMIN; SO_RCVBUF is cut to net.core.rmem_max.
func growReceiveBuffer(conn *net.UDPConn, want int) int {
	got := 0
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // fails only on a closed socket; got stays 0
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, want) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, want) // read back next
		}
		got, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	return got
}
