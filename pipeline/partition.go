package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/typostream/typostream/emitter"
)

const (
	// maxFetchBytes bounds one fetch of a partition, as it is on the wire; a
	// larger batch comes alone. Nothing is read ahead.
	maxFetchBytes = 1 << 20
	fetchWait     = time.Second      // how long a broker waits for something new
	fetchGrace    = 10 * time.Second // how much longer an answer may take: a broker may hang
)

// message is a record of the input topic.
type message struct {
	offset     int64
	key, value []byte
	control    bool // a mark of Kafka's own, not a message
}

// read hands on the partition's records until the generation ends or ctx is
// done. What keeps it from reading is told, and tried again for as long as that
// takes.
func (s *KafkaSource) read(ctx, generation context.Context, p *partition, out chan<- Delivery) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(generation, cancel)()
	wait := firstStep // a new leader is there in a moment, a broker that was lost is not
	for ctx.Err() == nil {
		messages, err := s.fetch(ctx, p)
		if ctx.Err() != nil {
			return
		}
		s.setProblem(p, err)
		if err != nil {
			s.transport.CloseIdleConnections() // ask anew who leads the partition
			if !pause(ctx, min(wait, s.cfg.RetryDelay)) {
				return
			}
			wait = min(2*wait, s.cfg.RetryDelay)
			continue
		}
		wait = firstStep
		for _, m := range messages {
			if !s.take(ctx, p, m, out) {
				return
			}
		}
	}
}

// setProblem notes whether the partition can be read and logs each change.
func (s *KafkaSource) setProblem(p *partition, err error) {
	s.mu.Lock()
	before := p.problem
	p.problem = err
	s.mu.Unlock()
	switch {
	case err == nil && before != nil:
		s.cfg.Log.Info("the partition is read again", "topic", s.cfg.Topic, "partition", p.id)
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.cfg.Log.Warn("the partition cannot be read; trying again", "topic", s.cfg.Topic, "partition", p.id, "cause", err)
	}
}

// fetch asks the partition's leader for what comes next. No message and no
// error means that there is nothing new.
func (s *KafkaSource) fetch(ctx context.Context, p *partition) ([]message, error) {
	s.mu.Lock()
	from := p.checkpoint.read
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, fetchWait+fetchGrace)
	defer cancel()
	response, err := s.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: s.cfg.Topic, Partition: p.id, Offset: from, MinBytes: 1, MaxBytes: maxFetchBytes, MaxWait: fetchWait,
	})
	if err != nil {
		if cause := errors.Unwrap(err); cause != nil {
			err = cause // without the name of the library's method
		}
		return nil, err
	}
	if errors.Is(response.Error, kafka.OffsetOutOfRange) {
		return nil, s.reposition(ctx, p, from)
	}
	if response.Error != nil {
		var code kafka.Error
		if errors.As(response.Error, &code) {
			return nil, errors.New(code.Title()) // the whole text explains the protocol
		}
		return nil, response.Error
	}
	batches := []kafka.RecordReader{response.Records}
	if stream, ok := response.Records.(*protocol.RecordStream); ok {
		batches = stream.Records
	}
	var messages []message
	for _, batch := range batches {
		more, err := readBatch(batch, from)
		if err != nil {
			return nil, err
		}
		messages = append(messages, more...)
	}
	return messages, nil
}

// readBatch reads a batch from an offset on. A batch that compaction has
// emptied counts as a mark, so that reading goes on behind it.
func readBatch(batch kafka.RecordReader, from int64) ([]message, error) {
	_, control := batch.(*protocol.ControlBatch)
	var messages []message
	empty := true
	for {
		record, err := batch.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("a batch is not readable: %w", err)
		}
		empty = false
		m := message{offset: record.Offset, control: control}
		if m.key, err = kafka.ReadAll(record.Key); err != nil {
			return nil, err
		}
		if m.value, err = kafka.ReadAll(record.Value); err != nil {
			return nil, err
		}
		if m.offset >= from {
			messages = append(messages, m)
		}
	}
	if whole, ok := batch.(*protocol.RecordBatch); ok && empty {
		messages = append(messages, message{offset: max(from, whole.BaseOffset), control: true})
	}
	return messages, nil
}

