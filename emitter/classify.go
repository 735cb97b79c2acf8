package emitter

import (
	"errors"

	"github.com/segmentio/kafka-go"
)

// outcome is what is known of a batch after an attempt.
type outcome uint8

const (
	acked    outcome = iota // in the log of all in-sync replicas
	rejected                // certainly not in the log
	unknown                 // may be in the log
)

// class is what follows from an answer.
type class uint8

const (
	classAcked   class = iota // done
	classRetry                // rejected for now: same bytes again, then the spool
	classUnknown              // no certain answer: same bytes again, then the spool, marked unknown
	classSession              // the producer id is no longer good: a new one, then again
	classRecord               // a record's own fault: find it, dead letter
	classConfig               // only people can mend it: spool at once, breaker open
)

func (c class) outcome() outcome {
	switch c {
	case classAcked:
		return acked
	case classUnknown:
		return unknown
	}
	return rejected
}

// scope is how much of Kafka a failure concerns; each has its breaker.
type scope uint8

const (
	scopeCluster scope = iota
	scopeTopic
	scopePartition
)

// rule is the row of one error code.
type rule struct {
	class class
	// wait: the cluster is busy with it (a topic just created, a leader
	// moving): short waits up to TopicWait before it costs an attempt.
	wait bool
	// refresh: our metadata is out of date.
	refresh bool
	// retryFirst: a classRecord that may be an accident on the way.
	retryFirst bool
	scope      scope // of a classConfig
	why        string
}

// ruleFor is the table of all error codes of Kafka's protocol that mean
// something for a produce request. Codes it does not name are of unknown
// outcome: only a definite no is a no.
func ruleFor(code kafka.Error) rule {
	switch code {
	case 0:
		return rule{class: classAcked, why: "acknowledged by all in-sync replicas"}
	case kafka.DuplicateSequenceNumber: // 46
		return rule{class: classAcked, why: "an earlier attempt appended it"}

	case kafka.UnknownTopicOrPartition: // 3
		return rule{class: classRetry, wait: true, refresh: true, why: "checked before the append; a new topic reaches all brokers within seconds"}
	case kafka.LeaderNotAvailable: // 5
		return rule{class: classRetry, wait: true, refresh: true, why: "an election is under way, nobody could append"}
	case kafka.NotLeaderForPartition: // 6
		return rule{class: classRetry, wait: true, refresh: true, why: "only leaders append; ask for the new one"}
	case kafka.BrokerNotAvailable: // 8
		return rule{class: classRetry, refresh: true, why: "kafka-go knows no such broker: nothing was sent"}
	case kafka.ReplicaNotAvailable: // 9
		return rule{class: classRetry, refresh: true, why: "checked before the append"}
	case kafka.GroupLoadInProgress: // 14
		return rule{class: classRetry, why: "the broker fetches its block of producer ids: nothing was sent"}
	case kafka.NotEnoughReplicas: // 19
		return rule{class: classRetry, why: "checked before the append"}
	case kafka.KafkaStorageError: // 56
		return rule{class: classRetry, refresh: true, why: "the log directory is offline; another replica will lead"}
	case kafka.FencedLeaderEpoch: // 74
		return rule{class: classRetry, refresh: true, why: "our leader epoch is old, checked before the append"}
	case kafka.UnknownLeaderEpoch: // 75
		return rule{class: classRetry, refresh: true, why: "the broker's leader epoch is old, checked before the append"}
	case kafka.ThrottlingQuotaExceeded: // 89
		return rule{class: classRetry, why: "refused by quota before the append"}

	case kafka.OutOfOrderSequenceNumber: // 45
		return rule{class: classSession, why: "the log lost batches of this producer id, or never had them"}
	case kafka.InvalidProducerEpoch: // 47
		return rule{class: classSession, why: "the producer id was taken over"}
	case kafka.UnknownProducerId: // 59
		return rule{class: classSession, why: "the broker forgot the producer id (retention or expiry)"}

	case kafka.InvalidMessage: // 2
		return rule{class: classRecord, retryFirst: true, why: "the checksum did not match; damage on the way heals by sending again"}
	case kafka.MessageSizeTooLarge: // 10
		return rule{class: classRecord, why: "over max.message.bytes; alone it stays so"}
	case kafka.RecordListTooLarge: // 18
		return rule{class: classRecord, why: "over the segment's size; alone it stays so"}
	case kafka.InvalidTimestamp: // 32
		return rule{class: classRecord, why: "outside message.timestamp.*.max.ms"}
	case kafka.InvalidRecord: // 87
		return rule{class: classRecord, why: "the topic does not take such a record (no key on a compacted topic)"}

	case kafka.InvalidTopic: // 17
		return rule{class: classConfig, scope: scopeTopic, why: "the topic's name is illegal or internal"}
	case kafka.TopicAuthorizationFailed: // 29
		return rule{class: classConfig, scope: scopeTopic, why: "no WRITE permission on the topic"}
	case kafka.ClusterAuthorizationFailed: // 31
		return rule{class: classConfig, scope: scopeCluster, why: "no IDEMPOTENT_WRITE permission on the cluster"}
	case kafka.UnsupportedSASLMechanism: // 33
		return rule{class: classConfig, scope: scopeCluster, why: "the listener does not offer the SASL mechanism"}
	case kafka.IllegalSASLState: // 34
		return rule{class: classConfig, scope: scopeCluster, why: "the listener wants SASL and we sent none"}
	case kafka.PolicyViolation: // 44
		return rule{class: classConfig, scope: scopeTopic, why: "the brokers' policy refuses it"}
	case kafka.SASLAuthenticationFailed: // 58
		return rule{class: classConfig, scope: scopeCluster, why: "user or password is wrong"}

	case kafka.Unknown: // -1
		return rule{class: classUnknown, why: "UNKNOWN_SERVER_ERROR may come after the append"}
	case kafka.RequestTimedOut: // 7
		return rule{class: classUnknown, why: "appended by the leader, not by all in-sync replicas in time"}
	case kafka.NetworkException: // 13
		return rule{class: classUnknown, refresh: true, why: "the connection broke before the answer"}
	case kafka.NotEnoughReplicasAfterAppend: // 20
		return rule{class: classUnknown, why: "appended by the leader while replicas dropped out"}
	}
	return rule{class: classUnknown, why: "not a definite refusal of a produce request"}
}

// verdict is the judgement on one attempt.
type verdict struct {
	rule
	code kafka.Error // 0 if Kafka gave none
	err  error
}

// judge classifies the end of an attempt. sent tells whether a byte of the
// batch may have left this process; if none did, an error that is no answer of
// Kafka is a definite no.
func judge(err error, sent bool) verdict {
	if err == nil {
		return verdict{rule: ruleFor(0)}
	}
	if code, ok := errors.AsType[kafka.Error](err); ok {
		v := verdict{rule: ruleFor(code), code: code, err: err}
		if v.class == classUnknown && !sent {
			v.class = classRetry
		}
		return v
	}
	v := verdict{err: err}
	if sent {
		v.rule = rule{class: classUnknown, refresh: true, why: "the answer was lost"}
	} else {
		v.rule = rule{class: classRetry, refresh: true, why: "no connection to the leader, nothing was sent"}
	}
	return v
}
