//go:build linux

// Package responder is a DNS server for benchmarks: it answers from a table as
// fast as the kernel moves datagrams, or exactly as badly as it is told to. It
// listens on the loopback only.
package responder

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Stats is what a responder counted since its start. Received = Answered +
// Lost + Capped + Malformed once nothing is delayed any more.
type Stats struct {
	Received  uint64 // UDP datagrams
	Answered  uint64
	Lost      uint64 // by Faults.Loss
	Capped    uint64 // by Faults.Cap
	Malformed uint64
	ServFails uint64 // answered so by Faults.ServFail, over UDP or TCP
	TCP       uint64 // queries over TCP
	Overflow  uint64 // datagrams that the kernel dropped, since we were too slow; not in Received
	GSO       bool   // answers are sent together, and the kernel takes them
}

// Plus adds the counts of two servers; GSO holds if it does for both.
func (s Stats) Plus(o Stats) Stats {
	return Stats{
		Received: s.Received + o.Received, Answered: s.Answered + o.Answered, Lost: s.Lost + o.Lost, Capped: s.Capped + o.Capped,
		Malformed: s.Malformed + o.Malformed, ServFails: s.ServFails + o.ServFails, TCP: s.TCP + o.TCP,
		Overflow: s.Overflow + o.Overflow, GSO: s.GSO && o.GSO,
	}
}

// Minus returns what came after o, an earlier state of the same server.
func (s Stats) Minus(o Stats) Stats {
	return Stats{
		Received: s.Received - o.Received, Answered: s.Answered - o.Answered, Lost: s.Lost - o.Lost, Capped: s.Capped - o.Capped,
		Malformed: s.Malformed - o.Malformed, ServFails: s.ServFails - o.ServFails, TCP: s.TCP - o.TCP,
		Overflow: s.Overflow - o.Overflow, GSO: s.GSO,
	}
}

// A Server answers over UDP and TCP on one port. It is safe for concurrent use.
type Server struct {
	table  *Table
	faults Faults
	fd     int // of UDP
	addr   netip.AddrPort
	tcp    net.Listener

	received, answered, lost, capped, malformed, servFails, overTCP atomic.Uint64
	gso                                                             atomic.Bool

	closing chan struct{}
	once    sync.Once
	running sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
}

// receiveBuffer is asked for; without privileges the kernel grants less.
const receiveBuffer = 16 << 20

// wakeUp is how often an idle server looks whether it is to end.
const wakeUp = 20 * time.Millisecond

// Start listens on a free port of 127.0.0.1 and answers until Close.
func Start(table *Table, faults Faults) (*Server, error) {
	s := &Server{table: table, faults: faults, closing: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	s.gso.Store(!faults.NoGSO)
	// The port that UDP gets may be taken for TCP.
	for attempt := 0; ; attempt++ {
		err := s.listen()
		if err == nil {
			break
		}
		if attempt == 20 || !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("responder: %w", err)
		}
	}
	s.running.Go(s.serveUDP)
	s.running.Go(s.serveTCP)
	return s, nil
}

func (s *Server) listen() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := s.bind(fd); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	return nil
}

func (s *Server) bind(fd int) error {
	for _, option := range []struct{ force, plain int }{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.force, receiveBuffer) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option.plain, receiveBuffer); err != nil {
				return err
			}
		}
	}
	patience := unix.NsecToTimeval(wakeUp.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	s.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port))
	if s.tcp, err = net.Listen("tcp4", s.addr.String()); err != nil {
		return err
	}
	s.fd = fd
	return nil
}

// Addr is the address that it answers on.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Stats returns the counts. It must not be called after Close.
func (s *Server) Stats() Stats {
	return Stats{
		Received: s.received.Load(), Answered: s.answered.Load(), Lost: s.lost.Load(), Capped: s.capped.Load(),
		Malformed: s.malformed.Load(), ServFails: s.servFails.Load(), TCP: s.overTCP.Load(),
		Overflow: overflow(s.fd), GSO: s.gso.Load(),
	}
}

// Close ends everything and returns when it has; what is delayed is not sent.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closing)
		s.tcp.Close()
		s.mu.Lock()
		for conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
		unix.Close(s.fd)
	})
}

func (s *Server) closed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}
