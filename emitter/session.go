package emitter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
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
	cluster *cluster
	taken   func() // called for each identity

	sem chan struct{} // guards the fields below; a channel so that waiting can be cancelled
	p   producer
	ok  bool
}

func newSession(c *cluster, taken func()) *session {
	return &session{cluster: c, taken: taken, sem: make(chan struct{}, 1)}
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
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		res, err := askAny(ctx, s.cluster.addrs(), s.askBroker)
		if err == nil {
			return res.ProducerID, res.ProducerEpoch, nil
		}
		busy := errors.Is(err, kafka.GroupLoadInProgress) || errors.Is(err, kafka.GroupCoordinatorNotAvailable)
		if !busy || !pauseFor(ctx, pause) {
			return 0, 0, err
		}
	}
}

// askBroker sends InitProducerId to one broker. Client.InitProducerID would
// first look for a transaction coordinator, and that creates the topic
// __transaction_state.
func (s *session) askBroker(ctx context.Context, addr string) (*initproducerid.Response, error) {
	m, err := s.cluster.links.RoundTrip(ctx, kafka.TCP(addr),
		&initproducerid.Request{TransactionTimeoutMs: 60_000, ProducerID: -1, ProducerEpoch: -1})
	if err != nil {
		return nil, err
	}
	res, ok := m.(*initproducerid.Response)
	if !ok {
		return nil, fmt.Errorf("broker %s answered InitProducerId with a %T", addr, m)
	}
	if res.ErrorCode != 0 {
		return nil, kafka.Error(res.ErrorCode)
	}
	return res, nil
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
