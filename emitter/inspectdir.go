package emitter

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"time"
)

// DirFacts are what is known of a directory for spool and dead letters.
type DirFacts struct {
	// Sync is the median time to append 4 KiB and make them durable, SyncMax the
	// longest of some.
	Sync, SyncMax time.Duration
	// Free is the space that this user may fill, in bytes; -1: not known.
	Free int64
	// Volatile says in words why the directory's content ends with the machine
	// or the container; empty if nothing is known of that kind.
	Volatile string
}

// syncSamples are enough for a median, and take a second on a slow disk.
const syncSamples = 9

// InspectDir creates dir if it is missing, as a worker does, and measures what
// it costs to make a spooled event durable there. The error is a *DirError. A
// disk that hangs cannot be interrupted: do not wait for InspectDir for ever.
func InspectDir(dir string) (DirFacts, error) {
	if err := CheckDir(dir); err != nil {
		return DirFacts{}, err
	}
	facts := DirFacts{}
	facts.Free, facts.Volatile = volume(dir)
	times, err := timeSyncs(dir)
	if err != nil {
		return facts, &DirError{Dir: dir, Err: err}
	}
	slices.Sort(times)
	facts.Sync, facts.SyncMax = times[len(times)/2], times[len(times)-1]
	return facts, nil
}

func timeSyncs(dir string) (times []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".write-test-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := bytes.Repeat([]byte("x"), 4<<10)
	for range syncSamples {
		begin := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, err
		}
		if err := datasync(f); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}
