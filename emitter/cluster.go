package emitter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// cluster knows which broker leads which partition. What it knows is asked for
// again when someone calls refresh, and in the background when it is old.
type cluster struct {
	cfg    *KafkaConfig
	links  *links
	client *kafka.Client
	ctx    context.Context // of requests for metadata
	cancel context.CancelFunc
	under  sync.WaitGroup // goroutines that ask brokers something

	mu     sync.Mutex
	boxes  map[string]*outbox // by address
	topics []string           // that we ask for, sorted
	known  *view              // nil before the first answer
	stale  bool               // known is to be asked for again before it is used
	fetch  *fetch             // under way, or nil
	gen    int                // of the last view
	closed bool
}

// view is what the brokers said of themselves and of our topics.
type view struct {
	gen        int
	at         time.Time
	brokers    []string // their addresses
	controller string   // "" if there is none
	topics     map[string]kafka.Topic
}

// fetch is one request for metadata that many wait for.
type fetch struct {
	topics []string
	done   chan struct{}
	err    error
}

const (
	// viewAge is when a view that nobody complained about is asked for again,
	// for partitions that were added.
	viewAge = 30 * time.Second
	// hedge is how long one broker has to answer what any can before another
	// is asked too.
	hedge = 300 * time.Millisecond
)

func newCluster(cfg *KafkaConfig) *cluster {
	c := &cluster{cfg: cfg, links: newLinks(cfg), boxes: map[string]*outbox{}}
	c.client = &kafka.Client{Transport: c.links, Timeout: cfg.RequestTimeout}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (c *cluster) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.links.close()
	c.under.Wait()
}

// refresh says that the view of that generation led astray. The next one is
// asked for at once; who failed on an older view than the present need not.
func (c *cluster) refresh(gen int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen == gen && !c.stale {
		c.stale = true
		c.begin()
	}
}

// view returns what is known of the topic, asking the brokers if that is
// nothing or was found wanting. The topic itself may be reported missing in it.
func (c *cluster) view(ctx context.Context, topicName string) (*view, error) {
	for {
		c.mu.Lock()
		c.want(topicName)
		if v := c.known; v != nil && !c.stale {
			if _, ok := v.topics[topicName]; ok {
				if time.Since(v.at) > viewAge {
					c.begin()
				}
				c.mu.Unlock()
				return v, nil
			}
		}
		f := c.begin()
		c.mu.Unlock()
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
		if _, asked := slices.BinarySearch(f.topics, topicName); asked && f.err != nil {
			return nil, f.err
		}
	}
}