// reposition deals with an offset that the log does not hold: its records have
// expired, or the topic was made anew. Reading goes on with the oldest record
// that there is; what was in work is finished, and commits nothing any more.
func (s *KafkaSource) reposition(ctx context.Context, p *partition, from int64) error {
	response, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		s.cfg.Topic: {kafka.FirstOffsetOf(p.id), kafka.LastOffsetOf(p.id)},
	}})
	if err != nil {
		return err
	}
	for _, offsets := range response.Topics[s.cfg.Topic] {
		if offsets.Error != nil {
			return offsets.Error
		}
		if from >= offsets.FirstOffset && from <= offsets.LastOffset {
			continue // it was out of range for a broker that lags behind
		}
		s.cfg.Log.Warn("the partition does not hold the offset at which to go on; reading from its oldest message",
			"topic", s.cfg.Topic, "partition", p.id, "offset", from, "oldest", offsets.FirstOffset, "end", offsets.LastOffset)
		s.mu.Lock()
		p.checkpoint = newCheckpoint(offsets.FirstOffset)
		p.committed = -1 // so that the group's offset is moved back, too
		s.mu.Unlock()
	}
	return nil
}

// take deals with one record; false means that it is to be read again by
// somebody, because ctx is done.
func (s *KafkaSource) take(ctx context.Context, p *partition, m message, out chan<- Delivery) bool {
	if !s.waitForRoom(ctx, p) {
		return false
	}
	if m.control {
		s.skip(p, m.offset)
		return true
	}
	seed, verdict, err := ParseMessage(m.value, s.cfg.FuzzSources)
	seed.Scan = fmt.Sprintf("%s-%d-%d", s.cfg.Topic, p.id, m.offset)

	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return false
	}
	c := p.checkpoint
	c.start(m.offset)
	s.deliveries.Add(1)
	s.mu.Unlock()

	handled := true
	switch verdict {
	case Accepted, Recheck:
		delivery := Delivery{Seed: seed, Context: p.ctx, Done: func(err error) { s.finish(p, c, m.offset, err) }}
		select {
		case out <- delivery:
			s.cfg.Metrics.message(verdict)
			return true // Done settles the rest
		case <-ctx.Done():
			handled = false
		}
	case Poison:
		handled = s.bury(ctx, p, m, err)
	}
	if !handled {
		s.mu.Lock()
		c.abandon()
		s.mu.Unlock()
		s.deliveries.Done()
		return false
	}
	s.cfg.Metrics.message(verdict)
	s.finish(p, c, m.offset, nil)
	return true
}

// skip notes an offset that holds no message.
func (s *KafkaSource) skip(p *partition, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.checkpoint.start(offset)
	p.checkpoint.finish(offset)
}

func (s *KafkaSource) waitForRoom(ctx context.Context, p *partition) bool {
	for {
		s.mu.Lock()
		full := p.checkpoint.inFlight() >= maxOpenOffsets
		s.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-p.room:
		case <-ctx.Done():
			return false
		}
	}
}

// finish notes that a delivered record is done. One that could not be finished
// keeps its offset, and every later one of the partition, from being committed:
// the next owner of the partition reads it again.
func (s *KafkaSource) finish(p *partition, c *checkpoint, offset int64, err error) {
	defer s.deliveries.Done()
	if err != nil {
		return
	}
	s.mu.Lock()
	moved := c.finish(offset)
	s.mu.Unlock()
	if moved {
		select {
		case p.room <- struct{}{}:
		default:
		}
	}
}

// bury puts a message that cannot be used among the dead letters, as often as
// it takes: its offset may be committed only when the letter is on disk.
func (s *KafkaSource) bury(ctx context.Context, p *partition, m message, cause error) bool {
	var poison *PoisonError
	errors.As(cause, &poison)
	letter := emitter.DeadLetter{
		FailureType: poison.FailureType, Reason: poison.Error(), Raw: m.value,
		Topic: s.cfg.Topic, Key: string(m.key), Partition: &p.id, Offset: &m.offset,
	}
	for {
		err := s.cfg.DeadLetters.Put(ctx, letter)
		if err == nil {
			s.cfg.Log.Warn("message cannot be used; kept among the dead letters", "topic", s.cfg.Topic, "partition", p.id,
				"offset", m.offset, "type", poison.FailureType, "cause", poison.Error())
			return true
		}
		if ctx.Err() != nil {
			return false // the next owner of the partition buries it
		}
		s.cfg.Log.Error("cannot write the dead letter; trying again", "topic", s.cfg.Topic, "partition", p.id, "offset", m.offset, "cause", err)
		if !pause(ctx, s.cfg.RetryDelay) {
			return false
		}
	}
}
