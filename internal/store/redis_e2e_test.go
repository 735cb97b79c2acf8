//go:build e2e

package store_test

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/internal/store/storetest"
)

// redisServer is a real redis-server on loopback that keeps nothing on disk.
type redisServer struct {
	t    *testing.T
	port int
	cmd  *exec.Cmd
	log  *bytes.Buffer
	gone chan struct{} // closed when the process has ended
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	for range 5 { // another process may take the port before Redis has it
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &redisServer{t: t, port: l.Addr().(*net.TCPAddr).Port}
		l.Close()
		if s.start() {
			t.Cleanup(s.kill)
			return s
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

func (s *redisServer) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// start reports whether the server answers.
func (s *redisServer) start() bool {
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
		r := store.NewRedis(store.RedisConfig{Addr: s.addr(), TTL: time.Hour})
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

func (s *redisServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// kill ends the server, if it has not ended, and waits until it is gone.
func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.gone
}

// again asks until want is what comes of it.
func again(t *testing.T, want string, f func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain until it is %s", want)
		case <-tick.C:
		}
	}
}

// A real server that is killed, comes back empty, and hangs: each is an error
// at once or a name that is not known, and never a wrong answer.
func TestRealRedis(t *testing.T) {
	server := startRedis(t)
	r := store.NewRedis(store.RedisConfig{Addr: server.addr(), TTL: storetest.TTL, Mirror: true})
	defer r.Close()
	remember := func() error {
		return r.Remember(t.Context(), "example.com", []store.Entry{{Name: "a.com", Published: time.Now()}})
	}
	known := func() (bool, error) {
		got, err := r.Known(t.Context(), "example.com", []string{"a.com"})
		return err == nil && !got[0].Published.IsZero(), err
	}
	if err := remember(); err != nil {
		t.Fatal(err)
	}
	if ok, err := known(); !ok {
		t.Fatalf("just remembered: %v", err)
	}

	server.kill()
	again(t, "an error", func() bool { _, err := known(); return err != nil })
	if _, err := known(); !errors.Is(err, store.ErrPaused) {
		t.Errorf("after a failure: %v, want that the server is left alone", err)
	}
	if !server.start() {
		t.Fatalf("it does not start again:\n%s", server.log.String())
	}
	again(t, "answered", func() bool { _, err := known(); return err == nil })
	if ok, err := known(); ok || err != nil {
		t.Errorf("restarted empty, and the name is known: %v", err)
	}
	if err := remember(); err != nil {
		t.Error(err)
	}

	server.signal(syscall.SIGSTOP)
	if ok, err := known(); ok || err == nil {
		t.Error("a server that hangs answered")
	}
	server.signal(syscall.SIGCONT)
	again(t, "known", func() bool { ok, _ := known(); return ok })
}
