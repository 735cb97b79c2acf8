package emitter

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// authority issues a certificate for 127.0.0.1 that signs itself, and writes
// both of its parts as PEM files.
func authority(t testing.TB) (cert tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "typostream test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, certFile, keyFile
}

func TestSASLAndTLS(t *testing.T) {
	cert, certFile, keyFile := authority(t)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		for _, protocol := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
			t.Run(mechanism+" "+protocol, func(t *testing.T) {
				s := Security{Protocol: protocol, Mechanism: mechanism, Username: Secret{Value: "worker"}, Password: Secret{Value: "right"}, CAFile: certFile}
				opts := []kfake.Opt{kfake.SeedTopics(4, testTopic), kfake.EnableSASL(), kfake.Superuser(mechanism, "worker", "right"), kfake.Superuser("PLAIN", "reader", "r")}
				if protocol == "SASL_SSL" {
					s.CertFile, s.KeyFile = certFile, keyFile
					opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}))
				}
				if err := s.Validate(); err != nil {
					t.Fatal(err)
				}
				r := newRig(t, func(cfg *KafkaConfig) { cfg.Dial = s.Dial }, opts...)
				if got, err := r.Emit(t.Context(), messages(100)...); err != nil || got.Acked != 100 {
					t.Fatalf("Emit = %+v, %v\n%s", got, err, r.log)
				}
				n := int64(0)
				for _, p := range r.cluster.PartitionInfos(testTopic) {
					n += p.HighWatermark
				}
				if n != 100 {
					t.Errorf("%d records, want 100", n)
				}
			})
		}
	}
}

// A wrong password: one attempt, the spool, an alarm that says what to check
// and not what the password is. When the file has the right one, events go to
// Kafka again by themselves.
func TestWrongPasswordThenRight(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hunter2")
	s := Security{Protocol: "SASL_PLAINTEXT", Username: Secret{Value: "worker"}, Password: Secret{File: file}}
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Dial = s.Dial; cfg.BreakerPeriod = 5 * time.Millisecond },
		kfake.SeedTopics(1, testTopic), kfake.EnableSASL(), kfake.Superuser("PLAIN", "worker", "right"))
	r.cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		r.cluster.KeepControl() // as a broker refuses; kfake hangs up without a word
		if !strings.Contains(string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes), "hunter2") {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		res.ErrorCode, res.ErrorMessage = 58, kmsg.StringPtr("Authentication failed: Invalid username or password")
		return res, nil, true
	})
	if got, err := r.Emit(t.Context(), messages(5)...); err != nil || got.Spooled != 5 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	err := r.Check(t.Context(), testTopic)
	if ke, ok := errors.AsType[*KafkaError](err); !ok || ke.Code != int(kafka.SASLAuthenticationFailed) || !strings.Contains(ke.Hint(), "password") {
		t.Errorf("Check: %#v", err)
	}
	if h := r.Health(); h.Reachable || h.Cause == nil {
		t.Errorf("health: %+v", h)
	}
	if r.log.count("after 1 attempt") != 1 || r.log.count(`concerns="all of Kafka"`) != 1 || r.log.count("hunter2") != 0 {
		t.Errorf("log:\n%s", r.log)
	}
	write("right")
	n := 0
	waitFor(t, func() bool {
		n++ // a new key each time: one that is in the spool goes there again
		got, err := r.Emit(t.Context(), msg(fmt.Sprintf("again%d.example", n), 1))
		return err == nil && got.Acked == 1
	})
	balanced(t, r.Accounting())
}

func TestSecurityFaults(t *testing.T) {
	_, certFile, keyFile := authority(t)
	secret := Secret{Value: "hunter2"}
	for want, s := range map[string]Security{
		"Protocol: PLAINTEXT, SSL, ":                     {Protocol: "TLS"},
		"Mechanism: PLAIN, SCRAM-":                       {Protocol: "SASL_SSL", Mechanism: "GSSAPI", Username: secret, Password: secret},
		"Username and Password: both":                    {Protocol: "SASL_PLAINTEXT", Username: secret},
		"Password: open " + certFile + ".missing":        {Protocol: "SASL_PLAINTEXT", Username: secret, Password: Secret{File: certFile + ".missing"}},
		"CAFile: open ":                                  {Protocol: "SSL", CAFile: certFile + ".missing"},
		"CAFile: no certificate":                         {Protocol: "SSL", CAFile: keyFile},
		"CertFile and KeyFile: both or neither":          {Protocol: "SSL", CertFile: certFile},
		"CertFile and KeyFile: tls: found a certificate": {Protocol: "SSL", CertFile: certFile, KeyFile: certFile},
	} {
		err := s.Validate()
		if ce, ok := errors.AsType[*ConfigError](err); !ok || !strings.HasPrefix(ce.Error(), want) || strings.Contains(ce.Error(), "hunter2") {
			t.Errorf("%+v: %v, want %s…", s, err, want)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", s, s, s, s.Password); strings.Contains(shown, "hunter2") {
			t.Errorf("the secret is shown: %s", shown)
		}
	}
	if err := (Security{}).Validate(); err != nil {
		t.Error(err)
	}
}

// A certificate that nobody vouches for, and a port that does not speak TLS,
// are told apart from one that is down.
func TestTLSThatFails(t *testing.T) {
	cert, _, _ := authority(t)
	_, other, _ := authority(t)
	s := Security{Protocol: "SSL", CAFile: other}
	r := newRig(t, func(cfg *KafkaConfig) { cfg.Dial = s.Dial },
		kfake.SeedTopics(1, testTopic), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
	if got, err := r.Emit(t.Context(), msg("a.example", 1)); err != nil || got.Spooled != 1 {
		t.Fatalf("Emit = %+v, %v", got, err)
	}
	if !strings.Contains(r.log.String(), "TLS with 127.0.0.1:") || !strings.Contains(r.log.String(), "check the security protocol") {
		t.Errorf("log:\n%s", r.log)
	}

	plain, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		if c, err := plain.Accept(); err == nil {
			_, _ = c.Write([]byte("this is no TLS")) // the client says what it thinks of it
			_ = c.Close()
		}
	}()
	if _, err := s.Dial(t.Context(), "tcp", plain.Addr().String()); err == nil || !strings.HasPrefix(err.Error(), "TLS with 127.0.0.1:") {
		t.Errorf("a port without TLS: %v", err)
	}
}
