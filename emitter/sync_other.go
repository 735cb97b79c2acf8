//go:build !linux

package emitter

import "os"

// datasync makes the file's content durable.
func datasync(f *os.File) error { return f.Sync() }
