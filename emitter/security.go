package emitter

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
)

// Security says how connections to brokers are protected. Its Dial is for the
// emitter and for whoever else talks to Kafka. Files are read anew for each
// connection, so that what is rotated in them needs no restart.
type Security struct {
	// Protocol is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Default PLAINTEXT.
	Protocol string
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. Default PLAIN. It
	// counts with a SASL protocol only, as do Username and Password.
	Mechanism          string
	Username, Password Secret
	// CAFile holds the PEM certificates of the authorities that are trusted;
	// empty: the system's. It counts with an SSL protocol only, as do CertFile
	// and KeyFile: our certificate and its key, both or neither.
	CAFile, CertFile, KeyFile string
}

// Secret is a value that is never printed, or the file that holds it. Of a
// file's content one line feed at the end is left out.
type Secret struct{ Value, File string }

// String does not tell the value.
func (s Secret) String() string {
	switch {
	case s.File != "":
		return "(from " + s.File + ")"
	case s.Value != "":
		return "(redacted)"
	}
	return ""
}

// GoString does not tell the value.
func (s Secret) GoString() string { return s.String() }

// LogValue does not tell the value.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Read returns the value, without a line feed at its end, reading the file anew.
func (s Secret) Read() (string, error) {
	if s.File == "" {
		return s.Value, nil
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

func (s Security) sasl() bool { return strings.HasPrefix(s.Protocol, "SASL_") }
func (s Security) tls() bool  { return strings.HasSuffix(s.Protocol, "SSL") }

// Validate returns a *ConfigError with every fault, or nil. The files must be
// readable.
func (s Security) Validate() error {
	var faults []string
	switch s.Protocol {
	case "", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL":
	default:
		faults = append(faults, fmt.Sprintf("Protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (got %q)", s.Protocol))
	}
	if s.sasl() {
		if _, err := s.mechanism(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if s.tls() {
		if _, err := s.tlsConfig(""); err != nil {
			faults = append(faults, err.Error())
		}
	}
	if len(faults) > 0 {
		return &ConfigError{faults}
	}
	return nil
}

func (s Security) tlsConfig(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CAFile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CAFile: no certificate in PEM form (got %s)", s.CAFile)
		}
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		return nil, errors.New("CertFile and KeyFile: both or neither")
	}
	if s.CertFile != "" {
		cert, err := readKeyPair(s.CertFile, s.KeyFile)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// readKeyPair is tls.LoadX509KeyPair with errors that name the file.
func readKeyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("CertFile: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("KeyFile: %w", err)
	}
	if bytes.Contains(key, []byte("ENCRYPTED")) {
		return tls.Certificate{}, fmt.Errorf("KeyFile: a key without a passphrase (got %s)", keyFile)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("CertFile and KeyFile: %w", err)
	}
	return pair, nil
}

// Dial opens a connection to a broker, within 3 s, and has it authenticated.
// A refusal by the broker is a kafka.Error in the error's chain.
func (s Security) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if s.tls() {
		if nc, err = s.encrypt(ctx, nc, address); err != nil {
			return nil, err
		}
	}
	if s.sasl() {
		if err := s.authenticate(ctx, nc, address); err != nil {
			_ = nc.Close() // nothing of ours was sent on it
			return nil, err
		}
	}
	return nc, nil
}

func (s Security) encrypt(ctx context.Context, nc net.Conn, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	config, err := s.tlsConfig(host)
	if err == nil {
		tc := tls.Client(nc, config)
		if err = tc.HandshakeContext(ctx); err == nil {
			return tc, nil
		}
		err = &tlsError{address, err}
	}
	_ = nc.Close() // nothing of ours was sent on it
	return nil, err
}

// tlsError reports that broker and we do not agree on TLS.
type tlsError struct {
	address string
	err     error
}

func (e *tlsError) Error() string { return "TLS with " + e.address + ": " + e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }
