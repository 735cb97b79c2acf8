//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// redisServer is a real redis-server on loopback that keeps nothing on disk.
type redisServer struct {
	port int
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
}

// startRedis starts one in dir; it needs redis-server to be installed.
func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	for range 5 { // another process may take the port before Redis has it
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		r := &redisServer{port: l.Addr().(*net.TCPAddr).Port, gone: make(chan struct{})}
		_ = l.Close()
		r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--save", "", "--appendonly", "no")
		r.cmd.Dir = dir
		r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
		if err := r.cmd.Start(); err != nil {
			return nil, fmt.Errorf("starting redis-server: %w", err)
		}
		go func() {
			defer close(r.gone)
			_ = r.cmd.Wait() // whether it answers is asked below
		}()
		err = eventually(ctx, "redis-server answers", r.answers)
		if err == nil {
			return r, nil
		}
		r.stop()
		if !errors.Is(err, errRedisGone) {
			return nil, err
		}
	}
	return nil, errRedisGone
}

var errRedisGone = errors.New("redis-server has ended by itself")

func (r *redisServer) answers() (bool, error) {
	select {
	case <-r.gone:
		return false, errRedisGone
	default:
	}
	c := store.NewRedis(store.RedisConfig{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)), TTL: time.Hour})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return c.Ping(ctx) == nil, nil
}

// env is what a worker needs to know of it.
func (r *redisServer) env() map[string]string {
	return map[string]string{"REDIS_HOST": "127.0.0.1", "REDIS_PORT": strconv.Itoa(r.port)}
}

// stop ends the server, if it has not ended, and waits until it is gone.
func (r *redisServer) stop() {
	_ = r.cmd.Process.Kill() // it may be gone already
	<-r.gone
}
