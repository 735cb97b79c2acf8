package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"
)

// exchangeTCP asks over a connection of its own (RFC 7766) and waits up to
// Config.Timeout for everything. Errors are those of socket.exchange.
func (u *upstream) exchangeTCP(ctx context.Context, addr netip.AddrPort, q *query) error {
	r := u.resolver
	select {
	case u.tcp <- struct{}{}:
		defer func() { <-u.tcp }()
	case <-ctx.Done():
		return ctx.Err()
	case <-r.life.Done():
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.meter.tcp.Inc()
	r.meter.query(q.kind)
	_, _ = rand.Read(q.packet[:2]) // never fails, by its documentation
	err := r.converse(ctx, addr, q)
	var timeout net.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case r.life.Err() != nil:
		return ErrClosed
	case errors.Is(err, errMalformed):
		return err
	case errors.As(err, &timeout) && timeout.Timeout():
		return errTimeout
	}
	return errUnreachable
}

func (r *Resolver) converse(ctx context.Context, addr netip.AddrPort, q *query) error {
	deadline := time.Now().Add(r.cfg.Timeout)
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	// Either end closes the connection under the reads and writes below.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer context.AfterFunc(r.life, func() { conn.Close() })()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, maxPacket+2), uint16(len(q.packet)))
	if _, err := conn.Write(append(framed, q.packet...)); err != nil {
		return err
	}
	for {
		if err := readFrame(conn, q); err != nil {
			return err
		}
		if isReply(q.answer) && messageID(q.answer) == messageID(q.packet) && answersQuestion(q.answer, q.packet, q.end) {
			return nil
		}
		r.meter.drop(dropQuestion)
	}
}

func readFrame(conn io.Reader, q *query) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if cap(q.answer) < n {
		q.answer = make([]byte, n)
	}
	q.answer = q.answer[:n]
	_, err := io.ReadFull(conn, q.answer)
	return err
}
