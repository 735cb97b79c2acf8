package emitter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
)

// producer is an identity under which brokers recognise batches (KIP-98).
type producer struct {
	id    int64
	epoch int16
	gen   int // counts identities; sequence numbers start anew with each
}

// session holds the current producer identity, shared by all partitions.
type session struct {
	cfg   KafkaConfig
	taken func() // called for each identity

	sem chan struct{} // guards the fields below; a channel so that waiting can be cancelled
	p   producer
	ok  bool
}

func newSession(cfg KafkaConfig, taken func()) *session {
	return &session{cfg: cfg, taken: taken, sem: make(chan struct{}, 1)}
}

// get returns the identity, asking a broker for one if there is none.
func (s *session) get(ctx context.Context) (producer, error) {
	select {
	case s.sem <- struct{}{}:
	case <-ctx.Done():
		return producer{}, ctx.Err()
	}
	defer func() { <-s.sem }()
	if s.ok {
		return s.p, nil
	}
	id, epoch, err := s.ask(ctx)
	if err != nil {
		return producer{}, fmt.Errorf("asking for a producer id: %w", err)
	}
	s.p = producer{id: id, epoch: epoch, gen: s.p.gen + 1}
	s.ok = true
	s.taken()
	return s.p, nil
}

// drop gives up the identity of generation gen. Batches under way with it go
// on: their bytes do not change.
func (s *session) drop(gen int) {
	s.sem <- struct{}{}
	if s.p.gen == gen {
		s.ok = false
	}
	<-s.sem
}

// ask takes an identity from any broker. Code 14 means that the broker itself
// waits for its block of ids: ask again.
func (s *session) ask(ctx context.Context) (id int64, epoch int16, err error) {
	order := rand.Perm(len(s.cfg.Brokers))
	pause := 50 * time.Millisecond
	for {
		for _, i := range order {
			id, epoch, err = s.askBroker(ctx, s.cfg.Brokers[i])
			if _, answered := errors.AsType[kafka.Error](err); err == nil || answered || ctx.Err() != nil {
				break
			}
		}
		if !errors.Is(err, kafka.GroupLoadInProgress) && !errors.Is(err, kafka.GroupCoordinatorNotAvailable) {
			return id, epoch, err
		}
		if !pauseFor(ctx, pause) {
			return 0, 0, err
		}
		pause = min(2*pause, time.Second)
	}
}

// askBroker sends InitProducerId over a connection of its own. Client.InitProducerID
// would first look for a transaction coordinator, and that creates the topic
// __transaction_state.
func (s *session) askBroker(ctx context.Context, addr string) (id int64, epoch int16, err error) {
	dctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	nc, err := s.cfg.Dial(dctx, "tcp", addr)
	if err != nil {
		return 0, 0, err
	}
	defer nc.Close()
	if t, ok := dctx.Deadline(); ok {
		if err := nc.SetDeadline(t); err != nil {
			return 0, 0, err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	pc := protocol.NewConn(nc, s.cfg.ClientID)
	if err := negotiate(pc); err != nil {
		return 0, 0, err
	}
	m, err := pc.RoundTrip(&initproducerid.Request{TransactionTimeoutMs: 60_000, ProducerID: -1, ProducerEpoch: -1})
	if err != nil {
		return 0, 0, err
	}
	res, ok := m.(*initproducerid.Response)
	if !ok {
		return 0, 0, fmt.Errorf("broker %s answered InitProducerId with a %T", addr, m)
	}
	if res.ErrorCode != 0 {
		return 0, 0, kafka.Error(res.ErrorCode)
	}
	return res.ProducerID, res.ProducerEpoch, nil
}

// negotiate settles the versions of the requests with a broker.
func negotiate(pc *protocol.Conn) error {
	m, err := pc.RoundTrip(new(apiversions.Request))
	if err != nil {
		return err
	}
	res, ok := m.(*apiversions.Response)
	if !ok {
		return fmt.Errorf("the broker answered ApiVersions with a %T", m)
	}
	if res.ErrorCode != 0 {
		return kafka.Error(res.ErrorCode)
	}
	versions := make(map[protocol.ApiKey]int16, len(res.ApiKeys))
	for _, r := range res.ApiKeys {
		key := protocol.ApiKey(r.ApiKey)
		versions[key] = key.SelectVersion(r.MinVersion, r.MaxVersion)
	}
	pc.SetVersions(versions)
	return nil
}

// pauseFor waits, and reports false when the context ended first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
