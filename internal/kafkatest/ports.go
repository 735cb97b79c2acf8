//go:build unix

package kafkatest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// portRange is where ports are looked for when the system's ephemeral range is not known; it is below Linux's (32768–60999).
var portRange = [2]int{20000, 32000}

// ephemeralRangeFile holds the two ends of the ports that Linux gives to outgoing connections.
const ephemeralRangeFile = "/proc/sys/net/ipv4/ip_local_port_range"

// listenable returns the range [lo, hi) to pick ports from. It avoids the
// ephemeral range: while a node is down its port must neither be given to some
// outgoing connection, nor to a client's own attempt to reach the node (a TCP
// connection to itself, RFC 9293 section 3.5, looks like a broker that never answers).
func listenable(ephemeral string) (lo, hi int) {
	var first, last int
	if n, err := fmt.Sscan(ephemeral, &first, &last); err != nil || n != 2 {
		return portRange[0], portRange[1]
	}
	switch {
	case first >= portRange[0]+1000:
		return portRange[0], min(first, portRange[1])
	case first >= 11000:
		return 10000, first
	case last <= 64000:
		return last + 1, 65536
	default:
		return portRange[0], portRange[1]
	}
}

// freePorts returns n different TCP ports that nobody listens on at 127.0.0.1.
// They are free at this moment only: whoever uses them must be ready to ask again.
func freePorts(n int) ([]int, error) {
	ephemeral, _ := os.ReadFile(ephemeralRangeFile) // absent outside Linux: the default range is used
	lo, hi := listenable(string(ephemeral))
	var held []net.Listener // all held until the last is found, so that they differ
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	var ports []int
	for _, offset := range rand.Perm(hi - lo) {
		port := lo + offset
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		held = append(held, l)
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("kafkatest: no free port on 127.0.0.1")
}
