//go:build unix

package kafkatest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The user that every SASL_SSL listener knows by PLAIN. Users by SCRAM are made by SetPassword.
const (
	PlainUser     = "plain-user"
	PlainPassword = "plain-secret"
)

// certValidity is long enough for any test.
const certValidity = 24 * time.Hour

// CAFile returns the PEM file of the authority that vouches for the SASL_SSL listeners; "" without Options.Secure.
func (c *Cluster) CAFile() string {
	if !c.opts.Secure {
		return ""
	}
	return filepath.Join(c.dir, "ca.pem")
}

// SecureBrokers is Brokers for the SASL_SSL listeners; nil without Options.Secure.
func (c *Cluster) SecureBrokers() []string {
	if !c.opts.Secure {
		return nil
	}
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(n.securePort))
	}
	return addrs
}

// SetPassword gives a user a password for SCRAM-SHA-256 and SCRAM-SHA-512, and makes the user if there is none.
func (c *Cluster) SetPassword(ctx context.Context, user, password string) error {
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} { // a request may name a user once
		set := []kadm.UpsertSCRAM{{User: user, Mechanism: mechanism, Iterations: 4096, Password: password}}
		res, err := kadm.NewClient(c.client).AlterUserSCRAMs(ctx, nil, set)
		if err == nil {
			err = res.Error()
		}
		if err != nil {
			return fmt.Errorf("kafkatest: password of %s: %w", user, err)
		}
	}
	return nil
}

// secureSettings are the properties of a node's SASL_SSL listener beside those of every node.
func secureSettings(n *node, keystore string) map[string]string {
	plain, sasl, host := strconv.Itoa(n.brokerPort), strconv.Itoa(n.securePort), "127.0.0.1:"
	login := "org.apache.kafka.common.security."
	return map[string]string{
		"listeners":                                             "PLAINTEXT://" + host + plain + ",SASL_SSL://" + host + sasl + ",CONTROLLER://" + host + strconv.Itoa(n.controllerPort),
		"advertised.listeners":                                  "PLAINTEXT://" + host + plain + ",SASL_SSL://" + host + sasl,
		"listener.security.protocol.map":                        "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
		"listener.name.sasl_ssl.sasl.enabled.mechanisms":        "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasl_ssl.plain.sasl.jaas.config":         login + `plain.PlainLoginModule required user_` + PlainUser + `="` + PlainPassword + `";`,
		"listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": login + "scram.ScramLoginModule required;",
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login + "scram.ScramLoginModule required;",
		"listener.name.sasl_ssl.ssl.keystore.type":              "PEM",
		"listener.name.sasl_ssl.ssl.keystore.location":          keystore,
	}
}

// makeCertificate writes a certificate for 127.0.0.1 that vouches for itself, and with its key the store of a node.
func makeCertificate(caFile, keystore string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafkatest"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(certValidity),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	store := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), ca...)
	return errors.Join(os.WriteFile(caFile, ca, 0o644), os.WriteFile(keystore, store, 0o600))
}
