//go:build linux

package main

import (
	"testing"

	"github.com/typostream/typostream/emitter"
)

// The judge sees each kind of fault.
func TestJudge(t *testing.T) {
	sound := func() (map[string]int64, string, *load) {
		l := &load{fates: map[string]byte{"a": 'A', "b": 'S', "c": 'D'}, counts: map[byte]int{'A': 1, 'S': 1, 'D': 1}}
		l.books = &books{Accounting: emitter.Accounting{Accepted: 3, Acked: 2, Replayed: 1, DeadLettered: 1}}
		return map[string]int64{"a": 1, "b": 1}, `{"key":"c"}`, l
	}
	for _, c := range []struct {
		name             string
		spoil            func(have map[string]int64, letters *string, l *load)
		lost, duplicated int64
		bad              bool
	}{
		{"nothing", func(map[string]int64, *string, *load) {}, 0, 0, false},
		{"an acknowledged event is missing", func(have map[string]int64, _ *string, _ *load) { delete(have, "a") }, 1, 0, true},
		{"a spooled event is missing", func(have map[string]int64, _ *string, _ *load) { delete(have, "b") }, 1, 0, true},
		{"a dead letter is missing", func(_ map[string]int64, letters *string, _ *load) { *letters = "" }, 1, 0, true},
		{"a dead letter is in the topic", func(have map[string]int64, _ *string, _ *load) { have["c"] = 1 }, 0, 0, true},
		{"an event came twice", func(have map[string]int64, _ *string, _ *load) { have["a"] = 2 }, 0, 1, true},
		{"twice, and known to be ambiguous", func(have map[string]int64, _ *string, l *load) { have["a"], l.books.Ambiguous = 2, 1 }, 0, 1, false},
		{"an event that nobody took", func(have map[string]int64, _ *string, _ *load) { have["d"] = 1 }, 0, 0, false},
		{"the books did not balance once", func(_ map[string]int64, _ *string, l *load) { l.books.Unbalanced = 1 }, 0, 0, true},
		{"the books do not balance", func(_ map[string]int64, _ *string, l *load) { l.books.Acked = 3 }, 0, 0, true},
		{"something is in flight", func(_ map[string]int64, _ *string, l *load) { l.books.Acked, l.books.InFlight = 1, 1 }, 0, 0, true},
		{"the books know of fewer", func(_ map[string]int64, _ *string, l *load) { l.books.Accepted, l.books.Acked = 2, 1 }, 0, 0, true},
		{"the spool was not emptied", func(_ map[string]int64, _ *string, l *load) { l.books.Left = 1 }, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			have, letters, l := sound()
			c.spoil(have, &letters, l)
			r := &row{}
			r.compare(have, letters, claims{}, []*load{l})
			r.audit(claims{}, []*load{l})
			if r.lost != c.lost || r.duplicated != c.duplicated || (r.err != nil) != c.bad {
				t.Errorf("lost %d duplicated %d, %v", r.lost, r.duplicated, r.err)
			}
		})
	}
}
