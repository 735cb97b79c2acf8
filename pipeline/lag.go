package pipeline

import (
	"context"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	lagInterval = 5 * time.Second  // between two questions for the ends of the partitions
	lagPatience = 10 * time.Second // how long an answer may take
)

// lagLoop asks again and again how much there is to read, for as long as its partitions
// are its.
func (s *KafkaSource) lagLoop(generation context.Context) {
	tick := time.NewTicker(lagInterval)
	defer tick.Stop()
	for {
		s.askEnds(generation)
		select {
		case <-generation.Done():
			return
		case <-tick.C:
		}
	}
}

// askEnds asks where the partitions end. What cannot be found out stays as it
// was: that a partition cannot be read is told elsewhere.
func (s *KafkaSource) askEnds(ctx context.Context) {
	var questions []kafka.OffsetRequest
	s.mu.Lock()
	for id := range s.partitions {
		questions = append(questions, kafka.LastOffsetOf(id))
	}
	s.mu.Unlock()
	if len(questions) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lagPatience)
	defer cancel()
	response, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{s.cfg.Topic: questions}})
	if err != nil {
		return
	}
	ends := slices.DeleteFunc(response.Topics[s.cfg.Topic], func(o kafka.PartitionOffsets) bool { return o.Error != nil })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range ends {
		if p := s.partitions[o.Partition]; p != nil {
			p.end = o.LastOffset
		}
	}
}

// showLag counts what of the partitions is not done: not begun, in work, or done
// behind one that is not.
func (s *KafkaSource) showLag() {
	s.mu.Lock()
	lag := int64(0)
	for _, p := range s.partitions {
		if first := p.checkpoint.undone(); first >= 0 { // else nothing is read yet, from wherever it begins
			lag += max(p.end-first, 0)
		}
	}
	owned := len(s.partitions)
	s.mu.Unlock()
	s.cfg.Metrics.intake(owned, lag)
}
