package emitter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// rereadBytes is how much of a partition is asked for at a time.
const rereadBytes = 1 << 20

// Reread yields the records of the topic from the first one that was made at
// since or later to those that are there when it begins, each partition in its
// order. What it yields is as durable as what was acknowledged: nil says that
// every partition could be read and that no replica is away. It needs the right
// to read the topic.
func (k *Kafka) Reread(ctx context.Context, topicName string, since time.Time, yield func(key, value []byte)) error {
	if !k.enter() {
		return ErrClosed
	}
	defer k.callers.Done()
	v, err := k.cluster.view(ctx, topicName)
	if err != nil {
		return err
	}
	n, err := v.partitions(topicName)
	if err != nil {
		return err
	}
	for p := range n {
		if err := k.rereadPartition(ctx, v, topicName, p, since, yield); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
	}
	if v, err = k.cluster.fresh(ctx, topicName); err != nil {
		return err
	}
	return replicated(v.topics[topicName])
}

// replicated is nil if every replica has what can be read. A record is shown as
// soon as the replicas in sync have it, and where these are fewer than all they
// may be fewer than an acknowledgement asks for.
func replicated(t kafka.Topic) error {
	if t.Error != nil {
		return t.Error
	}
	for _, p := range t.Partitions {
		if len(p.Isr) < len(p.Replicas) || len(p.Isr) == 0 {
			return fmt.Errorf("partition %d: %d of %d replicas are in sync", p.ID, len(p.Isr), len(p.Replicas))
		}
	}
	return nil
}

func (k *Kafka) rereadPartition(ctx context.Context, v *view, topicName string, partition int, since time.Time, yield func(key, value []byte)) error {
	leader, err := v.leader(topicName, partition)
	if err != nil {
		return err
	}
	next, err := k.offsetAt(ctx, leader, topicName, partition, since)
	if err != nil || next < 0 {
		return err
	}
	for end := next + 1; next < end; {
		res, err := k.cluster.client.Fetch(ctx, &kafka.FetchRequest{
			Addr: kafka.TCP(leader), Topic: topicName, Partition: partition, Offset: next, MinBytes: 1, MaxBytes: rereadBytes,
		})
		if err == nil {
			err = res.Error
		}
		if err != nil {
			return err
		}
		if end == next+1 {
			end = max(end, res.HighWatermark)
		}
		after, err := readRecords(res.Records, next, yield)
		if err != nil {
			return err
		}
		if after == next {
			return fmt.Errorf("nothing can be read at offset %d of %d", next, end)
		}
		next = after
	}
	return nil
}

// offsetAt is that of the first record that was made at the time or later, -1
// if there is none.
func (k *Kafka) offsetAt(ctx context.Context, leader, topicName string, partition int, at time.Time) (int64, error) {
	res, err := k.cluster.links.RoundTrip(ctx, kafka.TCP(leader), &listoffsets.Request{ReplicaID: -1, Topics: []listoffsets.RequestTopic{{
		Topic:      topicName,
		Partitions: []listoffsets.RequestPartition{{Partition: int32(partition), CurrentLeaderEpoch: -1, Timestamp: at.UnixMilli()}},
	}}})
	if err != nil {
		return 0, err
	}
	for _, t := range res.(*listoffsets.Response).Topics {
		for _, p := range t.Partitions {
			if p.Partition == int32(partition) {
				return p.Offset, codeError(p.ErrorCode)
			}
		}
	}
	return 0, errors.New("the broker did not tell the offset")
}

// readRecords yields the records from an offset on and returns where to go on.
func readRecords(records kafka.RecordReader, from int64, yield func(key, value []byte)) (next int64, err error) {
	batches := []kafka.RecordReader{records}
	if stream, ok := records.(*protocol.RecordStream); ok {
		batches = stream.Records
	}
	next = from
	for _, batch := range batches {
		_, control := batch.(*protocol.ControlBatch)
		for {
			record, err := batch.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return next, err
			}
			key, err := kafka.ReadAll(record.Key)
			if err != nil {
				return next, err
			}
			value, err := kafka.ReadAll(record.Value)
			if err != nil {
				return next, err
			}
			if record.Offset < next {
				continue // of a batch that begins before
			}
			if next = record.Offset + 1; !control {
				yield(key, value)
			}
		}
	}
	return next, nil
}
