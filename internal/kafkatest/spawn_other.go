//go:build unix && !linux

package kafkatest

import "syscall"

// childAttr puts a node into a process group of its own. Only Linux can also end it with its parent: elsewhere
// a test process that is killed leaves its nodes behind.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
