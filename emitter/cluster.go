package emitter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// metadataTTL bounds the age of cached metadata. kafka-go uses it as the
// deadline of the metadata request too, so it must not be short.
const metadataTTL = 4 * time.Second

// cluster holds kafka-go's client. The client's transport caches partition
// leaders and routes to them; it does not notice by itself when a leader has
// moved, so refresh throws the cache away.
type cluster struct {
	cfg KafkaConfig

	mu        sync.Mutex
	topics    []string // whose metadata the transport asks for
	transport *kafka.Transport
	client    *kafka.Client
	gen       int // counts refreshes

	open connSet
}

func newCluster(cfg KafkaConfig) *cluster { return &cluster{cfg: cfg} }

// connSet knows all open connections: kafka-go leaves those that wait for an
// answer alone until their deadline, even when it is closed.
type connSet struct {
	mu     sync.Mutex
	conns  map[*trackedConn]struct{}
	closed bool
}

type trackedConn struct {
	net.Conn
	set *connSet
}

// Write marks an error: a broker acts on whole requests only, so of a request
// that could not be written to its end nothing was appended.
func (c *trackedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && n < len(b) {
		err = &unsentError{err}
	}
	return n, err
}

// unsentError is an error of writing a request.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

func (c *trackedConn) Close() error {
	c.set.mu.Lock()
	delete(c.set.conns, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

func (s *connSet) add(nc net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = nc.Close() // nothing was sent on it
		return nil, ErrClosed
	}
	if s.conns == nil {
		s.conns = map[*trackedConn]struct{}{}
	}
	c := &trackedConn{nc, s}
	s.conns[c] = struct{}{}
	return c, nil
}

func (s *connSet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		_ = c.Conn.Close() // whoever waits on it is told by its own error
	}
}

func (c *cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := c.cfg.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c.open.add(nc)
}

// use returns a client that knows the topic, and the generation of its cache.
func (c *cluster) use(topicName string) (*kafka.Client, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := slices.BinarySearch(c.topics, topicName); !ok || c.client == nil {
		if !ok {
			// A new slice: the old transport may be reading the old one.
			c.topics = slices.Insert(slices.Clone(c.topics), i, topicName)
		}
		c.replace()
	}
	return c.client, c.gen
}

// replace makes a new transport for c.topics; requests under way end on the
// old one.
func (c *cluster) replace() {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	c.gen++
	c.transport = &kafka.Transport{
		Dial:           c.dial,
		DialTimeout:    dialLimit,
		ClientID:       c.cfg.ClientID,
		MetadataTTL:    metadataTTL,
		MetadataTopics: c.topics,
	}
	c.client = &kafka.Client{
		Addr:      kafka.TCP(c.cfg.Brokers...),
		Timeout:   c.cfg.RequestTimeout,
		Transport: c.transport,
	}
}

// refresh forgets the metadata of generation gen. Who failed on older metadata
// than the present asks in vain: the others have refreshed already.
func (c *cluster) refresh(gen int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen == gen && c.transport != nil {
		c.transport.CloseIdleConnections()
		c.gen++
	}
}

func (c *cluster) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	c.open.closeAll()
}

// lookup returns the topic's metadata as cached; the error is that of the
// metadata request or of the topic.
func (c *cluster) lookup(ctx context.Context, topicName string) (kafka.Topic, int, error) {
	client, gen := c.use(topicName)
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topicName}})
	if err != nil {
		return kafka.Topic{}, gen, err
	}
	if len(res.Topics) != 1 {
		return kafka.Topic{}, gen, fmt.Errorf("metadata of %d topics came for one", len(res.Topics))
	}
	t := res.Topics[0]
	switch {
	case t.Error != nil:
		return t, gen, t.Error
	case len(t.Partitions) == 0:
		return t, gen, kafka.LeaderNotAvailable
	}
	return t, gen, nil
}

// explain turns kafka-go's "no such topic, partition or leader", which it also
// says when it has no metadata at all, into the true cause.
func (c *cluster) explain(ctx context.Context, topicName string, partition int, err error) error {
	if !errors.Is(err, protocol.ErrNoTopic) && !errors.Is(err, protocol.ErrNoPartition) && !errors.Is(err, protocol.ErrNoLeader) {
		return err
	}
	t, _, lerr := c.lookup(ctx, topicName)
	if lerr != nil {
		return lerr
	}
	for _, p := range t.Partitions {
		if p.ID == partition {
			return fmt.Errorf("%w: partition %d has no leader", kafka.LeaderNotAvailable, partition)
		}
	}
	return kafka.UnknownTopicOrPartition
}

// reachable asks for fresh metadata; any answer will do.
func (c *cluster) reachable(ctx context.Context, topicName string) error {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.RequestTimeout, dialLimit))
	defer cancel()
	_, gen := c.use(topicName)
	c.refresh(gen)
	_, _, err := c.lookup(ctx, topicName)
	if _, answered := errors.AsType[kafka.Error](err); answered {
		return nil
	}
	return err
}

// create creates the topic; that it exists already is no error.
func (c *cluster) create(ctx context.Context, topicName string) error {
	client, _ := c.use(topicName)
	md, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topicName}})
	if err != nil {
		return err
	}
	replicas := max(1, min(3, len(md.Brokers)))
	insync := max(1, min(2, replicas-1))
	res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topicName, NumPartitions: 12, ReplicationFactor: replicas,
		ConfigEntries: []kafka.ConfigEntry{
			{ConfigName: "min.insync.replicas", ConfigValue: strconv.Itoa(insync)},
			{ConfigName: "retention.ms", ConfigValue: "604800000"},
		},
	}}})
	if err != nil {
		return err
	}
	if err := res.Errors[topicName]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return err
	}
	return nil
}
