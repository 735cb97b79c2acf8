package emitter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// Endpoint is a broker's address and what is there.
type Endpoint struct {
	ID      int // the broker's, -1 of a bootstrap address
	Address string
	// Err is an *EndpointError, or nil; then what follows is known.
	Err error
	// Took is the time of looking the name up, connecting and one request.
	Took time.Duration
	// Release is the newest release of Kafka whose requests the broker knows, of
	// those that Releases tells apart; empty if it is older than 0.11.
	Release string
	// Idempotent says that it takes idempotent writes (KIP-98).
	Idempotent bool
}

// EndpointStep is how far a connection came.
type EndpointStep string

// The steps of a connection, in their order.
const (
	StepLookup  EndpointStep = "lookup"  // of the host's name
	StepConnect EndpointStep = "connect" // TCP, TLS and SASL
	StepAnswer  EndpointStep = "answer"  // to a request
)

// EndpointError says why there is no use in an address.
type EndpointError struct {
	Address string
	Step    EndpointStep // that failed
	Err     error
}

func (e *EndpointError) Error() string {
	late := e.timeout()
	switch {
	case e.Step == StepLookup && late:
		return "looking its name up takes too long"
	case e.Step == StepLookup:
		return "its name cannot be looked up: " + brief(e.Err)
	case e.Step == StepConnect && late:
		return "no connection in time: nothing answers there"
	case e.Step == StepConnect:
		return brief(e.Err)
	case late:
		return "it takes the connection, but does not answer"
	}
	return "it takes the connection, but gives no answer of a broker: " + brief(e.Err)
}

func (e *EndpointError) Unwrap() error { return e.Err }

// timeout says that nothing came; the connection may be closed by us for that
// reason.
func (e *EndpointError) timeout() bool {
	var t interface{ Timeout() bool }
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &t) && t.Timeout()
}

// Hint says what to do, for people.
func (e *EndpointError) Hint() string {
	switch {
	case e.Step == StepLookup:
		return "correct the name, or give this machine a DNS or hosts file that knows it"
	case e.Step == StepAnswer && e.timeout():
		return "see whether the broker hangs, and whether its port expects TLS (the security protocol)"
	case e.Step == StepAnswer:
		return "see whether a broker listens on that port, and with which security protocol"
	}
	return hintFor("", judge(e.Err, false))
}

// probe looks at all endpoints at a time.
func (in *inspector) probe(ctx context.Context, endpoints []Endpoint) {
	var asking sync.WaitGroup
	for i := range endpoints {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, in.cfg.Timeout)
			defer cancel()
			e, begin := &endpoints[i], time.Now()
			step, err := in.look(ctx, e)
			if err != nil {
				if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
					err = fmt.Errorf("%w (%w)", ctx.Err(), err)
				}
				e.Err = &EndpointError{Address: e.Address, Step: step, Err: err}
			}
			e.Took = time.Since(begin)
		})
	}
	asking.Wait()
}

// look takes one step after the other.
func (in *inspector) look(ctx context.Context, e *Endpoint) (EndpointStep, error) {
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return StepLookup, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
			return StepLookup, err
		}
	}
	nc, err := in.kafka.Dial(ctx, "tcp", e.Address)
	if err != nil {
		return StepConnect, err
	}
	pc := protocol.NewConn(nc, in.kafka.ClientID)
	defer pc.Close() //nolint:errcheck // what was asked is answered
	res, err := askVersions(ctx, pc)
	if err != nil {
		return StepAnswer, err
	}
	newest := make(map[protocol.ApiKey]int16, len(res.ApiKeys))
	for _, r := range res.ApiKeys {
		newest[protocol.ApiKey(r.ApiKey)] = r.MaxVersion
	}
	e.Release = releaseOf(newest)
	_, e.Idempotent = newest[protocol.InitProducerId]
	return StepAnswer, nil
}

// releases are told apart by the first of these, from the newest on, that a
// broker knows: a request and a version of it that came with the release.
// https://kafka.apache.org/protocol
var releases = []struct {
	name    string
	request protocol.ApiKey
	version int16
}{
	{"4.2", protocol.ListOffsets, 11},
	{"4.1", protocol.Produce, 13},
	{"4.0", protocol.Produce, 12},
	{"3.9", protocol.Fetch, 17},
	{"3.8", protocol.Produce, 11},
	{"3.7", protocol.Produce, 10},
	{"3.6", protocol.AddPartitionsToTxn, 4},
	{"3.5", protocol.Fetch, 15},
	{"3.3", protocol.DescribeAcls, 3},
	{"3.2", protocol.JoinGroup, 9},
	{"3.1", protocol.Fetch, 13},
	{"3.0", protocol.ListOffsets, 7},
	{"2.8", protocol.Produce, 9},
	{"2.7", protocol.Fetch, 12},
	{"2.4", protocol.Produce, 8},
	{"2.3", protocol.Fetch, 11},
	{"2.1", protocol.Produce, 7},
	{"2.0", protocol.Fetch, 8},
	{"1.1", protocol.Fetch, 7},
	{"1.0", protocol.Produce, 5},
	{"0.11", protocol.Produce, 3},
}

func releaseOf(newest map[protocol.ApiKey]int16) string {
	for _, r := range releases {
		if newest[r.request] >= r.version {
			return r.name
		}
	}
	return ""
}
