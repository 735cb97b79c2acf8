package kafkatest

import "syscall"

// childAttr puts a node into a process group of its own, so that Ctrl-C at the
// terminal does not reach it, and has the kernel kill it when the thread that
// started it ends (see spawner).
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
