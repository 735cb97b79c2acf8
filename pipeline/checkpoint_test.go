package pipeline

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order in which records finish, the committed offset never
// passes one that is not done, never goes back, and reaches the end when all
// are done.
func TestCheckpointCommitsTheGaplessPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Int64Range(0, 1000).Draw(t, "first")
		gaps := rapid.SliceOfN(rapid.Int64Range(1, 3), 1, 30).Draw(t, "gaps")
		var offsets []int64
		for at := first; len(gaps) > 0; gaps = gaps[1:] {
			offsets = append(offsets, at)
			at += gaps[0]
		}
		c := newCheckpoint(first)
		for _, o := range offsets {
			c.start(o)
		}
		pending := slices.Clone(offsets)
		last := c.next
		for _, o := range rapid.Permutation(offsets).Draw(t, "order") {
			moved := c.finish(o)
			pending = slices.DeleteFunc(pending, func(p int64) bool { return p == o })
			if moved != (c.next > last) || c.next < last {
				t.Fatalf("moved=%v, committed offset went from %d to %d", moved, last, c.next)
			}
			if len(pending) > 0 && c.next > pending[0] {
				t.Fatalf("offset %d would be committed while %d is in flight", c.next, pending[0])
			}
			last = c.next
		}
		if want := offsets[len(offsets)-1] + 1; c.next != want || c.read != want || c.inFlight() != 0 {
			t.Fatalf("all done: next %d, read %d, in flight %d; want %d, %d, 0", c.next, c.read, c.inFlight(), want, want)
		}
	})
}
