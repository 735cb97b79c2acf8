//go:build linux

package responder

import (
	"encoding/binary"
	"io"
	"net"
	"time"
)

func (s *Server) serveTCP() {
	for seed := s.faults.Seed; ; seed++ {
		conn, err := s.tcp.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.closed() {
			conn.Close()
			s.mu.Unlock()
			return
		}
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		faults := s.faults
		faults.Seed = seed + 1
		s.running.Go(func() { s.serveConn(conn, newFate(faults)) })
	}
}

// serveConn answers queries with their length before them (RFC 7766), one after
// the other. Of the faults, delay and SERVFAIL apply.
func (s *Server) serveConn(conn net.Conn, fate *fate) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	query := make([]byte, 1<<16)
	out := make([]byte, 0, 2+maxAnswer)
	for {
		if _, err := io.ReadFull(conn, query[:2]); err != nil {
			return
		}
		length := binary.BigEndian.Uint16(query)
		if _, err := io.ReadFull(conn, query[:length]); err != nil {
			return
		}
		s.overTCP.Add(1)
		fail := fate.failed()
		if out = s.table.appendAnswer(out[:2], query[:length], fail); len(out) == 2 {
			return
		}
		if fail {
			s.servFails.Add(1)
		}
		if !s.wait(s.faults.Delay) {
			return
		}
		binary.BigEndian.PutUint16(out, uint16(len(out)-2))
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// wait returns false if the server is closed first.
func (s *Server) wait(d time.Duration) bool {
	if d == 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return false
	}
}
