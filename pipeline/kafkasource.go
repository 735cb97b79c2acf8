package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
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
	// Dial opens connections to brokers. Default plain TCP within 3 s.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// RetryDelay paces attempts to reach brokers. What a cluster settles by itself,
	// such as who coordinates the group, is asked about more often. Default 5 s.
	RetryDelay time.Duration
	// CommitInterval is the longest time between an acknowledgement and its
	// commit. Default 200 ms.
	CommitInterval time.Duration
	// SessionTimeout is how long the group waits for a sign of life before it
	// gives the partitions to others; a tenth of it, and at most a second, is between
	// two. A third of it is how long the group waits for members that a rebalance
	// asks to join again. Default 30 s.
	SessionTimeout time.Duration
	// DeadLetters takes the messages that cannot be used.
	DeadLetters *emitter.DeadLetters
	Metrics     *Metrics
	Log         *slog.Logger
}

const (
	defaultRetryDelay     = 5 * time.Second
	defaultSession        = 30 * time.Second
	longestBeat           = time.Second // so that a coordinator that is gone is missed soon
	defaultCommitInterval = 200 * time.Millisecond
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
// another member are cancelled. It uses kafka-go's ConsumerGroup and Client
// rather than its Reader, whose commits are neither gapless nor monotonic, which
// keeps a hundred messages of each partition in memory, and which gives up or
// stalls in silence where a partition cannot be read.
type KafkaSource struct {
	cfg       KafkaSourceConfig
	dialer    *kafka.Dialer
	transport *kafka.Transport
	client    *kafka.Client

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

	room chan struct{} // signalled when the checkpoint has moved

	// All below are guarded by KafkaSource.mu.
	checkpoint *checkpoint
	committed  int64
	end        int64 // the offset behind its last record, as last heard; 0 before that
	problem    error // why it cannot be read just now
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
	if cfg.SessionTimeout <= 0 {
		cfg.SessionTimeout = defaultSession
	}
	if cfg.CommitInterval <= 0 {
		cfg.CommitInterval = defaultCommitInterval
	}
	if cfg.Dial == nil {
		cfg.Dial = emitter.Security{}.Dial
	}
	dialer := &kafka.Dialer{Timeout: 3 * time.Second, ClientID: "typostream", DialFunc: cfg.Dial}
	// The time to live is also the deadline of kafka-go's metadata request, so
	// it must not be short; fetch refreshes the metadata where that is due.
	transport := &kafka.Transport{Dial: cfg.Dial, ClientID: dialer.ClientID, MetadataTTL: 4 * time.Second, MetadataTopics: []string{cfg.Topic}}
	return &KafkaSource{
		cfg: cfg, dialer: dialer, transport: transport,
		client:     &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Transport: transport},
		partitions: map[int]*partition{}, unready: errors.New("the consumer group is not joined yet"),
	}, nil
}

// Unready is nil while the group is joined and its partitions are read, else why
// not. Safe for
// concurrent use.
func (s *KafkaSource) Unready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unready != nil {
		return fmt.Errorf("topic %s is not read: %w", s.cfg.Topic, s.unready)
	}
	for _, id := range slices.Sorted(maps.Keys(s.partitions)) {
		if problem := s.partitions[id].problem; problem != nil {
			return fmt.Errorf("partition %d of topic %s is not read: %w", id, s.cfg.Topic, problem)
		}
	}
	return nil
}

