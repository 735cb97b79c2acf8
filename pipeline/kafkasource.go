package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/typostream/typostream/emitter"
)

// KafkaSourceConfig says what a KafkaSource reads and how.
type KafkaSourceConfig struct {
	Brokers []string
	Topic   string
	Group   string // consumer group; a new group begins at the first record
	// FuzzSources are further values of "src" that are scanned though they are
	// no submissions, such as "ct".
	FuzzSources []string
	// RetryDelay paces joining the group again after an error. Default 5 s.
	RetryDelay time.Duration
	// CommitInterval is the longest time between an acknowledgement and its
	// commit. Default 200 ms.
	CommitInterval time.Duration
	// DeadLetters takes the messages that cannot be used.
	DeadLetters *emitter.DeadLetters
	Metrics     *Metrics
	Log         *slog.Logger
}

const (
	defaultRetryDelay     = 5 * time.Second
	defaultCommitInterval = 200 * time.Millisecond
	maxFetchBytes         = 10 << 20
	// maxOpenOffsets bounds the records of a partition that wait for their
	// commit behind one that takes long.
	maxOpenOffsets = 10_000
)

// KafkaSource reads seeds as a member of a consumer group. Several seeds of a
// partition are in work at once; the offset that is committed is the end of
// the gapless prefix of finished ones, so a crash repeats work and skips
// nothing.
//
// The work on a seed outlives a generation of the group: after a rebalance a
// partition that stayed goes on where it was, and the seeds of one that went to
// another member are cancelled. It reads through kafka-go's ConsumerGroup rather
// than its Reader, whose commits are neither gapless nor monotonic.
type KafkaSource struct {
	cfg KafkaSourceConfig

	mu         sync.Mutex
	generation *kafka.Generation // the current one, nil before the first
	partitions map[int]*partition
	draining   bool
	unready    error // why no partition can be read, nil if the group is joined

	deliveries sync.WaitGroup // those not done
	committing sync.Mutex     // one commit at a time
}

type partition struct {
	id     int
	ctx    context.Context // ends when another member owns the partition
	cancel context.CancelFunc

	// All below are guarded by KafkaSource.mu.
	checkpoint *checkpoint
	committed  int64
	room       chan struct{} // signalled when the checkpoint has moved
}

// NewKafkaSource checks the configuration; nothing is connected before Run.
func NewKafkaSource(cfg KafkaSourceConfig) (*KafkaSource, error) {
	switch {
	case len(cfg.Brokers) == 0:
		return nil, errors.New("kafka source: no brokers")
	case cfg.Topic == "":
		return nil, errors.New("kafka source: no topic")
	case cfg.Group == "":
		return nil, errors.New("kafka source: no consumer group")
	}
	if cfg.RetryDelay <= 0 {
		cfg.RetryDelay = defaultRetryDelay
	}
	if cfg.CommitInterval <= 0 {
		cfg.CommitInterval = defaultCommitInterval
	}
	return &KafkaSource{cfg: cfg, partitions: map[int]*partition{}, unready: errors.New("the consumer group is not joined yet")}, nil
}

// Unready is nil while the group is joined, else why it is not. Safe for
// concurrent use.
func (s *KafkaSource) Unready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unready == nil {
		return nil
	}
	return fmt.Errorf("topic %s is not read: %w", s.cfg.Topic, s.unready)
}

// Run implements Source. It stays a member of the group while the delivered
// seeds are finished, commits the last of them and leaves the group.
func (s *KafkaSource) Run(ctx context.Context, out chan<- Delivery) error {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.cfg.Group, Brokers: s.cfg.Brokers, Topics: []string{s.cfg.Topic},
		StartOffset: kafka.FirstOffset, WatchPartitionChanges: true, JoinGroupBackoff: s.cfg.RetryDelay,
		Dialer: &kafka.Dialer{Timeout: 3 * time.Second, DualStack: true, ClientID: "typostream"},
	})
	if err != nil {
		return fmt.Errorf("kafka source: %w", err)
	}
	membership, leave := context.WithCancel(context.WithoutCancel(ctx))
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		<-ctx.Done()
		s.mu.Lock()
		s.draining = true
		s.mu.Unlock()
		s.deliveries.Wait()
		s.commit()
		leave()
	}()
	s.follow(ctx, membership, group, out)
	<-drained
	err = group.Close()
	s.disown(nil)
	return err
}

