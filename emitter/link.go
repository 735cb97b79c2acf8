package emitter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
)

// links are the connections to the brokers, and the kafka.RoundTripper under
// kafka-go's Client: a request goes to the address that it names and nowhere
// else. kafka.Transport is not used, for it caches leaders, does not notice
// when they move, and where it fails to ask for metadata it says so for
// seconds, to everyone.
//
// A connection carries one request at a time: a broker serves the requests of
// one connection one after the other, so they would wait for each other's
// replication.
type links struct {
	cfg *KafkaConfig

	mu       sync.Mutex
	open     map[*link]struct{}
	idle     map[string][]*link  // by address; the last was used last
	versions map[string]versions // by address; what it said on the last connection that was new to us
	closed   bool
}

// versions are those of requests that we use with a broker. They hold until a
// connection to it fails: then it may be another one.
type versions map[protocol.ApiKey]int16

// link is one connection, its API versions negotiated.
type link struct {
	*protocol.Conn
	addr string
	free time.Time // since when it is idle
}

// idleLimit closes connections that nobody uses. Brokers do so after ten
// minutes.
const idleLimit = time.Minute

func newLinks(cfg *KafkaConfig) *links {
	return &links{cfg: cfg, open: map[*link]struct{}{}, idle: map[string][]*link{}, versions: map[string]versions{}}
}

// RoundTrip implements kafka.RoundTripper. An *unsentError says that the
// broker cannot have acted on the request.
func (l *links) RoundTrip(ctx context.Context, addr net.Addr, req kafka.Request) (kafka.Response, error) {
	c, err := l.get(ctx, addr.String())
	if err != nil {
		return nil, &unsentError{err}
	}
	return l.exchange(ctx, c, req)
}

// exchange sends a request on a connection and takes the connection back.
func (l *links) exchange(ctx context.Context, c *link, req kafka.Request) (kafka.Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	res, err := c.Conn.RoundTrip(req)
	if live := stop(); live && err == nil {
		l.put(c)
		return res, nil
	}
	l.drop(c)
	switch cause := ctx.Err(); {
	case err == nil: // it came just before the end
	case cause != nil:
		err = fmt.Errorf("%w (%w)", cause, err)
	default:
		l.forget(c.addr)
	}
	return res, err
}

// unsentError is an error that came before the whole request was written: a
// broker acts on whole requests only, so nothing of it was done.
type unsentError struct{ err error }

func (e *unsentError) Error() string { return e.err.Error() }
func (e *unsentError) Unwrap() error { return e.err }

func unsent(err error) bool {
	_, ok := errors.AsType[*unsentError](err)
	return ok
}

// markedConn marks the errors of writing.
type markedConn struct{ net.Conn }

func (c markedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && n < len(b) {
		err = &unsentError{err}
	}
	return n, err
}

// get returns an idle connection to the address, or a new one.
func (l *links) get(ctx context.Context, addr string) (*link, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	if stack := l.idle[addr]; len(stack) > 0 {
		c := stack[len(stack)-1]
		l.idle[addr] = stack[:len(stack)-1]
		l.mu.Unlock()
		return c, nil
	}
	l.mu.Unlock()
	return l.connect(ctx, addr)
}

func (l *links) connect(ctx context.Context, addr string) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	nc, err := l.cfg.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &link{Conn: protocol.NewConn(markedConn{nc}, l.cfg.ClientID), addr: addr}
	if !l.add(c) {
		_ = nc.Close() // nothing was sent on it
		return nil, ErrClosed
	}
	if err := l.agree(ctx, c); err != nil {
		l.drop(c)
		return nil, fmt.Errorf("asking broker %s for its versions: %w", addr, err)
	}
	return c, nil
}

// agree settles the versions of the requests on a new connection. The broker is
// asked on the first only: a further one, opened because the broker has become
// slow, must not wait for one more answer.
func (l *links) agree(ctx context.Context, c *link) error {
	l.mu.Lock()
	known := l.versions[c.addr]
	l.mu.Unlock()
	if known != nil {
		c.SetVersions(known)
		return nil
	}
	known, err := negotiate(ctx, c.Conn)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.versions[c.addr] = known
	l.mu.Unlock()
	return nil
}

// negotiate settles the versions of the requests with a broker.
func negotiate(ctx context.Context, pc *protocol.Conn) (versions, error) {
	res, err := askVersions(ctx, pc)
	if err != nil {
		return nil, err
	}
	agreed := make(versions, len(res.ApiKeys))
	for _, r := range res.ApiKeys {
		key := protocol.ApiKey(r.ApiKey)
		agreed[key] = key.SelectVersion(r.MinVersion, r.MaxVersion)
	}
	pc.SetVersions(agreed)
	return agreed, nil
}

// askVersions asks a broker for the versions of requests that it understands.
// The connection is of no use after an error.
func askVersions(ctx context.Context, pc *protocol.Conn) (*apiversions.Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = pc.Close() })
	m, err := pc.RoundTrip(new(apiversions.Request))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	res, ok := m.(*apiversions.Response)
	if !ok {
		return nil, fmt.Errorf("it answered ApiVersions with a %T", m)
	}
	if res.ErrorCode != 0 {
		return nil, kafka.Error(res.ErrorCode)
	}
	return res, nil
}

func (l *links) add(c *link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.open[c] = struct{}{}
	return true
}

// put makes a connection idle, and closes those that have been so for long.
func (l *links) put(c *link) {
	now := time.Now()
	c.free = now
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return // close has closed it
	}
	stack := append(l.idle[c.addr], c)
	old := 0
	for now.Sub(stack[old].free) > idleLimit {
		l.end(stack[old])
		old++
	}
	l.idle[c.addr] = stack[old:]
}

// drop closes a connection that is not idle.
func (l *links) drop(c *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(c)
}

// end closes a connection; l.mu is held.
func (l *links) end(c *link) {
	delete(l.open, c)
	_ = c.Close() // what was sent on it has its outcome already
}

// forget closes the idle connections to an address, one of which has just
// failed: the others are likely to be as dead.
func (l *links) forget(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.versions, addr)
	for _, c := range l.idle[addr] {
		l.end(c)
	}
	delete(l.idle, addr)
}

// close ends all connections; whoever waits on one gets its error.
func (l *links) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.open {
		l.end(c)
	}
	l.idle = nil
}
