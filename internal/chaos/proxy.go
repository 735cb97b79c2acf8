//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// network is how a proxy treats what passes through it; the zero value passes it on.
type network struct {
	cut      bool          // connections are closed, new ones at once
	silent   bool          // nothing passes, and nobody is told: also not of these connections when it is over
	delay    time.Duration // of every request and of every response
	reset    float64       // chance of a request or response to meet a RST instead
	dropAcks float64       // chance of a response to a produce request to be lost with its connection
}

// proxy stands between clients and brokers, and knows Kafka's framing.
type proxy struct {
	// Via are its addresses, by that of the broker behind each.
	Via       map[string]string
	listeners []net.Listener

	mu    sync.Mutex
	now   network
	pairs map[*pair]struct{}
	lost  int // responses to produce requests
}

// pair is a connection of a client and the one to its broker.
type pair struct {
	client, broker *net.TCPConn
	mu             sync.Mutex
	produces       map[uint32]bool // correlation ids
	dead           bool            // half open
}

func startProxy(brokers []string) (*proxy, error) {
	p := &proxy{Via: map[string]string{}, pairs: map[*pair]struct{}{}}
	for _, addr := range brokers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			p.close()
			return nil, err
		}
		p.listeners = append(p.listeners, l)
		p.Via[addr] = l.Addr().String()
		go p.accept(l, addr)
	}
	return p, nil
}

func (p *proxy) close() {
	for _, l := range p.listeners {
		_ = l.Close() // nothing depends on it any more
	}
	p.set(network{cut: true})
}

// set changes the network from now on.
func (p *proxy) set(n network) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = n
	for pr := range p.pairs {
		if n.cut {
			pr.close(false)
		}
		if n.silent {
			pr.mu.Lock()
			pr.dead = true
			pr.mu.Unlock()
		}
	}
}

// dial is for clients in this process.
func (p *proxy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.Via[addr])
}

func (p *proxy) accept(l net.Listener, addr string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go p.serve(c.(*net.TCPConn), addr)
	}
}

func (p *proxy) serve(client *net.TCPConn, addr string) {
	nc, err := new(net.Dialer).Dial("tcp", addr)
	if err != nil {
		_ = client.Close() // as the broker is
		return
	}
	pr := &pair{client: client, broker: nc.(*net.TCPConn), produces: map[uint32]bool{}}
	p.mu.Lock()
	p.pairs[pr] = struct{}{}
	pr.dead = p.now.silent
	cut := p.now.cut
	p.mu.Unlock()
	if cut {
		pr.close(false)
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(pr, pr.client, pr.broker, pr.request) })
	both.Go(func() { p.pump(pr, pr.broker, pr.client, p.response) })
	both.Wait()
	p.mu.Lock()
	delete(p.pairs, pr)
	p.mu.Unlock()
}

// close ends both connections, with a RST if it is to be rude.
func (pr *pair) close(rude bool) {
	if rude {
		_ = pr.client.SetLinger(0) // a connection that has ended needs no RST
	}
	_ = errors.Join(pr.client.Close(), pr.broker.Close())
}

// pump passes on frames until a connection ends, which ends the other too.
func (p *proxy) pump(pr *pair, from, to *net.TCPConn, look func(*pair, []byte, network) bool) {
	defer pr.close(false)
	for {
		frame := make([]byte, 4)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		if _, err := io.ReadFull(from, frame[4:]); err != nil {
			return
		}
		p.mu.Lock()
		now := p.now
		p.mu.Unlock()
		if now.delay > 0 {
			time.Sleep(now.delay)
		}
		if !look(pr, frame[4:], now) || rand.Float64() < now.reset {
			pr.close(true)
			return
		}
		pr.mu.Lock()
		dead := pr.dead
		pr.mu.Unlock()
		if dead {
			continue
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}

// request remembers produce requests.
func (pr *pair) request(_ *pair, b []byte, _ network) bool {
	if len(b) >= 8 && binary.BigEndian.Uint16(b) == 0 {
		pr.mu.Lock()
		pr.produces[binary.BigEndian.Uint32(b[4:])] = true
		pr.mu.Unlock()
	}
	return true
}

// response is false for a response that is to be lost. The broker has acted by then.
func (p *proxy) response(pr *pair, b []byte, now network) bool {
	if len(b) < 4 {
		return true
	}
	id := binary.BigEndian.Uint32(b)
	pr.mu.Lock()
	produce := pr.produces[id]
	delete(pr.produces, id)
	pr.mu.Unlock()
	if !produce || rand.Float64() >= now.dropAcks {
		return true
	}
	p.mu.Lock()
	p.lost++
	p.mu.Unlock()
	return false
}