// Run implements Source. It stays a member of the group while the delivered
// seeds are finished, commits the last of them and leaves the group.
func (s *KafkaSource) Run(ctx context.Context, out chan<- Delivery) error {
	s.awaitCoordinator(ctx, "", 0)
	if ctx.Err() != nil {
		return nil
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.cfg.Group, Brokers: s.cfg.Brokers, Topics: []string{s.cfg.Topic},
		StartOffset: kafka.FirstOffset, WatchPartitionChanges: true, JoinGroupBackoff: min(s.cfg.RetryDelay, longStep),
		SessionTimeout: s.cfg.SessionTimeout, RebalanceTimeout: s.cfg.SessionTimeout / 3,
		HeartbeatInterval: min(s.cfg.SessionTimeout/10, longestBeat), Dialer: s.dialer,
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
	s.showLag()
	s.transport.CloseIdleConnections()
	return err
}

// follow takes part in one generation of the group after the other until
// membership ends.
func (s *KafkaSource) follow(ctx, membership context.Context, group *kafka.ConsumerGroup, out chan<- Delivery) {
	member, wait := "", firstStep
	for {
		generation, err := group.Next(membership)
		switch {
		case membership.Err() != nil:
			return
		case err != nil:
			s.setUnready(err)
			s.awaitCoordinator(membership, "", 0)
			if member != "" && !errors.Is(err, kafka.RebalanceInProgress) { // else it is still this one
				s.leave(membership, member)
				member = ""
			}
			continue // the group itself waits before it tries again
		case len(generation.Assignments[s.cfg.Topic]) == 0:
			// Nothing to read is normal with more members than partitions. But
			// where the topic is missing the generation is over already.
			if err := s.lookup(membership); err != nil {
				s.setUnready(err)
				pause(membership, wait)
				wait = min(2*wait, s.cfg.RetryDelay)
				continue
			}
		}
		member, wait = generation.MemberID, firstStep
		partitions := s.adopt(generation)
		generation.Start(func(genCtx context.Context) {
			<-genCtx.Done()
			s.awaitCoordinator(membership, generation.MemberID, int(generation.ID)) // the next one waits for this
		})
		for _, p := range partitions {
			generation.Start(func(genCtx context.Context) {
				s.read(ctx, genCtx, p, out)
				<-genCtx.Done() // a function that returns ends the generation
			})
		}
		generation.Start(s.commitLoop)
		generation.Start(s.lagLoop)
	}
}

// lookup returns why the topic cannot be read, nil if it exists.
func (s *KafkaSource) lookup(ctx context.Context) error {
	var err error
	for _, broker := range s.cfg.Brokers {
		if _, err = s.dialer.LookupPartitions(ctx, "tcp", broker, s.cfg.Topic); err == nil {
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
	if unsettled(err) || errors.Is(err, kafka.RebalanceInProgress) {
		level = slog.LevelInfo
	}
	var code kafka.Error
	if errors.As(err, &code) {
		err = errors.New(code.Title()) // the whole text explains the protocol
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

func (s *KafkaSource) commitLoop(generation context.Context) {
	tick := time.NewTicker(s.cfg.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-generation.Done():
			return
		case <-tick.C:
			s.commit()
			s.showLag()
		}
	}
}

// commit tells the group how far each partition is done. A commit that is not
// accepted is repeated by the next one; the broker refuses one of a generation
// that has ended, so a partition that another member owns is never rewound.
func (s *KafkaSource) commit() {
	s.committing.Lock()
	defer s.committing.Unlock()
	generation, moved := s.uncommitted()
	if len(moved) == 0 {
		return
	}
	offsets := map[int]int64{}
	for p, next := range moved {
		offsets[p.id] = next
	}
	if err := generation.CommitOffsets(map[string]map[int]int64{s.cfg.Topic: offsets}); err != nil {
		s.cfg.Log.Warn("offsets not committed; they will be with the next commit, or their seeds are scanned again", "group", s.cfg.Group, "cause", err)
		return
	}
	s.noteCommitted(moved)
}

// uncommitted are the offsets that are to be committed, and in which generation.
func (s *KafkaSource) uncommitted() (*kafka.Generation, map[*partition]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	moved := map[*partition]int64{}
	for _, p := range s.partitions {
		if next := p.checkpoint.next; next > p.committed {
			moved[p] = next
		}
	}
	return s.generation, moved
}

func (s *KafkaSource) noteCommitted(moved map[*partition]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, next := range moved {
		p.committed = next
	}
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
