package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"
)

// groupModel is a consumer group as its coordinator sees it, and the members,
// which are sources without a connection: what comes from a broker is handed to
// them, and what they would commit is taken or refused as a broker does.
type groupModel struct {
	logs       [][]string // the messages of each partition
	committed  []int64    // -1: nothing
	done       []map[int64]bool
	generation int32
	owner      []int // by partition, in this generation
	members    []*memberModel
}

type memberModel struct {
	source *KafkaSource
	out    chan Delivery
	work   []inWork
}

type inWork struct {
	Delivery
	partition int
	offset    int64
}

func newGroupModel(t *rapid.T) *groupModel {
	g := &groupModel{}
	for range rapid.IntRange(1, 4).Draw(t, "partitions") {
		kinds := rapid.SliceOfN(rapid.IntRange(0, 4), 1, 12).Draw(t, "log")
		var log []string
		for i, kind := range kinds {
			switch kind {
			case 0:
				log = append(log, `{"src":"ct","canonical_fqdn":"ct.com"}`) // not a submission
			case 1:
				log = append(log, "") // a mark of Kafka's own
			default:
				log = append(log, submission(fmt.Sprintf("p%d-o%d.com", len(g.logs), i)))
			}
		}
		g.logs = append(g.logs, log)
		g.committed, g.done, g.owner = append(g.committed, -1), append(g.done, map[int64]bool{}), append(g.owner, -1)
	}
	for range rapid.IntRange(1, 3).Draw(t, "members") {
		g.members = append(g.members, newMemberModel(t))
	}
	return g
}

func newMemberModel(t *rapid.T) *memberModel {
	source, err := NewKafkaSource(KafkaSourceConfig{
		Brokers: []string{"127.0.0.1:1"}, Topic: testTopic, Group: testGroup, Metrics: NewMetrics(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &memberModel{source: source, out: make(chan Delivery, 1)}
}

// rebalance begins a generation. A member learns of it when it joins.
func (g *groupModel) rebalance(t *rapid.T) {
	g.generation++
	for p := range g.owner {
		g.owner[p] = rapid.IntRange(0, len(g.members)-1).Draw(t, "owner")
	}
}

// join gives a member its partitions, with the offsets of this moment.
func (g *groupModel) join(i int) {
	generation := &kafka.Generation{ID: g.generation, GroupID: testGroup, Assignments: map[string][]kafka.PartitionAssignment{}}
	for p, owner := range g.owner {
		offset := g.committed[p]
		if offset < 0 {
			offset = kafka.FirstOffset
		}
		if owner == i {
			generation.Assignments[testTopic] = append(generation.Assignments[testTopic], kafka.PartitionAssignment{ID: p, Offset: offset})
		}
	}
	g.members[i].source.adopt(generation)
}

// read hands the member the next message of one of its partitions, which a
// member that has missed a rebalance does, too. Nobody takes it if it is
// interrupted. It reports whether there was one.
func (g *groupModel) read(t *rapid.T, m *memberModel, id int, interrupted bool) bool {
	p := m.source.partitions[id]
	if p == nil {
		return false
	}
	offset := max(p.checkpoint.read, 0)
	if offset >= int64(len(g.logs[id])) {
		return false
	}
	value := g.logs[id][offset]
	ctx, out := t.Context(), m.out
	if interrupted {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		ctx, out = ended, nil
	}
	m.source.take(ctx, p, message{offset: offset, value: []byte(value), control: value == ""}, out)
	select {
	case d := <-m.out:
		m.work = append(m.work, inWork{d, id, offset})
	default:
	}
	return true
}

// finish ends a seed in work. One that was taken away may be given up.
func (g *groupModel) finish(m *memberModel, i int, giveUp bool) {
	w := m.work[i]
	m.work = slices.Delete(m.work, i, i+1)
	if err := w.Context.Err(); err != nil && giveUp {
		w.Done(err)
		return
	}
	g.done[w.partition][w.offset] = true
	w.Done(nil)
}

// advance has a member join, do up to n messages of each of its partitions and
// all that it has in work, and commit.
func (g *groupModel) advance(t *rapid.T, i, n int) {
	g.join(i)
	m := g.members[i]
	for id := range g.logs {
		for k := 0; k < n && g.read(t, m, id, false); k++ {
		}
	}
	for len(m.work) > 0 {
		g.finish(m, 0, true)
	}
	g.commit(t, m)
}

// commit takes the member's offsets if it is of this generation.
func (g *groupModel) commit(t *rapid.T, m *memberModel) {
	generation, moved := m.source.uncommitted()
	if generation == nil || generation.ID != g.generation {
		return // refused
	}
	for p, next := range moved {
		if next < g.committed[p.id] {
			t.Fatalf("partition %d goes back from %d to %d", p.id, g.committed[p.id], next)
		}
		g.committed[p.id] = next
		for offset, value := range g.logs[p.id][:next] {
			if _, verdict, _ := ParseMessage([]byte(value), nil); value != "" && verdict == Accepted && !g.done[p.id][int64(offset)] {
				t.Fatalf("partition %d: offset %d is committed, %d is not done", p.id, next, offset)
			}
		}
	}
	m.source.noteCommitted(moved)
}

// Generations of a group end at any moment, members learn of it late, die, and
// read, finish and commit meanwhile. No offset is committed before every seed up
// to it is done, none goes back, and in the end all is done and committed.
func TestRebalancesSkipNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := newGroupModel(t)
		anyone := func(t *rapid.T) int { return rapid.IntRange(0, len(g.members)-1).Draw(t, "member") }
		t.Repeat(map[string]func(*rapid.T){
			"rebalance": func(t *rapid.T) { g.rebalance(t) },
			"join":      func(t *rapid.T) { g.join(anyone(t)) },
			"read": func(t *rapid.T) {
				partition := rapid.IntRange(0, len(g.logs)-1).Draw(t, "partition")
				g.read(t, g.members[anyone(t)], partition, rapid.IntRange(0, 9).Draw(t, "interrupted") == 0)
			},
			"finish": func(t *rapid.T) {
				if m := g.members[anyone(t)]; len(m.work) > 0 {
					g.finish(m, rapid.IntRange(0, len(m.work)-1).Draw(t, "seed"), rapid.Bool().Draw(t, "give up"))
				}
			},
			"commit": func(t *rapid.T) { g.commit(t, g.members[anyone(t)]) },
			"advance": func(t *rapid.T) { // of which the others do not hear
				i := anyone(t)
				g.generation++
				for p := range g.owner {
					g.owner[p] = i
				}
				g.advance(t, i, 1)
			},
			"kill": func(t *rapid.T) {
				g.members[anyone(t)] = newMemberModel(t) // what it had in work is nobody's
				g.rebalance(t)
			},
		})
		g.rebalance(t)
		for i := range g.members {
			g.advance(t, i, math.MaxInt)
		}
		for id, log := range g.logs {
			if g.committed[id] != int64(len(log)) {
				t.Fatalf("partition %d is committed to %d of %d", id, g.committed[id], len(log))
			}
		}
	})
}
