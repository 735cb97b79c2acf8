package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/typostream/typostream/emitter"
)

// This file lists the options of connections to Kafka and of the producer. They
// have Kafka's own names.

func securityOptions() []option {
	security := func(s *settings) *emitter.Security { return &s.Security }
	return []option{
		{
			name: "security-protocol", env: []string{"KAFKA_SECURITY_PROTOCOL"}, value: "PLAINTEXT",
			usage: "`PROTOCOL` of the brokers' port: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
			set:   oneOf(func(s *settings) *string { return &security(s).Protocol }, "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
		},
		{
			name: "sasl-mechanism", env: []string{"KAFKA_SASL_MECHANISM"}, value: "PLAIN",
			usage: "`MECHANISM` of a SASL protocol: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512",
			set:   oneOf(func(s *settings) *string { return &security(s).Mechanism }, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
		},
		{
			name: "sasl-username", env: []string{"KAFKA_SASL_USERNAME"},
			usage: "`USER` of a SASL protocol", set: text(func(s *settings) *string { return &security(s).Username.Value }),
		},
		{
			name: "sasl-username-file", env: []string{"KAFKA_SASL_USERNAME_FILE"},
			usage: "`FILE` that holds the user, read for each connection", set: text(func(s *settings) *string { return &security(s).Username.File }),
		},
		{
			name: "sasl-password", env: []string{"KAFKA_SASL_PASSWORD"}, secret: true,
			usage: "`PASSWORD` of a SASL protocol; other users of the machine can see it as a flag", set: text(func(s *settings) *string { return &security(s).Password.Value }),
		},
		{
			name: "sasl-password-file", env: []string{"KAFKA_SASL_PASSWORD_FILE"},
			usage: "`FILE` that holds the password, read for each connection", set: text(func(s *settings) *string { return &security(s).Password.File }),
		},
		{
			name: "ssl-ca-file", env: []string{"KAFKA_SSL_CA_FILE"},
			usage: "PEM `FILE` of the authorities that may vouch for a broker; the system's if none", set: text(func(s *settings) *string { return &security(s).CAFile }),
		},
		{
			name: "ssl-cert-file", env: []string{"KAFKA_SSL_CERT_FILE"},
			usage: "PEM `FILE` of our certificate, where brokers ask for one", set: text(func(s *settings) *string { return &security(s).CertFile }),
		},
		{
			name: "ssl-key-file", env: []string{"KAFKA_SSL_KEY_FILE"},
			usage: "PEM `FILE` of its key, without a passphrase", set: text(func(s *settings) *string { return &security(s).KeyFile }),
		},
	}
}

func producerOptions() []option {
	return []option{
		{
			name: "compression", env: []string{"KAFKA_COMPRESSION_TYPE"}, value: "lz4",
			usage: "`TYPE` of compression: none, gzip, snappy, lz4, zstd", set: oneOf(func(s *settings) *string { return &s.Compression }, "none", "gzip", "snappy", "lz4", "zstd"),
		},
		{
			name: "linger", env: []string{"KAFKA_LINGER_MS"}, value: "0ms",
			usage: "`TIME` that a batch waits for company; what comes while one is under way forms the next anyhow",
			set:   milliseconds(0, time.Minute, func(s *settings) *time.Duration { return &s.Linger }),
		},
		{
			name: "batch-size", env: []string{"KAFKA_BATCH_SIZE"}, value: "524288",
			usage: "`BYTES` of a batch before compression, below the topics' max.message.bytes", set: count(1, 64<<20, func(s *settings) *int { return &s.BatchBytes }),
		},
		{
			name: "buffer-memory", env: []string{"KAFKA_BUFFER_MEMORY"}, value: "33554432",
			usage: "`BYTES` of messages that may be under way; then the scan waits", set: count(1, math.MaxInt32, func(s *settings) *int { return &s.QueueBytes }),
		},
		{
			name: "request-timeout", env: []string{"KAFKA_REQUEST_TIMEOUT_MS"}, value: "10s",
			usage: "longest `TIME` of one attempt", set: milliseconds(100*time.Millisecond, time.Hour, func(s *settings) *time.Duration { return &s.RequestTimeout }),
		},
		{
			name: "delivery-timeout", env: []string{"KAFKA_DELIVERY_TIMEOUT_MS"}, value: "30s",
			usage: "longest `TIME` of all attempts of a batch; then it goes to the spool", set: milliseconds(100*time.Millisecond, time.Hour, func(s *settings) *time.Duration { return &s.DeliveryTimeout }),
		},
	}
}

// emitRateOptions bound what a scan or a worker asks of a cluster that others use too.
func emitRateOptions() []option {
	return []option{
		{
			name: "emit-rate", env: []string{"EMIT_RATE"}, value: "0",
			usage: "send at most `N` new events a second; then the scan waits; 0 for no bound", set: count(0, 10_000_000, func(s *settings) *int { return &s.EmitRate }),
		},
		{
			name: "emit-burst", env: []string{"EMIT_BURST"}, value: "0",
			usage: "of these at most `N` at once after a quiet time; 0 for a second's worth", set: count(0, 10_000_000, func(s *settings) *int { return &s.EmitBurst }),
		},
	}
}

// milliseconds accepts a bare number as Kafka does, and Go's notation.
func milliseconds(low, high time.Duration, field func(*settings) *time.Duration) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		d, err := time.ParseDuration(value)
		if n, e := strconv.ParseInt(value, 10, 32); e == nil {
			d, err = time.Duration(n)*time.Millisecond, nil
		}
		if err != nil || d < low || d > high {
			return fmt.Errorf("must be milliseconds or a duration such as 5s, from %v to %v", low, high)
		}
		*field(s) = d
		return nil
	}
}
