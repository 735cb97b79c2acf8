package resolvertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/miekg/dns"
)

// Authority signs the certificates of servers that speak TLS.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes a certificate authority that nobody trusts by default.
func NewAuthority() (*Authority, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "resolvertest"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("resolvertest: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("resolvertest: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("resolvertest: %w", err)
	}
	return &Authority{certificate, key}, nil
}

// Roots returns a pool that trusts a.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// PEM returns a's certificate as a file of roots holds it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// issue makes a server's certificate for 127.0.0.1 and the name dns.test.
func (a *Authority) issue() (*tls.Config, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"dns.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12,
	}, nil
}

// StartTLS serves the same zone over TLS (RFC 7858) too, with a certificate for
// 127.0.0.1 and the name dns.test, until Close. It returns the address and port.
// Faults that concern UDP do not show there.
func (s *Server) StartTLS(a *Authority) (addr string, err error) {
	config, err := a.issue()
	if err != nil {
		return "", fmt.Errorf("resolvertest: %w", err)
	}
	config.NextProtos = []string{"dot"}
	listener, err := tls.Listen("tcp4", "127.0.0.1:0", config)
	if err != nil {
		return "", fmt.Errorf("resolvertest: %w", err)
	}
	started := make(chan struct{})
	server := &dns.Server{Listener: listener, Handler: s, MaxTCPQueries: -1, NotifyStartedFunc: func() { close(started) }}
	s.serving.Go(func() { _ = server.ActivateAndServe() }) // ends with Close
	<-started
	s.secure = append(s.secure, func() { _ = server.Shutdown() }) // it is running, so it cannot fail
	return listener.Addr().String(), nil
}

// StartHTTPS serves the same zone over HTTPS (RFC 8484) too, HTTP/2 only, until
// Close. It returns the URL.
func (s *Server) StartHTTPS(a *Authority) (url string, err error) {
	config, err := a.issue()
	if err != nil {
		return "", fmt.Errorf("resolvertest: %w", err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("resolvertest: %w", err)
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /dns-query", s.serveHTTP)
	server := &http.Server{
		Handler: mux, TLSConfig: config, Protocols: &protocols, ReadHeaderTimeout: time.Minute,
		ErrorLog: log.New(io.Discard, "", 0), // handshakes that a test lets fail
	}
	s.serving.Go(func() { _ = server.ServeTLS(listener, "", "") }) // ends with Close
	s.secure = append(s.secure, func() { _ = server.Close() })     // what it interrupts nobody waits for
	return "https://" + listener.Addr().String() + "/dns-query", nil
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, dns.MaxMsgSize))
	query := new(dns.Msg)
	if err != nil || r.Header.Get("Content-Type") != "application/dns-message" || query.Unpack(body) != nil {
		http.Error(w, "not a DNS message", http.StatusBadRequest)
		return
	}
	var answer httpWriter
	s.ServeDNS(&answer, query)
	if answer.Len() == 0 { // SILENT
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
		return
	}
	w.Header().Set("Content-Type", "Application/DNS-Message; a=b") // case and parameters must not matter (RFC 9110 section 8.3.1)
	_, _ = w.Write(answer.Bytes())                                 // whoever asked may have gone
}

// httpWriter keeps the last message that ServeDNS writes.
type httpWriter struct{ bytes.Buffer }

func (w *httpWriter) WriteMsg(m *dns.Msg) error {
	packed, err := m.Pack()
	if err != nil {
		return err
	}
	w.Reset()
	_, err = w.Buffer.Write(packed)
	return err
}

func (w *httpWriter) Write(b []byte) (int, error) {
	w.Reset()
	return w.Buffer.Write(b)
}

func (w *httpWriter) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (w *httpWriter) RemoteAddr() net.Addr { return &net.TCPAddr{} }
func (w *httpWriter) Close() error         { return nil }
func (w *httpWriter) TsigStatus() error    { return errors.New("resolvertest: no TSIG") }
func (w *httpWriter) TsigTimersOnly(bool)  {}
func (w *httpWriter) Hijack()              {}
