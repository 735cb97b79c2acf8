package emitter

import (
	"context"
	"fmt"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// mechanism is that of the configuration, with the secrets of this moment. Its
// errors do not tell them.
func (s Security) mechanism() (sasl.Mechanism, error) {
	user, err := s.Username.Read()
	if err != nil {
		return nil, configFault("Username: %v", err)
	}
	password, err := s.Password.Read()
	if err != nil {
		return nil, configFault("Password: %v", err)
	}
	if user == "" || password == "" {
		return nil, configFault("Username and Password: both for protocol %s", s.Protocol)
	}
	switch s.Mechanism {
	case "", "PLAIN":
		return plain.Mechanism{Username: user, Password: password}, nil
	case "SCRAM-SHA-256", "SCRAM-SHA-512":
		algorithm := scram.SHA256
		if s.Mechanism == "SCRAM-SHA-512" {
			algorithm = scram.SHA512
		}
		m, err := scram.Mechanism(algorithm, user, password)
		if err != nil {
			return nil, configFault("Username and Password: not fit for SCRAM (RFC 4013)")
		}
		return m, nil
	}
	return nil, configFault("Mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (got %q)", s.Mechanism)
}

func configFault(format string, args ...any) error {
	return &ConfigError{[]string{fmt.Sprintf(format, args...)}}
}

// authenticate does the SASL exchange (KIP-43, KIP-152) on a new connection.
// Kafka-go's Transport and Dialer would do it each in its own way; done here it
// is the same for everyone who dials.
func (s Security) authenticate(ctx context.Context, nc net.Conn, address string) error {
	m, err := s.mechanism()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	// It reads ahead, but a broker says nothing unasked: no byte is left in it.
	pc := protocol.NewConn(nc, "typostream")
	if _, err := negotiate(ctx, pc); err != nil {
		return fmt.Errorf("asking broker %s for its versions: %w", address, err)
	}
	res, err := roundTrip[*saslhandshake.Response](pc, &saslhandshake.Request{Mechanism: m.Name()})
	if err != nil {
		return fmt.Errorf("SASL with broker %s: %w", address, err)
	}
	if res.ErrorCode != 0 {
		return fmt.Errorf("SASL with broker %s: it offers %v, not %s: %w", address, res.Mechanisms, m.Name(), kafka.Error(res.ErrorCode))
	}
	if err := converse(ctx, pc, m, address); err != nil {
		return fmt.Errorf("SASL %s with broker %s: %w", m.Name(), address, err)
	}
	return nil
}

func converse(ctx context.Context, pc *protocol.Conn, m sasl.Mechanism, address string) error {
	host, _, _ := net.SplitHostPort(address)
	machine, say, err := m.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: host}))
	for done := false; err == nil && !done; {
		var res *saslauthenticate.Response
		res, err = roundTrip[*saslauthenticate.Response](pc, &saslauthenticate.Request{AuthBytes: say})
		switch {
		case err != nil: // a broker that restarts, say; a refusal is a code since Kafka 1.0 (KIP-152)
			return err
		case res.ErrorCode != 0:
			return fmt.Errorf("%w: %s", kafka.Error(res.ErrorCode), res.ErrorMessage)
		}
		done, say, err = machine.Next(ctx, res.AuthBytes)
	}
	return err
}

func roundTrip[T protocol.Message](pc *protocol.Conn, req protocol.Message) (res T, err error) {
	m, err := pc.RoundTrip(req)
	if err != nil {
		return res, err
	}
	res, ok := m.(T)
	if !ok {
		return res, fmt.Errorf("it answered a %T with a %T", req, m)
	}
	return res, nil
}
