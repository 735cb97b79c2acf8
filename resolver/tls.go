package resolver

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
)

// clientTLS is what both encrypted transports ask of a server: a certificate
// for the configured name or address that Config.Roots vouch for. There is no
// way around that check (RFC 8310 section 5: the strict profile).
func (u *upstream) clientTLS() *tls.Config {
	return &tls.Config{
		ServerName: u.certified(),
		RootCAs:    u.resolver.cfg.Roots,
		MinVersion: tls.VersionTLS12,
		// Connections are closed when idle; this makes the next one cheaper.
		ClientSessionCache: tls.NewLRUClientSessionCache(maxStreams),
	}
}

// dialTLS returns what opens a connection for DNS over TLS (RFC 7858) to addr;
// its messages are framed as over TCP.
func (u *upstream) dialTLS(addr netip.AddrPort) func(context.Context) (net.Conn, error) {
	dialer := tls.Dialer{Config: u.clientTLS()}
	dialer.Config.NextProtos = []string{"dot"}
	return func(ctx context.Context) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", addr.String())
	}
}
