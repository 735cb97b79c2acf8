//go:build e2e

package storetest

import (
	"bytes"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// RedisServer is a real redis-server on loopback that keeps nothing on disk.
type RedisServer struct {
	t    *testing.T
	port int
	cmd  *exec.Cmd
	log  *bytes.Buffer // to read once it is gone
	gone chan struct{} // closed when the process has ended
}

// StartRedis starts one that ends with the test.
func StartRedis(t *testing.T) *RedisServer {
	t.Helper()
	for range 5 { // another process may take the port before Redis has it
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &RedisServer{t: t, port: l.Addr().(*net.TCPAddr).Port}
		l.Close()
		if s.Start() {
			t.Cleanup(s.Kill)
			return s
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

// Addr is its host:port.
func (s *RedisServer) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Start reports whether the server answers.
func (s *RedisServer) Start() bool {
	s.t.Helper()
	s.log, s.gone = &bytes.Buffer{}, make(chan struct{})
	s.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--save", "", "--appendonly", "no", "--daemonize", "no")
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.t.TempDir(), s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, gone chan struct{}) {
		_ = cmd.Wait() // how it ended says its log
		close(gone)
	}(s.cmd, s.gone)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		r := store.NewRedis(store.RedisConfig{Addr: s.Addr(), TTL: time.Hour})
		err := r.Ping(s.t.Context())
		r.Close()
		if err == nil {
			return true
		}
		select {
		case <-s.gone:
			return false
		case <-deadline:
			s.t.Fatalf("redis-server does not answer: %v", err)
		case <-tick.C:
		}
	}
}

// Signal stops or continues it.
func (s *RedisServer) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// Kill ends the server, if it has not ended, and waits until it is gone.
func (s *RedisServer) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.gone
}