// fresh is a view that the brokers were asked for after the call. Meanwhile
// others go on with the one before.
func (c *cluster) fresh(ctx context.Context, topicName string) (*view, error) {
	c.mu.Lock()
	c.want(topicName)
	before := c.fetch
	c.mu.Unlock()
	if before != nil {
		if err := before.wait(ctx); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	f := c.begin()
	c.mu.Unlock()
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	if f.err != nil {
		return nil, f.err
	}
	return c.view(ctx, topicName)
}

// want adds a topic to those that are asked for; c.mu is held.
func (c *cluster) want(topicName string) {
	if i, ours := slices.BinarySearch(c.topics, topicName); !ours {
		c.topics = slices.Insert(slices.Clone(c.topics), i, topicName)
	}
}

// wait returns when the answer is there, or with the error of ctx.
func (f *fetch) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin starts to ask for metadata, unless that is being done; c.mu is held.
func (c *cluster) begin() *fetch {
	if c.fetch != nil {
		return c.fetch
	}
	f := &fetch{topics: c.topics, done: make(chan struct{})}
	if c.closed {
		f.err = ErrClosed
		close(f.done)
		return f
	}
	c.fetch = f
	c.under.Add(1)
	go func() {
		defer c.under.Done()
		defer close(f.done)
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.RequestTimeout)
		defer cancel()
		v, err := askAny(ctx, c.addrs(), func(ctx context.Context, addr string) (*view, error) {
			return c.ask(ctx, addr, f.topics)
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		c.fetch = nil
		if f.err = err; err != nil {
			return
		}
		c.gen++
		v.gen = c.gen
		c.known, c.stale = v, false
	}()
	return f
}

// addrs are all brokers that may answer: those known, then those to begin with.
func (c *cluster) addrs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	if c.known != nil {
		out = append(out, c.known.brokers...)
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for _, i := range rand.Perm(len(c.cfg.Brokers)) {
		if b := c.cfg.Brokers[i]; !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// ask asks one broker for metadata.
func (c *cluster) ask(ctx context.Context, addr string, topics []string) (*view, error) {
	md, err := c.client.Metadata(ctx, &kafka.MetadataRequest{Addr: kafka.TCP(addr), Topics: topics})
	if err != nil {
		return nil, err
	}
	if len(md.Brokers) == 0 {
		return nil, fmt.Errorf("broker %s knows of no brokers yet", addr)
	}
	v := &view{at: time.Now(), topics: make(map[string]kafka.Topic, len(md.Topics))}
	for _, b := range md.Brokers {
		v.brokers = append(v.brokers, address(b))
	}
	if md.Controller.Host != "" {
		v.controller = address(md.Controller)
	}
	for _, t := range md.Topics {
		v.topics[t.Name] = t
	}
	for _, name := range topics {
		if _, ok := v.topics[name]; !ok {
			v.topics[name] = kafka.Topic{Name: name, Error: kafka.UnknownTopicOrPartition}
		}
	}
	return v, nil
}

// outbox is where batches for the broker go.
func (c *cluster) outbox(addr string) *outbox {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.boxes[addr]
	if o == nil {
		o = &outbox{links: c.links, addr: addr, ctx: c.ctx, under: &c.under}
		c.boxes[addr] = o
	}
	return o
}

func address(b kafka.Broker) string { return net.JoinHostPort(b.Host, strconv.Itoa(b.Port)) }

// partitions is the number of the topic's partitions, or why there are none.
func (v *view) partitions(topicName string) (int, error) {
	t := v.topics[topicName]
	switch {
	case t.Error != nil:
		return 0, t.Error
	case len(t.Partitions) == 0:
		return 0, kafka.LeaderNotAvailable
	}
	return len(t.Partitions), nil
}

// leader is the address of the broker that leads the partition.
func (v *view) leader(topicName string, partition int) (string, error) {
	t := v.topics[topicName]
	if t.Error != nil {
		return "", t.Error
	}
	for _, p := range t.Partitions {
		switch {
		case p.ID != partition:
		case p.Leader.Host != "":
			return address(p.Leader), nil // even if a replica is away, which Kafka calls an error
		case p.Error != nil:
			return "", fmt.Errorf("partition %d: %w", partition, p.Error)
		default:
			return "", fmt.Errorf("%w: partition %d has no leader", kafka.LeaderNotAvailable, partition)
		}
	}
	return "", kafka.UnknownTopicOrPartition
}

// count is the number of partitions that the topic has as far as is known now,
// 0 if that is not. Old metadata is asked for again in the background.
func (c *cluster) count(topicName string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		return 0
	}
	if time.Since(c.known.at) > viewAge {
		c.begin()
	}
	return len(c.known.topics[topicName].Partitions)
}

// reachable asks for fresh metadata; any answer will do.
func (c *cluster) reachable(ctx context.Context, topicName string) error {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.RequestTimeout, dialLimit))
	defer cancel()
	_, err := c.fresh(ctx, topicName)
	if _, answered := errors.AsType[kafka.Error](err); answered {
		return nil
	}
	return err
}

// create creates the topic; that it exists already is no error.
func (c *cluster) create(ctx context.Context, topicName string) error {
	v, err := c.view(ctx, topicName)
	if err != nil {
		return err
	}
	if v.controller == "" {
		return fmt.Errorf("%w: no controller is known", kafka.BrokerNotAvailable)
	}
	replicas := min(3, len(v.brokers))
	insync := min(2, replicas)
	res, err := c.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Addr: kafka.TCP(v.controller), Topics: []kafka.TopicConfig{{
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

// askAny asks the brokers in turn, a further one whenever the last has failed
// or has not answered for a while, and returns the first answer. An error code
// is an answer. The error is of the one asked last.
func askAny[T any](ctx context.Context, addrs []string, ask func(ctx context.Context, addr string) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan answer, len(addrs))
	var asked sync.WaitGroup
	defer asked.Wait() // soon: cancelled requests end at once
	defer cancel()
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	out := 0
	for next := 0; ; {
		if next < len(addrs) {
			addr := addrs[next]
			next++
			out++
			asked.Go(func() {
				v, err := ask(ctx, addr)
				answers <- answer{v, err}
			})
			timer.Reset(hedge)
		}
		select {
		case a := <-answers:
			out--
			_, code := errors.AsType[kafka.Error](a.err)
			if a.err == nil || code || out == 0 && next == len(addrs) {
				return a.value, a.err
			}
		case <-timer.C:
		}
	}
}
