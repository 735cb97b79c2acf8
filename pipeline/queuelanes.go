package pipeline

import "slices"

// queueLanes is what waits with one priority: a lane for each brand and source,
// which take turns; within a lane the first in is the first out.
type queueLanes struct {
	lanes []*queueLane
	next  int // whose turn it is
	byKey map[laneKey]*queueLane
}

type laneKey struct{ brand, source string }

// queueLane may hold entries that wait no longer; they are passed over when it
// is their turn.
type queueLane struct {
	key     laneKey
	entries []*queueEntry
}

// add puts the entry at the end of its lane, or at the front.
func (q *queueLanes) add(e *queueEntry, front bool) {
	key := laneKey{e.what.Seed.Brand, e.what.Source}
	lane := q.byKey[key]
	if lane == nil {
		if q.byKey == nil {
			q.byKey = map[laneKey]*queueLane{}
		}
		lane = &queueLane{key: key}
		q.byKey[key] = lane
		q.lanes = append(q.lanes, lane)
	}
	e.lane = lane
	if front {
		lane.entries = slices.Insert(lane.entries, 0, e)
	} else {
		lane.entries = append(lane.entries, e)
	}
}

// remove takes out one that goes to another lane.
func (l *queueLane) remove(e *queueEntry) {
	l.entries = slices.DeleteFunc(l.entries, func(other *queueEntry) bool { return other == e })
}

// peek is the entry whose turn it is, nil if none waits.
func (q *queueLanes) peek() *queueEntry {
	for len(q.lanes) > 0 {
		lane := q.lanes[q.next]
		for len(lane.entries) > 0 {
			if e := lane.entries[0]; e.state == ScanWaiting {
				return e
			}
			lane.entries[0] = nil
			lane.entries = lane.entries[1:]
		}
		delete(q.byKey, lane.key)
		q.lanes = slices.Delete(q.lanes, q.next, q.next+1)
		q.wrap()
	}
	return nil
}

// taken ends the turn of the lane.
func (q *queueLanes) taken(lane *queueLane) {
	if len(q.lanes) > 0 && q.lanes[q.next] == lane {
		q.next++
		q.wrap()
	}
}

func (q *queueLanes) wrap() {
	if q.next >= len(q.lanes) {
		q.next = 0
	}
}
