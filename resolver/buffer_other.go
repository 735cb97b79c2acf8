//go:build !linux

package resolver

import "net"

// growReceiveBuffer asks for a receive buffer of want bytes and returns what it
// got. These systems refuse a size above their limit, so it halves until one
// is accepted.
func growReceiveBuffer(conn *net.UDPConn, want int) int {
	const least = 64 << 10
	for ; want > least; want /= 2 {
		if conn.SetReadBuffer(want) == nil {
			return want
		}
	}
	return least
}
