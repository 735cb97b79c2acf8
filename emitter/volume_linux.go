package emitter

import (
	"math"

	"golang.org/x/sys/unix"
)

// volume tells the free space of the file system that holds dir, and why what
// is written there does not last, if it does not.
func volume(dir string) (free int64, volatile string) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return -1, ""
	}
	switch s.Type {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		volatile = "it is in memory and ends with the machine or the container"
	case unix.OVERLAYFS_SUPER_MAGIC:
		volatile = "it is in the container's own layer and is deleted with the container"
	}
	return int64(min(s.Bavail, math.MaxInt64/uint64(s.Bsize)) * uint64(s.Bsize)), volatile
}
