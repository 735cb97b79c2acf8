package fuzzer

import "slices"

// way is a set of steps that lead to a name. Many names share one, so a name
// keeps an index instead of lists of its own.
type way struct {
	set        algorithmSet
	algorithms []Algorithm
	passes     []string
	last       *Pass // the pass of the latest step
}

// variant returns a name that the way leads to.
func (w *way) variant(name string) Variant {
	return Variant{FQDN: name, Algorithm: w.algorithms[0], algorithms: w.algorithms, Passes: w.passes}
}

// wayTable makes ways as they are needed. Steps come in order, so a way is
// known by the way before it and the step that was added.
type wayTable struct {
	steps []step
	ways  []way // ways[0] is that of no step
	next  map[wayStep]uint32
}

type wayStep struct {
	way  uint32
	step int
}

func newWayTable(steps []step) *wayTable {
	return &wayTable{steps: steps, ways: make([]way, 1), next: make(map[wayStep]uint32)}
}

// after returns the way that has step besides those of way.
func (t *wayTable) after(from uint32, step int) uint32 {
	before, added := &t.ways[from], &t.steps[step]
	if before.last == added.pass && before.set.has(added.algorithm) {
		return from
	}
	if id, known := t.next[wayStep{from, step}]; known {
		return id
	}
	set := before.set.with(added.algorithm)
	longer := way{set: set, algorithms: set.slice(), passes: before.passes, last: added.pass}
	if before.last != added.pass {
		longer.passes = append(slices.Clip(before.passes), added.pass.Name)
	}
	id := uint32(len(t.ways))
	t.ways = append(t.ways, longer)
	t.next[wayStep{from, step}] = id
	return id
}
