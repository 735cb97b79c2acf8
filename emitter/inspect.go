package emitter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// InspectConfig says what Inspect looks at.
type InspectConfig struct {
	// Brokers are the bootstrap addresses, host:port. Required.
	Brokers []string
	// Topics that are looked at, existing or not.
	Topics []string
	// Group is the consumer group that reads GroupTopic. Empty: none.
	Group, GroupTopic string
	// Timeout bounds each question; at most three are asked one after the other.
	// Default 5 s.
	Timeout time.Duration
	// Dial is that of KafkaConfig.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Inspection is what brokers say of themselves, of topics and of a group.
type Inspection struct {
	Bootstrap []Endpoint // in the order of the configuration
	// Err is why there is nothing but Bootstrap.
	Err     error
	Brokers []Endpoint // at the addresses that they advertise, by id
	Rights  Rights     // on the cluster
	// ProducerErr is why no producer id is to be had, which idempotent writes
	// need.
	ProducerErr error
	Topics      []TopicFacts // in the order of the configuration
	Group       *GroupFacts  // nil if none was asked for
}

// TopicFacts are what is known of a topic.
type TopicFacts struct {
	Name string
	// Err is why nothing else is known; see IsMissing and IsDenied.
	Err        error
	Partitions int
	Replicas   int   // of the partition with the fewest
	Leaderless []int // partitions without a leader
	Behind     []int // partitions of which a replica is not in sync
	Rights     Rights
	Settings   map[string]string // the topic's, where it has none the broker's
	// SettingsErr is why there are no settings.
	SettingsErr error
}

// Rights are the operations that a broker allows us on a resource (KIP-430).
// They need Kafka 2.3 or newer.
type Rights int32

// Operations, by their numbers in the protocol.
const (
	OpRead            = 3
	OpWrite           = 4
	OpCreate          = 5
	OpDescribe        = 8
	OpDescribeConfigs = 10
)

// unknownRights is what the protocol has for not told.
const unknownRights Rights = -1 << 31

// Known reports whether the broker told. Without an authorizer it allows all.
func (r Rights) Known() bool { return r != unknownRights && r != 0 }

// Allows reports whether the operation is allowed; none is if rights are not
// known.
func (r Rights) Allows(operation int) bool { return r != unknownRights && r>>operation&1 == 1 }

// IsMissing reports whether an error of an Inspection says that the topic does
// not exist.
func IsMissing(err error) bool { return errors.Is(err, kafka.UnknownTopicOrPartition) }

// IsDenied reports whether it says that we lack a right.
func IsDenied(err error) bool {
	return errors.Is(err, kafka.TopicAuthorizationFailed) || errors.Is(err, kafka.GroupAuthorizationFailed) || errors.Is(err, kafka.ClusterAuthorizationFailed)
}

// inspector is one inspection under way.
type inspector struct {
	cfg   InspectConfig
	links *links
	kafka KafkaConfig
	via   []string // addresses that have answered
}

// Inspect asks brokers what a deployment stands on. It changes nothing, but for
// what every start of a worker does: it takes a producer id, and looking for a
// group's coordinator makes Kafka create its topic of offsets. It returns
// within three timeouts, whatever brokers and network do; what could not be
// found out has an error in its place.
func Inspect(ctx context.Context, cfg InspectConfig) *Inspection {
	def(&cfg.Timeout, 5*time.Second)
	in := &inspector{cfg: cfg, kafka: KafkaConfig{Brokers: cfg.Brokers, Dial: cfg.Dial, RequestTimeout: cfg.Timeout}}
	in.kafka.setDefaults()
	in.links = newLinks(&in.kafka)
	defer in.links.close()

	found := &Inspection{Bootstrap: make([]Endpoint, len(cfg.Brokers))}
	for i, addr := range cfg.Brokers {
		found.Bootstrap[i] = Endpoint{ID: -1, Address: addr}
	}
	in.probe(ctx, found.Bootstrap)
	for _, e := range found.Bootstrap {
		if e.Err == nil {
			in.via = append(in.via, e.Address)
		}
	}
	if len(in.via) == 0 {
		found.Err = errors.New("no broker answers")
		return found
	}
	md, err := in.metadata(ctx)
	if err != nil {
		found.Err = fmt.Errorf("asking for metadata: %w", err)
		return found
	}
	found.Rights = Rights(md.ClusterAuthorizedOperations)
	addrs := map[int32]string{}
	for _, b := range md.Brokers {
		addrs[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		found.Brokers = append(found.Brokers, Endpoint{ID: int(b.NodeID), Address: addrs[b.NodeID]})
	}
	slices.SortFunc(found.Brokers, func(a, b Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	topics := map[string]metadata.ResponseTopic{}
	for _, t := range md.Topics {
		topics[t.Name] = t
	}
	for _, name := range cfg.Topics {
		found.Topics = append(found.Topics, topicFacts(name, topics))
	}
	var asking sync.WaitGroup
	asking.Go(func() { in.probe(ctx, found.Brokers) })
	asking.Go(func() { in.settings(ctx, found.Topics) })
	asking.Go(func() { found.ProducerErr = in.producerID(ctx) })
	if cfg.Group != "" {
		asking.Go(func() { found.Group = in.group(ctx, topics[cfg.GroupTopic], addrs) })
	}
	asking.Wait()
	return found
}

// ask sends a request to a broker that has answered before.
func ask[T any](ctx context.Context, in *inspector, req kafka.Request) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.Timeout)
	defer cancel()
	return askAny(ctx, in.via, func(ctx context.Context, addr string) (T, error) { return askOne[T](ctx, in, addr, req) })
}

func askOne[T any](ctx context.Context, in *inspector, addr string, req kafka.Request) (T, error) {
	var none T
	m, err := in.links.RoundTrip(ctx, kafka.TCP(addr), req)
	if err != nil {
		return none, err
	}
	res, ok := m.(T)
	if !ok {
		return none, fmt.Errorf("broker %s answered with a %T", addr, m)
	}
	return res, nil
}

func codeError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}

func (in *inspector) metadata(ctx context.Context) (*metadata.Response, error) {
	names := slices.Clone(in.cfg.Topics)
	if in.cfg.Group != "" && !slices.Contains(names, in.cfg.GroupTopic) {
		names = append(names, in.cfg.GroupTopic)
	}
	md, err := ask[*metadata.Response](ctx, in, &metadata.Request{
		TopicNames: names, IncludeClusterAuthorizedOperations: true, IncludeTopicAuthorizedOperations: true,
	})
	if err == nil && len(md.Brokers) == 0 {
		err = errors.New("the brokers know of no brokers yet")
	}
	return md, err
}

func topicFacts(name string, topics map[string]metadata.ResponseTopic) TopicFacts {
	t, ok := topics[name]
	if !ok {
		return TopicFacts{Name: name, Err: kafka.UnknownTopicOrPartition}
	}
	f := TopicFacts{Name: name, Err: codeError(t.ErrorCode), Partitions: len(t.Partitions), Rights: Rights(t.TopicAuthorizedOperations)}
	for i, p := range t.Partitions {
		if i == 0 || len(p.ReplicaNodes) < f.Replicas {
			f.Replicas = len(p.ReplicaNodes)
		}
		if p.LeaderID < 0 {
			f.Leaderless = append(f.Leaderless, int(p.PartitionIndex))
		}
		if len(p.IsrNodes) < len(p.ReplicaNodes) {
			f.Behind = append(f.Behind, int(p.PartitionIndex))
		}
	}
	slices.Sort(f.Leaderless)
	slices.Sort(f.Behind)
	return f
}

// settings asks for those of the topics that exist.
func (in *inspector) settings(ctx context.Context, topics []TopicFacts) {
	const topicResource = 2
	var req describeconfigs.Request
	for _, t := range topics {
		if t.Err == nil {
			req.Resources = append(req.Resources, describeconfigs.RequestResource{ResourceType: topicResource, ResourceName: t.Name})
		}
	}
	if len(req.Resources) == 0 {
		return
	}
	res, err := ask[*describeconfigs.Response](ctx, in, &req)
	for i := range topics {
		t := &topics[i]
		if t.Err != nil {
			continue
		}
		if t.SettingsErr = err; err != nil {
			continue
		}
		t.SettingsErr = fmt.Errorf("the brokers do not tell the settings of topic %s", t.Name)
		for _, r := range res.Resources {
			if r.ResourceName != t.Name {
				continue
			}
			t.SettingsErr, t.Settings = codeError(r.ErrorCode), map[string]string{}
			for _, e := range r.ConfigEntries {
				t.Settings[e.ConfigName] = e.ConfigValue
			}
		}
	}
}

// producerID takes one.
func (in *inspector) producerID(ctx context.Context) error {
	return in.patiently(ctx, func(ctx context.Context) error {
		res, err := ask[*initproducerid.Response](ctx, in, &initproducerid.Request{TransactionTimeoutMs: 60_000, ProducerID: -1, ProducerEpoch: -1})
		if err != nil {
			return err
		}
		return codeError(res.ErrorCode)
	})
}

// patiently asks again while the brokers say that they are just starting, for as
// long as one question may take.
func (in *inspector) patiently(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, in.cfg.Timeout)
	defer cancel()
	for last := error(nil); ; {
		err := ask(ctx)
		if last != nil && ctx.Err() != nil {
			return last // what the brokers said, not that the time is up
		}
		starting := errors.Is(err, kafka.GroupLoadInProgress) || errors.Is(err, kafka.GroupCoordinatorNotAvailable) || errors.Is(err, kafka.NotCoordinatorForGroup)
		if last = err; !starting || !pauseFor(ctx, firstPause) {
			return err
		}
	}
}
