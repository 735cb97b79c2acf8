package emitter

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// KafkaConfig configures NewKafka. The zero value of every field but Brokers
// means its default.
type KafkaConfig struct {
	// Brokers are the bootstrap addresses, host:port. Required.
	Brokers []string
	// ClientID is how the brokers know us. Default "typostream".
	ClientID string
	// Attempts per batch before its messages go to the spool. Default 3.
	Attempts int
	// Backoff is the wait after the first failed attempt; it doubles, varies
	// by a fifth either way, and is capped at BackoffMax. Default 1 s.
	Backoff time.Duration
	// BackoffMax caps Backoff. Default 10 s.
	BackoffMax time.Duration
	// RequestTimeout bounds one attempt, metadata included; the brokers get
	// half of it to replicate. When it is over the outcome is unknown.
	// Default 10 s.
	RequestTimeout time.Duration
	// DeliveryTimeout bounds a batch's attempts and the waits between them; a
	// message waits before that for the batches ahead of it. When it is over
	// the batch goes to the spool, whatever attempts are left. Default 30 s.
	DeliveryTimeout time.Duration
	// TopicWait is how long a batch waits for a topic just created or a leader
	// being elected before that costs an attempt; a topic still missing then
	// is reported as missing. Negative: no wait. Default 10 s.
	TopicWait time.Duration
	// BreakerPeriod is how long messages go to the spool at once after a batch
	// has failed for good; then one batch probes. Default 10 s.
	BreakerPeriod time.Duration
	// Linger is how long a batch that is not full waits for company. Default
	// 0: what arrives while a batch is under way forms the next.
	Linger time.Duration
	// BatchBytes closes a batch, by the size of its keys and values before
	// compression. One larger message travels alone. Default 512 KiB; keep it
	// below the topics' max.message.bytes.
	BatchBytes int
	// QueueBytes bounds the keys and values inside the emitter; Emit waits
	// when they are more. Default 32 MiB.
	QueueBytes int
	// Compression is none, gzip, snappy, lz4 or zstd. Default lz4.
	Compression string
	// CreateTopics lets the emitter create a missing topic: 12 partitions,
	// replication of at most 3, min.insync.replicas 2 where that fits, 7 days.
	CreateTopics bool
	// EmitRate bounds the new messages a second that Emit lets in; it waits
	// for its turn. When Close gives up waiting the limit ends, and what waits
	// goes to the spool. Default 0: no bound.
	EmitRate int
	// EmitBurst is how many may come at once after a quiet time; a larger slice
	// goes in portions of that size. Default: EmitRate, a second's worth.
	EmitBurst int
	// ReplayRate bounds the events a second that Run and Drain send from the
	// spool, so that they do not crowd out new ones. Negative: no bound. Default
	// 5,000.
	ReplayRate int
	// DeadLetterTopic gets a copy of every dead letter; the file is the truth,
	// and a copy that cannot be delivered is counted and let go. Empty: none.
	DeadLetterTopic string
	// Tracer makes a span of each batch on its way to its partition, linked to
	// the spans that its callers are in. Default none, which costs nothing.
	Tracer trace.Tracer
	// Dial opens connections to brokers, for TLS and SASL (see Security) and
	// for tests. Default Security{}.Dial, which is plain TCP within 3 s.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets attempts that failed and changes of state. Default
	// slog.Default().
	Log *slog.Logger
}

// dialLimit bounds the opening of one connection.
const dialLimit = 3 * time.Second

func (c *KafkaConfig) setDefaults() {
	def(&c.ClientID, "typostream")
	def(&c.Attempts, 3)
	def(&c.Backoff, time.Second)
	def(&c.BackoffMax, 10*time.Second)
	def(&c.RequestTimeout, 10*time.Second)
	def(&c.DeliveryTimeout, 30*time.Second)
	def(&c.TopicWait, 10*time.Second)
	def(&c.BreakerPeriod, 10*time.Second)
	def(&c.BatchBytes, 512<<10)
	def(&c.QueueBytes, 32<<20)
	def(&c.Compression, "lz4")
	def(&c.ReplayRate, 5000)
	if c.Dial == nil {
		c.Dial = Security{}.Dial
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Validate returns a *ConfigError with every fault, or nil. It changes nothing.
func (c KafkaConfig) Validate() error {
	c.setDefaults()
	var faults []string
	rule := func(ok bool, field, rule string, got any) {
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: %s (got %v)", field, rule, got))
		}
	}
	rule(len(c.Brokers) > 0, "Brokers", "at least one", c.Brokers)
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		rule(err == nil && host != "" && port != "", "Brokers", "host:port", b)
	}
	rule(c.Attempts > 0 && c.Attempts <= 100, "Attempts", "1 to 100", c.Attempts)
	rule(c.Backoff > 0, "Backoff", "positive", c.Backoff)
	rule(c.BackoffMax > 0, "BackoffMax", "positive", c.BackoffMax)
	rule(c.RequestTimeout > 0, "RequestTimeout", "positive", c.RequestTimeout)
	rule(c.DeliveryTimeout > 0, "DeliveryTimeout", "positive", c.DeliveryTimeout)
	rule(c.BreakerPeriod > 0, "BreakerPeriod", "positive", c.BreakerPeriod)
	rule(c.Linger >= 0, "Linger", "not negative", c.Linger)
	rule(c.BatchBytes > 0, "BatchBytes", "positive", c.BatchBytes)
	rule(c.QueueBytes > 0, "QueueBytes", "positive", c.QueueBytes)
	rule(c.EmitRate >= 0, "EmitRate", "not negative", c.EmitRate)
	rule(c.EmitBurst >= 0, "EmitBurst", "not negative", c.EmitBurst)
	rule(slices.Contains(codecNames, c.Compression), "Compression", "none, gzip, snappy, lz4 or zstd", c.Compression)
	rule(c.DeadLetterTopic == "" || legalTopic(c.DeadLetterTopic), "DeadLetterTopic", "a legal topic name", c.DeadLetterTopic)
	if len(faults) > 0 {
		return &ConfigError{faults}
	}
	return nil
}

// ConfigError lists the faults of a configuration, each as
// "field: rule (got value)".
type ConfigError struct{ Faults []string }

func (e *ConfigError) Error() string { return strings.Join(e.Faults, "; ") }

// Hint says what to do, for people.
func (e *ConfigError) Hint() string { return "correct the settings of the emitter named above" }