// follow takes part in one generation of the group after the other until
// membership ends.
func (s *KafkaSource) follow(ctx, membership context.Context, group *kafka.ConsumerGroup, out chan<- Delivery) {
	for {
		generation, err := group.Next(membership)
		switch {
		case membership.Err() != nil:
			return
		case err != nil:
			s.setUnready(err)
			continue // the group itself waits before it tries again
		case len(generation.Assignments[s.cfg.Topic]) == 0:
			// Nothing to read is normal with more members than partitions. But
			// where the topic is missing the generation is over already.
			if err := s.lookup(membership); err != nil {
				s.setUnready(err)
				pause(membership, s.cfg.RetryDelay)
				continue
			}
		}
		partitions := s.adopt(generation)
		for _, p := range partitions {
			generation.Start(func(genCtx context.Context) {
				s.read(ctx, genCtx, p, out)
				<-genCtx.Done() // a function that returns ends the generation
			})
		}
		generation.Start(s.commitLoop)
	}
}

// lookup returns why the topic cannot be read, nil if it exists.
func (s *KafkaSource) lookup(ctx context.Context) error {
	dialer := kafka.Dialer{Timeout: 3 * time.Second, DualStack: true, ClientID: "typostream"}
	var err error
	for _, broker := range s.cfg.Brokers {
		if _, err = dialer.LookupPartitions(ctx, "tcp", broker, s.cfg.Topic); err == nil {
			return nil
		}
	}
	return err
}

// setUnready notes why the group is not joined and tells the operator of each
// new reason. What is a part of a group's normal life, such as a coordinator
// that a new cluster has yet to choose, is no warning.
func (s *KafkaSource) setUnready(err error) {
	level := slog.LevelWarn
	var code kafka.Error
	if errors.As(err, &code) {
		err = errors.New(code.Title()) // the whole text explains the protocol
		switch code {
		case kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.RebalanceInProgress:
			level = slog.LevelInfo
		}
	}
	s.mu.Lock()
	known := s.unready != nil && s.unready.Error() == err.Error()
	s.unready = err
	s.mu.Unlock()
	if !known {
		s.cfg.Log.Log(context.Background(), level, "the consumer group is not joined yet; trying again",
			"group", s.cfg.Group, "topic", s.cfg.Topic, "cause", err)
	}
}

// adopt makes the generation the current one and returns its partitions. What
// was being read before and still is ours goes on from where it was.
func (s *KafkaSource) adopt(generation *kafka.Generation) []*partition {
	assigned := map[int]*partition{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range generation.Assignments[s.cfg.Topic] {
		p := s.partitions[a.ID]
		// A committed offset past ours means that another member owned the
		// partition in between: what we still have in work is theirs.
		if p == nil || a.Offset > p.checkpoint.next {
			ctx, cancel := context.WithCancel(context.Background())
			p = &partition{id: a.ID, ctx: ctx, cancel: cancel, checkpoint: newCheckpoint(a.Offset), committed: a.Offset, room: make(chan struct{}, 1)}
		}
		assigned[a.ID] = p
	}
	s.generation, s.unready = generation, nil
	s.disownLocked(assigned)
	s.cfg.Log.Info("joined the consumer group", "group", s.cfg.Group, "topic", s.cfg.Topic,
		"generation", generation.ID, "partitions", len(assigned))
	owned := make([]*partition, 0, len(assigned))
	for _, p := range assigned {
		owned = append(owned, p)
	}
	return owned
}

func (s *KafkaSource) disown(kept map[int]*partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disownLocked(kept)
}

// disownLocked cancels the seeds of every partition that is not kept.
func (s *KafkaSource) disownLocked(kept map[int]*partition) {
	for id, p := range s.partitions {
		if kept[id] != p {
			p.cancel()
		}
	}
	s.partitions = kept
}

// read hands on the partition's records until the generation ends or ctx is
// done.
func (s *KafkaSource) read(ctx, generation context.Context, p *partition, out chan<- Delivery) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(generation, cancel)()

	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: s.cfg.Brokers, Topic: s.cfg.Topic, Partition: p.id, MinBytes: 1, MaxBytes: maxFetchBytes, MaxWait: time.Second,
		Dialer: &kafka.Dialer{Timeout: 3 * time.Second, DualStack: true, ClientID: "typostream"},
	})
	defer reader.Close()
	s.mu.Lock()
	from := p.checkpoint.read
	s.mu.Unlock()
	if err := reader.SetOffset(from); err != nil {
		s.cfg.Log.Warn("cannot begin to read the partition", "partition", p.id, "offset", from, "cause", err)
		return
	}
	for {
		m, err := reader.ReadMessage(ctx)
		if err != nil {
			if ctx.Err() == nil { // without a group a Reader retries by itself; this is its end
				s.cfg.Log.Warn("stopped reading the partition", "partition", p.id, "cause", err)
			}
			return
		}
		if !s.take(ctx, p, m, out) {
			return
		}
	}
}

