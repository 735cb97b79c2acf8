//go:build unix

package kafkatest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a node may take to shut down in order before it is killed. Two nodes of three that stop at the same
// time leave no quorum to hand their leadership to, and Kafka would wait five minutes for it.
const stopGrace = 20 * time.Second

// logTail is how much of a node's log is shown, in bytes.
const logTail = 16 << 10

// A spawner starts processes from one OS thread. The kernel sends the parent
// death signal when the thread that forked ends, not the process, and the Go
// runtime ends threads as it likes: so one is held for as long as nodes may run.
type spawner struct {
	work chan func()
	done chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = childAttr()
	result := make(chan error, 1)
	s.work <- func() { result <- cmd.Start() }
	return <-result
}

func (s *spawner) close() {
	close(s.work)
	<-s.done
}

// A node is one broker and controller. Its methods may be called from several goroutines.
type node struct {
	id             int
	brokerPort     int
	controllerPort int
	securePort     int    // of the SASL_SSL listener, if there is one
	dir            string // server.properties, data/, log

	mu     sync.Mutex
	proc   *os.Process
	exited chan struct{} // closed once the process has been waited for; nil before the first start
	state  error         // what Wait said; read after exited is closed
	wanted bool          // it was started, and neither killed nor stopped since
	paused bool
}

func (n *node) properties() string { return filepath.Join(n.dir, "server.properties") }
func (n *node) logFile() string    { return filepath.Join(n.dir, "log") }

// start runs the command as the node's process; its output goes to the end of the node's log.
func (n *node) start(sp *spawner, cmd *exec.Cmd) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.alive() {
		return fmt.Errorf("kafkatest: node %d runs already", n.id)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own descriptor
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = n.dir
	if err := sp.start(cmd); err != nil {
		return fmt.Errorf("kafkatest: node %d: %w", n.id, err)
	}
	exited := make(chan struct{})
	n.proc, n.exited, n.wanted, n.paused = cmd.Process, exited, true, false
	go func() {
		err := cmd.Wait()
		n.mu.Lock()
		n.state = err
		n.mu.Unlock()
		close(exited)
	}()
	return nil
}

// alive reports whether the process has not been waited for yet; mu is held.
func (n *node) alive() bool {
	if n.exited == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal to the node's process, which was started here and not yet waited for: no other can have its pid.
func (n *node) signal(sig syscall.Signal) error {
	if !n.alive() {
		return fmt.Errorf("kafkatest: node %d does not run", n.id)
	}
	if err := n.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kafkatest: node %d: %v: %w", n.id, sig, err)
	}
	return nil
}

// pause stops the process without its noticing (SIGSTOP), or lets it go on (SIGCONT).
func (n *node) pause(on bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	sig := syscall.SIGCONT
	if on {
		sig = syscall.SIGSTOP
	}
	if err := n.signal(sig); err != nil {
		return err
	}
	n.paused = on
	return nil
}

// end sends the signal and returns a channel that is closed when the process is gone.
// A paused process would not see SIGTERM, so it is let go on.
func (n *node) end(sig syscall.Signal) (<-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.signal(sig); err != nil {
		return nil, err
	}
	n.wanted = false
	if n.paused && sig != syscall.SIGKILL {
		if err := n.signal(syscall.SIGCONT); err != nil {
			return nil, err
		}
	}
	n.paused = false
	return n.exited, nil
}

// stop shuts the node down in order (SIGTERM), and kills it after stopGrace. It returns when the process is gone.
func (n *node) stop() error {
	gone, err := n.end(syscall.SIGTERM)
	if err != nil {
		return err
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-gone:
	case <-grace.C:
		n.mu.Lock()
		err = n.signal(syscall.SIGKILL)
		alive := n.alive()
		n.mu.Unlock()
		if err != nil && alive {
			return err
		}
		<-gone
	}
	return nil
}

// kill ends the process at once (SIGKILL) and returns when it is gone.
func (n *node) kill() error {
	gone, err := n.end(syscall.SIGKILL)
	if err != nil {
		return err
	}
	<-gone
	return nil
}

// up reports whether the node should answer: it was started, and neither killed, stopped nor paused since.
// The error says that it ended by itself.
func (n *node) up() (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wanted && !n.alive() {
		return false, fmt.Errorf("kafkatest: node %d ended by itself (%v); its log ends:\n%s", n.id, n.state, n.tail())
	}
	return n.wanted && !n.paused, nil
}

// tail returns the last logTail bytes of the log, from the start of a line.
func (n *node) tail() string {
	f, err := os.Open(n.logFile())
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	from := max(0, size-logTail)
	b, _ := io.ReadAll(io.NewSectionReader(f, from, size-from)) // what could be read is shown
	if from > 0 {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return string(b)
}
