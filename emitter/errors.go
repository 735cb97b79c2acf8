package emitter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/segmentio/kafka-go"
)

var (
	errBreaker       = errors.New("Kafka did not take events a moment ago")
	errBehind        = errors.New("an older event of the same key is in the spool")
	errNoDeadLetters = errors.New("no file for dead letters is set")
)

// SpoolError reports that neither Kafka nor the spool took a message.
type SpoolError struct {
	Kafka error // why Kafka did not
	Err   error // why the disk did not
}

func (e *SpoolError) Error() string {
	return fmt.Sprintf("spool: %v (after Kafka: %v)", e.Err, e.Kafka)
}

func (e *SpoolError) Unwrap() error { return e.Err }

// Hint says what to do, for people.
func (e *SpoolError) Hint() string {
	return "free space in OUTPUT_DIR or make it writable, and bring Kafka back; nothing was dropped that the caller has not kept"
}

// KafkaError reports that Kafka did not take messages.
type KafkaError struct {
	Topic    string
	Attempts int
	Code     int // Kafka's error code, 0 if none came
	Err      error
	hint     string
}

func (e *KafkaError) Error() string {
	return fmt.Sprintf("topic %s: %s", e.Topic, brief(e.Err))
}

func (e *KafkaError) Unwrap() error { return e.Err }

// Hint says what to do, for people.
func (e *KafkaError) Hint() string { return e.hint }

// hintFor is the advice that belongs to a verdict.
func hintFor(topicName string, v verdict) string {
	switch v.code {
	case kafka.UnknownTopicOrPartition:
		return missingHint(topicName)
	case kafka.TopicAuthorizationFailed:
		return "grant WRITE and DESCRIBE on topic " + topicName + " to this user"
	case kafka.ClusterAuthorizationFailed:
		return "grant IDEMPOTENT_WRITE on the cluster to this user"
	case kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState, kafka.SASLAuthenticationFailed:
		return "check the security protocol, SASL mechanism, user and password"
	case kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend:
		return "bring brokers back until min.insync.replicas of topic " + topicName + " is met"
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return "raise max.message.bytes of topic " + topicName
	}
	if _, ok := errors.AsType[*tlsError](v.err); ok {
		return "check the security protocol of this port, the CA file and, if the brokers ask for one, the client's certificate"
	}
	return "check that the brokers are up and that their addresses are right and reachable from here"
}

func missingHint(topicName string) string {
	return "create it (kafka-topics --create --topic " + topicName +
		" --partitions 12 --replication-factor 3) or set KAFKA_CREATE_TOPICS=true"
}

// brief is an error's text for a log line: without kafka-go's method names,
// on one line, bounded.
func brief(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if rest, ok := strings.CutPrefix(s, "kafka.(*Client)."); ok {
		if _, after, ok := strings.Cut(rest, ": "); ok {
			s = after
		}
	}
	s = strings.Join(strings.Fields(s), " ")
	const most = 300
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
