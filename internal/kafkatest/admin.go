//go:build unix

package kafkatest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// How often a state is looked at, and how long answers may take.
const (
	pollInterval  = 100 * time.Millisecond
	askTimeout    = 2 * time.Second
	settleTimeout = 30 * time.Second // of questions about a cluster that should be well
)

// probeTopic is created and deleted once at the start.
const probeTopic = "kafkatest-probe"

// A Record is one record of a topic.
type Record struct {
	Partition int32
	Offset    int64
	Key       []byte // nil if it has none
	Value     []byte
}

// poll calls f every pollInterval until it says done, fails, or the context ends; what is the state f last saw, for the error.
func poll(ctx context.Context, f func(context.Context) (what string, done bool, err error)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		what, done, err := f(ctx)
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kafkatest: %w while %s", context.Cause(ctx), what)
		case <-tick.C:
		}
	}
}

// up returns the numbers of the nodes that should answer; an error says that one ended by itself.
func (c *Cluster) up() ([]int32, error) {
	var ids []int32
	for _, n := range c.nodes {
		ok, err := n.up()
		if err != nil {
			return nil, err
		}
		if ok {
			ids = append(ids, int32(n.id))
		}
	}
	return ids, nil
}

// metadata asks one node what it knows of brokers and topics (all if none are named).
func (c *Cluster) metadata(ctx context.Context, id int32, topics ...string) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := c.client.SeedBrokers()[id-1].Request(ctx, req) // in the order of Brokers
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse), nil
}

// WaitReady returns when the cluster has settled for the nodes that run now,
// paused ones not among them: each of them knows exactly these as brokers, and
// for every partition of every topic a leader and all the replicas in sync that
// run. After a Kill or a Pause that takes 6 to 8 s. With fewer than two nodes
// there is no quorum to settle anything, and the context has to end the wait.
// A node that ended by itself is an error, with the end of its log.
func (c *Cluster) WaitReady(ctx context.Context) error { return c.settle(ctx) }

// settle waits as WaitReady does, for the named topics only if there are any.
func (c *Cluster) settle(ctx context.Context, topics ...string) error {
	return poll(ctx, func(ctx context.Context) (string, bool, error) {
		up, err := c.up()
		if err != nil {
			return "", false, err
		}
		for _, id := range up {
			m, err := c.metadata(ctx, id, topics...)
			if err != nil {
				return fmt.Sprintf("node %d does not answer: %v", id, err), false, nil
			}
			if why := unsettled(m, up); why != "" {
				return fmt.Sprintf("node %d sees %s", id, why), false, nil
			}
		}
		return "", true, nil
	})
}

// unsettled says what in the metadata is not as it will be once the cluster has settled for the nodes up; "" if nothing is.
func unsettled(m *kmsg.MetadataResponse, up []int32) string {
	var brokers []int32
	for _, b := range m.Brokers {
		brokers = append(brokers, b.NodeID)
	}
	slices.Sort(brokers)
	if !slices.Equal(brokers, up) {
		return fmt.Sprintf("brokers %v, up are %v", brokers, up)
	}
	for _, t := range m.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Sprintf("topic %s: %v", name, err)
		}
		for _, p := range t.Partitions {
			inSync := slices.Sorted(slices.Values(p.ISR))
			want := slices.DeleteFunc(slices.Sorted(slices.Values(p.Replicas)), func(id int32) bool { return !slices.Contains(up, id) })
			if !slices.Contains(up, p.Leader) || !slices.Equal(inSync, want) {
				return fmt.Sprintf("%s/%d with leader %d and replicas %v in sync, up are %v", name, p.Partition, p.Leader, inSync, want)
			}
		}
	}
	return ""
}

// probe shows that the controllers can create a topic and elect its leaders.
func (c *Cluster) probe(ctx context.Context) error {
	if err := c.CreateTopic(ctx, probeTopic, size, size, 2); err != nil {
		return err
	}
	if _, err := kadm.NewClient(c.client).DeleteTopic(ctx, probeTopic); err != nil {
		return fmt.Errorf("kafkatest: deleting topic %s: %w", probeTopic, err)
	}
	return poll(ctx, func(ctx context.Context) (string, bool, error) {
		for _, id := range c.Nodes() {
			m, err := c.metadata(ctx, int32(id))
			if err != nil {
				return err.Error(), false, nil
			}
			if len(m.Topics) > 0 {
				return "the probe's topic is being deleted", false, nil
			}
		}
		return "", true, nil
	})
}

