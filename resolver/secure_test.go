package resolver_test

import (
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/typostream/typostream/resolver"
	"github.com/typostream/typostream/resolver/resolvertest"
)

// secure starts a server with the zone over TLS and HTTPS.
func secure(t testing.TB, zone string) (s *resolvertest.Server, roots *x509.CertPool, tls, https string) {
	t.Helper()
	a, err := resolvertest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	s = serve(t, zone)
	addr, err := s.StartTLS(a)
	if err != nil {
		t.Fatal(err)
	}
	if https, err = s.StartHTTPS(a); err != nil {
		t.Fatal(err)
	}
	return s, a.Roots(), "tls://" + addr, https
}

func TestTLSAndHTTPS(t *testing.T) {
	server, roots, tls, https := secure(t, manyZone(1000)+"fail.test. A 192.0.2.1\n;! fail.test. SERVFAIL\n;! tc.test. TRUNCATE\ntc.test. A 192.0.2.5\n")
	for _, upstream := range []string{tls, https} {
		scheme, _, _ := strings.Cut(upstream, ":")
		t.Run(scheme, func(t *testing.T) {
			r := quick(t, resolver.Config{Upstreams: []string{upstream}, Roots: roots, Timeout: time.Minute})
			if err := r.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := resolver.Each(t.Context(), r, countTo(1000), itemName, func(i int, a resolver.Answer) error {
				want := resolver.Absent
				if i%20 == 0 {
					want = resolver.Registered
				}
				if a.State != want || a.Server != upstream || (len(a.A) == 1) != (i%20 == 0 && i%200 != 0) {
					t.Errorf("item %d: %+v", i, a)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := roundTrips(t, r); n < 1000 {
				t.Errorf("%d round trips were measured", n)
			}
			if a := resolve(t, r, "fail.test"); a.State != resolver.Unknown || a.Reason != "SERVFAIL" {
				t.Errorf("got %+v", a)
			}
			if a := resolve(t, r, "tc.test"); len(a.A) != 1 {
				t.Errorf("got %+v", a)
			}
		})
	}
	if server.TCP() != server.Total() {
		t.Errorf("%d of %d queries came in the clear", server.Total()-server.TCP(), server.Total())
	}
}

// roundTrips returns how many the metrics of r show.
func roundTrips(t *testing.T, r *resolver.Resolver) (n uint64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Metrics()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "typostream_dns_round_trip_seconds" {
			for _, m := range family.GetMetric() {
				n += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return n
}

func TestEncryptedUpstreamsBesideAPlainOne(t *testing.T) {
	encrypted, roots, tls, https := secure(t, "a.test. A 192.0.2.1\n")
	plain := serve(t, "a.test. A 192.0.2.1\n")
	r := quick(t, resolver.Config{Upstreams: []string{plain.Addr(), tls, https}, Roots: roots, Timeout: time.Minute})
	for range 40 { // every one is tried now and then
		if a := resolve(t, r, "a.test"); a.State != resolver.Registered || a.Disputed != "" {
			t.Errorf("got %+v", a)
		}
	}
	if plain.Total() == 0 || encrypted.Total() == 0 {
		t.Errorf("%d plain queries, %d encrypted ones", plain.Total(), encrypted.Total())
	}
}

func TestCertificateIsVerified(t *testing.T) {
	_, roots, tls, https := secure(t, "")
	addr := strings.TrimPrefix(tls, "tls://")
	_, port, _ := net.SplitHostPort(addr)
	for _, tt := range []struct {
		name, upstream, want string
		roots                *x509.CertPool
	}{
		{"an authority that is not trusted", tls, "certificate", nil},
		{"the same over HTTPS", https, "certificate", nil},
		{"another name", tls + "#other.test", "other.test", roots},
		{"the name in the certificate", tls + "#dns.test", "", roots},
		{"no TLS there", "tls://" + serve(t, "").Addr(), "no answer", roots},
		{"no HTTP there", "https://127.0.0.1:" + port + "/dns-query", "https://127.0.0.1:" + port, roots},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := quick(t, resolver.Config{Upstreams: []string{tt.upstream}, Roots: tt.roots, Timeout: time.Second})
			err := r.Check(t.Context())
			var fault *resolver.CheckError
			switch {
			case tt.name == "the name in the certificate":
				if err != nil {
					t.Error(err)
				}
			case !errors.As(err, &fault) || !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v, want %q in it", err, tt.want)
			case strings.Contains(fault.Hint(), "tls://ADDRESS#NAME") != (tt.want == "certificate" || tt.want == "other.test"):
				t.Errorf("hint %q", fault.Hint())
			}
		})
	}
}

func TestStatusOfHTTPSIsNamed(t *testing.T) {
	_, roots, _, https := secure(t, "")
	r := quick(t, resolver.Config{Upstreams: []string{strings.TrimSuffix(https, "dns-query") + "elsewhere"}, Roots: roots, Timeout: time.Minute})
	if err := r.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "HTTP status 404") {
		t.Errorf("got %v", err)
	}
}

func TestSilentEncryptedServerIsATimeout(t *testing.T) {
	_, roots, tls, https := secure(t, ";! a.test. SILENT")
	for _, upstream := range []string{tls, https} {
		r := quick(t, resolver.Config{Upstreams: []string{upstream}, Roots: roots, Attempts: 2, Timeout: 200 * time.Millisecond})
		if a := resolve(t, r, "b.test"); a.State != resolver.Absent && a.Reason != resolver.ReasonTimeout {
			t.Errorf("%s: got %+v", upstream, a)
		}
		if a := resolve(t, r, "a.test"); a.State != resolver.Unknown || a.Reason != resolver.ReasonTimeout {
			t.Errorf("%s: got %+v", upstream, a)
		}
	}
}