// take deals with one record; false means that it is to be read again by
// somebody, because ctx is done.
func (s *KafkaSource) take(ctx context.Context, p *partition, m kafka.Message, out chan<- Delivery) bool {
	if !s.waitForRoom(ctx, p) {
		return false
	}
	seed, verdict, err := ParseMessage(m.Value, s.cfg.FuzzSources)
	seed.Scan = fmt.Sprintf("%s-%d-%d", m.Topic, m.Partition, m.Offset)

	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return false
	}
	p.checkpoint.start(m.Offset)
	s.deliveries.Add(1)
	s.mu.Unlock()

	handled := true
	switch verdict {
	case Accepted, Recheck:
		delivery := Delivery{Seed: seed, Context: p.ctx, Done: func(err error) { s.finish(p, m.Offset, err) }}
		select {
		case out <- delivery:
			s.cfg.Metrics.message(verdict)
			return true // Done settles the rest
		case <-ctx.Done():
			handled = false
		}
	case Poison:
		handled = s.bury(ctx, m, err)
	}
	if !handled {
		s.mu.Lock()
		p.checkpoint.abandon()
		s.mu.Unlock()
		s.deliveries.Done()
		return false
	}
	s.cfg.Metrics.message(verdict)
	s.finish(p, m.Offset, nil)
	return true
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
func (s *KafkaSource) finish(p *partition, offset int64, err error) {
	defer s.deliveries.Done()
	if err != nil {
		return
	}
	s.mu.Lock()
	moved := p.checkpoint.finish(offset)
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
func (s *KafkaSource) bury(ctx context.Context, m kafka.Message, cause error) bool {
	var poison *PoisonError
	errors.As(cause, &poison)
	letter := emitter.DeadLetter{
		FailureType: poison.FailureType, Reason: poison.Error(), Raw: m.Value,
		Topic: m.Topic, Key: string(m.Key), Partition: &m.Partition, Offset: &m.Offset,
	}
	for {
		err := s.cfg.DeadLetters.Put(ctx, letter)
		if err == nil {
			s.cfg.Log.Warn("message cannot be used; kept among the dead letters", "topic", m.Topic, "partition", m.Partition,
				"offset", m.Offset, "type", poison.FailureType, "cause", poison.Error())
			return true
		}
		s.cfg.Log.Error("cannot write the dead letter; trying again", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "cause", err)
		if !pause(ctx, s.cfg.RetryDelay) {
			return false
		}
	}
}

func (s *KafkaSource) commitLoop(generation context.Context) {
	tick := time.NewTicker(s.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-generation.Done():
			return
		case <-tick.C:
			s.commit()
		}
	}
}

// commit tells the group how far each partition is done. A commit that is not
// accepted is repeated by the next one; the broker refuses one of a generation
// that has ended, so a partition that another member owns is never rewound.
func (s *KafkaSource) commit() {
	s.committing.Lock()
	defer s.committing.Unlock()
	s.mu.Lock()
	generation := s.generation
	moved := map[*partition]int64{}
	offsets := map[int]int64{}
	for _, p := range s.partitions {
		if next := p.checkpoint.next; next > p.committed {
			moved[p], offsets[p.id] = next, next
		}
	}
	s.mu.Unlock()
	if len(offsets) == 0 {
		return
	}
	if err := generation.CommitOffsets(map[string]map[int]int64{s.cfg.Topic: offsets}); err != nil {
		s.cfg.Log.Warn("offsets not committed; trying again", "group", s.cfg.Group, "cause", err)
		return
	}
	s.mu.Lock()
	for p, next := range moved {
		p.committed = next
	}
	s.mu.Unlock()
}

// pause waits for d and reports whether it did, rather than ctx ending first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
