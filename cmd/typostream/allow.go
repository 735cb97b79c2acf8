package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/typostream/typostream/fuzzer"
)

// allowFile is an allow list whose file may change while the worker runs. A
// list that cannot be used leaves the one before in force.
type allowFile struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex // guards all below
	list *fuzzer.DomainList
	seen fs.FileInfo // of the file when it was last read, well or not; nil if it was not there
	told bool        // that the file is not there
}

// openAllowFile reads the file for the first time; then a list that cannot be
// used is an error. With no path the list is empty for good.
func (t *terminal) openAllowFile(path string, log *slog.Logger) (*allowFile, error) {
	a := &allowFile{path: path, log: log}
	if path == "" {
		return a, nil
	}
	a.seen, _ = os.Stat(path) // before it is read, so that no change is missed
	var err error
	a.list, err = t.readAllowList(path)
	return a, err
}

// current returns the list in force, read anew if the file is another than
// when it was last read: by its identity, size or time of change. That costs a
// stat where nothing changed.
func (a *allowFile) current() *fuzzer.DomainList {
	if a.path == "" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	info, err := os.Stat(a.path)
	switch {
	case err != nil:
		if !a.told {
			a.refused(err)
		}
		a.seen, a.told = nil, true
	case a.seen == nil || !os.SameFile(a.seen, info) || a.seen.Size() != info.Size() || !a.seen.ModTime().Equal(info.ModTime()):
		a.read(info)
	}
	return a.list
}

// reload reads the file whether it changed or not.
func (a *allowFile) reload() {
	if a.path == "" {
		a.log.Info("there is no allow list to reload")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	info, err := os.Stat(a.path)
	if err != nil {
		a.refused(err)
		return
	}
	a.read(info)
}

// read takes the file's list if it can be used. a.mu is held.
func (a *allowFile) read(info fs.FileInfo) {
	a.seen, a.told = info, false
	file, err := openFile(a.path)
	if err != nil {
		a.refused(err)
		return
	}
	defer file.Close()
	list, bad, err := fuzzer.ReadDomainList(file)
	if err == nil && list.Len() == 0 {
		err = errors.New("it holds no domain that can be used")
	}
	if err != nil {
		a.refused(err)
		return
	}
	for i, line := range bad {
		if i == maxReported {
			a.log.Warn("further lines of the allow list cannot be used", "file", a.path, "lines", len(bad)-i)
			break
		}
		a.log.Warn("line of the allow list cannot be used", "file", a.path, "line", line.Line, "cause", line.Text+" "+line.Reason)
	}
	a.list = list
	a.log.Info("allow list read again", "file", a.path, "domains", list.Len())
}

func (a *allowFile) refused(err error) {
	a.log.Error("the allow list cannot be read again; the one before stays in force", "file", a.path, "domains", a.list.Len(), "cause", cause(err))
}
