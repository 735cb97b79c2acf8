package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

const (
	mediaType  = "application/dns-message" // RFC 8484 section 6
	maxMessage = 1<<16 - 1
	// A connection from which nothing came for so long is asked for a sign of
	// life, and given up after as long again.
	silentPing = 3 * time.Second
)

// requests carries queries over HTTPS (RFC 8484): HTTP/2 only, one POST a
// query, many at a time on a connection.
type requests struct {
	url       string
	transport *http.Transport
	meter     *meter
	life      context.Context // ends with close
	end       context.CancelFunc
}

// newRequests returns a carrier to the server at addr.
func (u *upstream) newRequests(addr netip.AddrPort) *requests {
	r := u.resolver
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	c := &requests{
		url:   (&url.URL{Scheme: "https", Host: hostPort(u.certified(), u.port), Path: u.path}).String(),
		meter: u.meter,
	}
	c.life, c.end = context.WithCancel(r.life)
	c.transport = &http.Transport{
		Protocols: &protocols, TLSClientConfig: u.clientTLS(), TLSHandshakeTimeout: r.cfg.Timeout, IdleConnTimeout: streamIdle,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: silentPing, PingTimeout: silentPing},
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
			defer cancel()
			defer context.AfterFunc(c.life, cancel)()
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr.String())
			if err != nil {
				return nil, err
			}
			return &leashed{conn, context.AfterFunc(c.life, func() { conn.Close() })}, nil
		},
	}
	return c
}

// leashed is a connection that the end of its carrier closes.
type leashed struct {
	net.Conn
	release func() bool
}

func (l *leashed) Close() error {
	l.release()
	return l.Conn.Close()
}

func (c *requests) close() {
	c.end()
	c.transport.CloseIdleConnections()
}

func (c *requests) exchange(ctx context.Context, q *query) error {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := c.post(asking, q)
	var timeout net.Error
	switch {
	case err == nil, errors.Is(err, errMalformed):
		return err
	case c.life.Err() != nil:
		return ErrClosed
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", errUnreachable, err)
}

func (c *requests) post(ctx context.Context, q *query) error {
	// The packet is copied: the transport may read it after it returned.
	packet := slices.Clone(q.packet)
	packet[0], packet[1] = 0, 0 // RFC 8484 section 4.1; TLS is what keeps strangers out
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(packet))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", mediaType)
	request.Header.Set("Accept", mediaType)
	request.Header.Set("User-Agent", "") // says nothing about who asks
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP status %d", response.StatusCode)
	}
	kind := response.Header.Get("Content-Type")
	if parsed, _, err := mime.ParseMediaType(kind); err != nil || parsed != mediaType {
		return fmt.Errorf("HTTP content of type %.64q instead of %s", kind, mediaType)
	}
	message, err := io.ReadAll(io.LimitReader(response.Body, maxMessage+1))
	if err != nil {
		return err
	}
	if len(message) > maxMessage || !isReply(message) || messageID(message) != 0 || !answersQuestion(message, packet, q.end) {
		c.meter.drop(dropQuestion)
		return errMalformed
	}
	q.answer = append(q.answer[:0], message...)
	return nil
}
