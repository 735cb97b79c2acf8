package store

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// memoryEntries bounds what a Memory holds: some 300 bytes each.
const memoryEntries = 100_000

// Memory remembers for the life of the process, for one-shot commands. Of more
// than 100,000 names it forgets the ones that were longest not asked about.
// Safe for concurrent use.
type Memory struct {
	entries *lru.Cache[memoryKey, Entry]
	ttl     time.Duration
}

type memoryKey struct{ seed, name string }

// NewMemory returns an empty Memory. A name that was not seen for ttl is not
// known.
func NewMemory(ttl time.Duration) (*Memory, error) {
	entries, err := lru.New[memoryKey, Entry](memoryEntries)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return &Memory{entries: entries, ttl: ttl}, nil
}

// Known returns an entry for each of the names, in their order; one that is not
// known has only its name.
func (m *Memory) Known(_ context.Context, seed string, names []string) ([]Entry, error) {
	entries := make([]Entry, len(names))
	for i, name := range names {
		entries[i] = Entry{Name: name}
		if e, ok := m.entries.Get(memoryKey{seed, name}); ok && time.Now().Before(e.expires(m.ttl)) {
			entries[i] = e
		}
	}
	return entries, nil
}

// Remember keeps the entries, in place of what was known of their names. There is
// no journal.
func (m *Memory) Remember(_ context.Context, seed string, entries []Entry, _ ...Change) error {
	for _, e := range entries {
		m.entries.Add(memoryKey{seed, e.Name}, e.value().entry(e.Name)) // as it comes out of every other store
	}
	return nil
}

// Close does nothing; it makes Memory exchangeable with what has a file.
func (m *Memory) Close() error { return nil }