// CreateTopic creates a topic whose writes need minISR replicas in sync, with further settings as "name=value", and returns
// when every node knows the leader of every partition, and these answer for it. A topic that exists is an error.
func (c *Cluster) CreateTopic(ctx context.Context, name string, partitions, replication, minISR int, settings ...string) error {
	configs := map[string]*string{"min.insync.replicas": kmsg.StringPtr(strconv.Itoa(minISR))}
	for _, s := range settings {
		setting, value, _ := strings.Cut(s, "=")
		configs[setting] = &value
	}
	_, err := kadm.NewClient(c.client).CreateTopic(ctx, int32(partitions), int16(replication), configs, name)
	if err != nil {
		return fmt.Errorf("kafkatest: creating topic %s: %w", name, err)
	}
	if err := c.settle(ctx, name); err != nil { // the controller has it; the brokers learn of it a moment later
		return err
	}
	_, err = c.offsets(ctx, kadm.NewClient(c.client).ListEndOffsets, name) // brokers tell of partitions a moment before they serve them
	return err
}

// Leader returns the number of the node that leads a partition, as known to the running node with the newest knowledge. For
// some seconds after a Kill or a Pause that is still the former one: WaitReady first.
func (c *Cluster) Leader(ctx context.Context, topic string, partition int32) (int, error) {
	up, err := c.up()
	if err != nil {
		return 0, err
	}
	var errs []error
	epoch, leader := int32(-1), int32(-1)
	for _, id := range up {
		m, err := c.metadata(ctx, id, topic)
		if err != nil {
			errs = append(errs, fmt.Errorf("node %d: %w", id, err))
			continue
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if p.Partition == partition && p.LeaderEpoch > epoch {
					epoch, leader = p.LeaderEpoch, p.Leader
				}
			}
		}
	}
	if leader < 0 {
		return 0, fmt.Errorf("kafkatest: no leader of %s/%d: %w", topic, partition, errors.Join(errs...))
	}
	return int(leader), nil
}

// ReadAll returns every record that the topic held when it was called, by partition and offset. It is read by franz-go, a
// client that the product does not use.
func (c *Cluster) ReadAll(ctx context.Context, topic string) ([]Record, error) {
	ends, err := c.offsets(ctx, kadm.NewClient(c.client).ListEndOffsets, topic)
	if err != nil {
		return nil, err
	}
	starts, err := c.offsets(ctx, kadm.NewClient(c.client).ListStartOffsets, topic)
	if err != nil {
		return nil, err
	}
	from := map[int32]kgo.Offset{}
	for p, start := range starts {
		if start < ends[p] {
			from[p] = kgo.NewOffset().At(start)
		}
	}
	if len(from) == 0 {
		return nil, nil
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.Brokers()...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.KeepControlRecords(), // so that an offset taken by one is seen to have been passed
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return drain(ctx, cl, ends, len(from))
}

// Values returns the values of a partition's first segment as node 1 has them on disk, read by Kafka's own code: what a
// consumer in Java would make of the batches, compressed as they are. Values must not hold a line feed.
func (c *Cluster) Values(ctx context.Context, topic string, partition int) ([]string, error) {
	file := filepath.Join(c.nodes[0].dir, "data", topic+"-"+strconv.Itoa(partition), "00000000000000000000.log")
	out, err := c.javaCommand(ctx, "kafka.tools.DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", file).Output()
	if err != nil {
		return nil, fmt.Errorf("kafkatest: reading %s: %w", file, err)
	}
	var values []string
	for line := range strings.Lines(string(out)) {
		if _, value, ok := strings.Cut(line, " payload: "); ok {
			values = append(values, strings.TrimSuffix(value, "\n"))
		}
	}
	return values, nil
}

// drain reads until it has passed the end of as many partitions as there are open.
func drain(ctx context.Context, cl *kgo.Client, ends map[int32]int64, open int) ([]Record, error) {
	var all []Record
	for open > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("kafkatest: reading, %d partitions not at their end: %w", open, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end := ends[r.Partition]
			if r.Offset >= end {
				return
			}
			if r.Offset == end-1 {
				open--
			}
			if !r.Attrs.IsControl() {
				all = append(all, Record{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value})
			}
		})
	}
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all, nil
}

// offsets flattens one of kadm's listings to offsets by partition. A connection from before a node went away may end under the
// question, or a partition be on its way: then it is put again, for settleTimeout.
func (c *Cluster) offsets(ctx context.Context, list func(context.Context, ...string) (kadm.ListedOffsets, error), topic string) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	out := map[int32]int64{}
	err := poll(ctx, func(ctx context.Context) (string, bool, error) {
		listed, err := list(ctx, topic)
		if err == nil {
			err = listed.Error()
		}
		if _, refused := errors.AsType[*kerr.Error](err); refused && !kerr.IsRetriable(err) {
			return "", false, fmt.Errorf("kafkatest: offsets of topic %s: %w", topic, err)
		}
		if err != nil {
			return fmt.Sprintf("asking for the offsets of topic %s: %v", topic, err), false, nil
		}
		for p, o := range listed[topic] {
			out[p] = o.Offset
		}
		return "", true, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
