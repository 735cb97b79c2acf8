package emitter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// GroupFacts are what is known of a consumer group and the topic it reads.
type GroupFacts struct {
	Name, Topic string
	// Err is why nothing else is known.
	Err     error
	State   string // such as Stable, Empty or Dead, which a group is that never was
	Members int
	Rights  Rights
	// Positions are by partition; empty if the topic does not exist.
	Positions []Position
}

// Position is how far the group is in a partition.
type Position struct {
	Partition int
	Err       error // why First and End are not known
	Committed int64 // the next offset to be read; -1: none
	First     int64 // offset that the partition still has
	End       int64 // offset of its next record
}

// Lag is how many records are to be read. What has no committed offset is read
// from its first record on.
func (p Position) Lag() int64 { return max(0, p.End-max(p.Committed, p.First)) }

// Gone is how many records were deleted before they were read. A group without
// a committed offset has missed none.
func (p Position) Gone() int64 {
	if p.Committed < 0 {
		return 0
	}
	return max(0, min(p.First, p.End)-p.Committed)
}

// group asks the group's coordinator and the leaders of its topic.
func (in *inspector) group(ctx context.Context, topic metadata.ResponseTopic, brokers map[int32]string) *GroupFacts {
	g := &GroupFacts{Name: in.cfg.Group, Topic: in.cfg.GroupTopic, Rights: unknownRights}
	for _, p := range topic.Partitions {
		g.Positions = append(g.Positions, Position{Partition: int(p.PartitionIndex), Committed: -1})
	}
	slices.SortFunc(g.Positions, func(a, b Position) int { return a.Partition - b.Partition })
	var asking sync.WaitGroup
	asking.Go(func() {
		g.Err = in.patiently(ctx, func(ctx context.Context) error { return in.describeGroup(ctx, g) })
	})
	ends := in.ends(ctx, topic, brokers)
	asking.Wait()
	for i := range g.Positions {
		p := &g.Positions[i]
		e := ends[p.Partition]
		p.First, p.End, p.Err = e.First, e.End, e.Err
	}
	return g
}

// describeGroup sets what the coordinator knows of the group.
func (in *inspector) describeGroup(ctx context.Context, g *GroupFacts) error {
	where, err := ask[*findcoordinator.Response](ctx, in, &findcoordinator.Request{Key: g.Name})
	if err == nil {
		err = codeError(where.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("looking for its coordinator: %w", err)
	}
	addr := net.JoinHostPort(where.Host, strconv.Itoa(int(where.Port)))
	said, err := askOne[*describegroups.Response](ctx, in, addr, &describegroups.Request{Groups: []string{g.Name}, IncludeAuthorizedOperations: true})
	if err != nil {
		return fmt.Errorf("asking its coordinator %s: %w", addr, err)
	}
	for _, group := range said.Groups {
		switch err := codeError(group.ErrorCode); {
		case errors.Is(err, kafka.GroupIdNotFound):
			g.State = "Dead"
			return nil
		case err != nil:
			return err
		}
		g.State, g.Members, g.Rights = group.GroupState, len(group.Members), Rights(group.AuthorizedOperations)
	}
	return in.committed(ctx, addr, g)
}

// committed sets the group's offsets.
func (in *inspector) committed(ctx context.Context, addr string, g *GroupFacts) error {
	if len(g.Positions) == 0 {
		return nil
	}
	topic := offsetfetch.RequestTopic{Name: g.Topic}
	for _, p := range g.Positions {
		topic.PartitionIndexes = append(topic.PartitionIndexes, int32(p.Partition))
	}
	res, err := askOne[*offsetfetch.Response](ctx, in, addr, &offsetfetch.Request{GroupID: g.Name, Topics: []offsetfetch.RequestTopic{topic}})
	if err == nil {
		err = codeError(res.ErrorCode)
	}
	if errors.Is(err, kafka.GroupIdNotFound) {
		return nil // it has read nothing yet
	}
	if err != nil {
		return fmt.Errorf("asking for its offsets: %w", err)
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := codeError(p.ErrorCode); err != nil {
				return fmt.Errorf("asking for its offset of partition %d: %w", p.PartitionIndex, err)
			}
			i := slices.IndexFunc(g.Positions, func(q Position) bool { return q.Partition == int(p.PartitionIndex) })
			if i >= 0 {
				g.Positions[i].Committed = p.CommittedOffset
			}
		}
	}
	return nil
}

// ends asks each leader for the first and the next offset of its partitions, by
// partition.
func (in *inspector) ends(ctx context.Context, topic metadata.ResponseTopic, brokers map[int32]string) map[int]Position {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.Timeout)
	defer cancel()
	led := map[int32][]int32{}
	for _, p := range topic.Partitions {
		led[p.LeaderID] = append(led[p.LeaderID], p.PartitionIndex)
	}
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		ends   = map[int]Position{}
	)
	for leader, partitions := range led {
		asking.Go(func() {
			first, ferr := in.offsets(ctx, brokers[leader], topic.Name, partitions, kafka.FirstOffset)
			last, lerr := in.offsets(ctx, brokers[leader], topic.Name, partitions, kafka.LastOffset)
			mu.Lock()
			defer mu.Unlock()
			for i, p := range partitions {
				at := Position{Err: ferr}
				if ferr == nil {
					at.Err = lerr
				}
				if at.Err == nil {
					at.First, at.End = first[i], last[i]
				}
				ends[int(p)] = at
			}
		})
	}
	asking.Wait()
	return ends
}

// offsets are those of the partitions, in their order.
func (in *inspector) offsets(ctx context.Context, addr, topic string, partitions []int32, at int64) ([]int64, error) {
	if addr == "" {
		return nil, kafka.LeaderNotAvailable
	}
	asked := listoffsets.RequestTopic{Topic: topic}
	for _, p := range partitions {
		asked.Partitions = append(asked.Partitions, listoffsets.RequestPartition{Partition: p, CurrentLeaderEpoch: -1, Timestamp: at})
	}
	res, err := askOne[*listoffsets.Response](ctx, in, addr, &listoffsets.Request{ReplicaID: -1, Topics: []listoffsets.RequestTopic{asked}})
	if err != nil {
		return nil, err
	}
	out, told := make([]int64, len(partitions)), 0
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := codeError(p.ErrorCode); err != nil {
				return nil, err
			}
			if i := slices.Index(partitions, p.Partition); i >= 0 {
				out[i] = p.Offset
				told++
			}
		}
	}
	if told < len(partitions) {
		return nil, fmt.Errorf("broker %s told %d of %d offsets", addr, told, len(partitions))
	}
	return out, nil
}
