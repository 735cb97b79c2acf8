package pipeline

import (
	"context"
	"log/slog"
	"sync"

	"github.com/typostream/typostream/fuzzer"
)

// ListStore keeps a list of domains. Its methods are those of store.List and
// store.RedisList.
type ListStore interface {
	// Load returns all domains and the version of the list; no domains if it is
	// the version that the caller has.
	Load(ctx context.Context, have string) (domains []string, version string, err error)
}

// ListsConfig says where the lists come from. Each but Log may be nil for none.
type ListsConfig struct {
	File        func() *fuzzer.DomainList // of allowed domains; asked each time
	Allow, Deny ListStore                 // likewise; what has not changed is not read again
	Log         *slog.Logger
}

// Lists are the domains that scans leave out or mark. A list that cannot be read
// leaves the one before in force. Safe for concurrent use.
type Lists struct {
	cfg ListsConfig

	mu          sync.Mutex // guards all below
	allow, deny keptList
	failed      bool // the last time
}

// keptList is a list as it was read last.
type keptList struct {
	version string
	list    *fuzzer.DomainList
}

// NewLists reads nothing yet.
func NewLists(cfg ListsConfig) *Lists { return &Lists{cfg: cfg} }

// Current returns the lists in force now. It waits for the stores, which have
// limits of their own.
func (l *Lists) Current() *fuzzer.DomainLists {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.allow.read(l.cfg.Allow)
	if e := l.deny.read(l.cfg.Deny); err == nil {
		err = e
	}
	switch {
	case err != nil && !l.failed:
		l.cfg.Log.Error("the lists of allowed and denied domains cannot be read; those before stay in force", "allowed", l.allow.list.Len(), "denied", l.deny.list.Len(), "cause", err)
	case err == nil && l.failed:
		l.cfg.Log.Info("the lists of allowed and denied domains can be read again")
	}
	l.failed = err != nil
	lists := &fuzzer.DomainLists{Allow: []*fuzzer.DomainList{l.allow.list}, Deny: l.deny.list}
	if l.cfg.File != nil {
		lists.Allow = append(lists.Allow, l.cfg.File())
	}
	return lists
}

func (k *keptList) read(from ListStore) error {
	if from == nil {
		return nil
	}
	domains, version, err := from.Load(context.Background(), k.version)
	if err != nil || version == k.version {
		return err
	}
	k.version, k.list = version, fuzzer.NewDomainList(domains)
	return nil
}
