//go:build dist

package docker

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The outer half: a cgroup for systemd to rule, made below our own and removed
// when all is over, and namespaces for the rest. The network stays that of the
// machine, so that servers of the test are reached by the loopback.
const outer = `
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir cgroup root
mount -t cgroup2 cgroup cgroup
group=cgroup/typostream-test-$$
mkdir "$group"
sh -c 'echo $$ >"$0/cgroup.procs"
	exec setpriv --pdeathsig KILL -- unshare --cgroup --mount --pid --fork --kill-child --uts --ipc "$@"' \
	"$group" sh -ec "$2" sh root "$3" || :
find "$group" -depth -type d -exec rmdir {} \;
`

// The inner half: a root whose /usr is the machine's, seen through an overlay,
// and without the machine's units; the rest is empty. Devices and kernel
// settings are not systemd's to change. It must be the root, no chroot:
// in one of those nobody may make user namespaces, as PrivateUsers does.
const inner = `
mount --bind "$1" "$1"
cp "$2" "$1/typostream.deb"
cd "$1"
mkdir -p dev etc/systemd/system home old proc root run sys tmp usr var/lib/dpkg/info var/lib/dpkg/updates up work
for link in bin lib lib64 sbin; do ln -s "usr/$link" "$link"; done
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$PWD/up,workdir=$PWD/work" usr
mount -t tmpfs tmpfs usr/lib/systemd/system
for unit in basic.target multi-user.target network-online.target shutdown.target sockets.target sysinit.target \
	systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
	cp "/usr/lib/systemd/system/$unit" usr/lib/systemd/system
done
mkdir etc/systemd/system/sysinit.target.wants
ln -s /usr/lib/systemd/system/systemd-journald.service etc/systemd/system/sysinit.target.wants
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs tmpfs dev
for device in full null random tty urandom zero; do
	: >"dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
mkdir dev/mqueue dev/pts dev/shm
mount -t mqueue mqueue dev/mqueue
mount -t devpts -o newinstance devpts dev/pts
ln -s pts/ptmx dev
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
cp /etc/os-release /etc/ld.so.cache etc
echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
printf 'passwd: files systemd\ngroup: files systemd\nhosts: files\n' >etc/nsswitch.conf
echo '127.0.0.1 localhost' >etc/hosts
: >etc/machine-id
: >var/lib/dpkg/status
: >var/lib/dpkg/available
pivot_root . old
umount -l old
exec setpriv --bounding-set=-audit_control,-sys_boot,-sys_module,-sys_rawio,-sys_time,-syslog -- \
	env -i container=typostream-test PATH=/usr/sbin:/usr/bin /usr/lib/systemd/systemd --system --unit=multi-user.target --show-status=no
`

// machine is a systemd that runs as process 1 on a root of its own, in which
// /typostream.deb is not yet installed.
type machine struct {
	t    *testing.T
	init string // the number that process 1 has outside
	root string
}

// boot needs root's rights, systemd and a kernel with cgroup v2. What it starts
// ends with the test.
func boot(t *testing.T, deb string) *machine {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := &output{}
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "sh", "-ec", outer, "sh", t.TempDir(), inner, deb)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	m := &machine{t: t}
	t.Cleanup(func() {
		// First systemd, with all that it runs: then the script ends by itself, and takes the cgroup along.
		if pid, err := strconv.Atoi(m.init); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
			select {
			case <-ended:
			case <-time.After(patience):
			}
		}
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("of the machine:\n%s", log)
		}
	})
	eventually(t, "systemd runs", func() bool {
		select {
		case <-ended:
			t.Fatal("systemd does not start")
		default:
		}
		// unshare has become the outer sh, whose child is unshare, whose child is process 1. Until that is systemd,
		// its root may still be the machine's.
		m.init = child(child(strconv.Itoa(cmd.Process.Pid)))
		if name, err := os.ReadFile(filepath.Join("/proc", m.init, "comm")); err != nil || m.init == "" || string(name) != "systemd\n" {
			return false
		}
		state, _ := m.try("systemctl", "is-system-running")
		return state == "running\n"
	})
	m.root = filepath.Join("/proc", m.init, "root")
	return m
}

// child returns the only child of a process, or "".
func child(pid string) string {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// try runs a command inside.
func (m *machine) try(args ...string) (string, error) {
	args = append([]string{"--target", m.init, "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--root", "--wd", "--"}, args...)
	ctx, cancel := context.WithTimeout(context.Background(), patience) // the test may have ended, and ask what was wrong
	defer cancel()
	out, err := exec.CommandContext(ctx, "nsenter", args...).CombinedOutput()
	return string(out), err
}

// run runs one that must succeed.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// write makes a file that all may read.
func (m *machine) write(name string, lines ...string) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		m.t.Fatal(err)
	}
}
