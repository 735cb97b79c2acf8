// Package resolvertest serves DNS on the loopback for tests and for the demo:
// an authoritative server that answers from master-file text and misbehaves
// where the text says so. See Start for the format.
package resolvertest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Server answers on one port of 127.0.0.1 over UDP and TCP. Its methods may be
// called from many goroutines at a time.
type Server struct {
	zone     *zone
	addr     string
	udp, tcp *dns.Server
	serving  sync.WaitGroup
	closing  chan struct{}
	once     sync.Once
	secure   []func() // end what StartTLS and StartHTTPS began

	mu    sync.Mutex
	asked map[question]int
	total int
	byTCP int
	noRD  int
}

type question struct {
	name string // lower case, with trailing dot
	kind uint16
}

// Start serves zone, text in the master-file format of RFC 1035 section 5, on a
// free port. Several zones may follow each other; a SOA record begins one, and
// none is needed. Directives are comments:
//
//	;! sbii.co.in. SERVFAIL          answer with this code (also REFUSED, FORMERR, NOTIMP)
//	;! sbii.co.in. SILENT            do not answer
//	;! sbii.co.in. TRUNCATE          an empty answer with TC over UDP, the whole over TCP
//	;! sbii.co.in. FORMERR-EDNS      FORMERR to every query with EDNS
//	;! sbii.co.in. WRONG-ID          before the answer send a false one with another ID
//	;! sbii.co.in. WRONG-QUESTION    before the answer send a false one to another question
//	;! sbii.co.in. GARBAGE           before the answer send bytes that are no message
//	;! sbii.co.in. MALFORMED         answer with records that cannot be decoded
//	;! sbii.co.in. LOWERCASE         repeat the question in lower case, over UDP
//	;! sbii.co.in. FLOOD 5           before an answer over UDP send five false ones to another question
//	;! sbii.co.in. DROP 2            do not answer the first two queries of each type over UDP
//	;! sbii.co.in. DELAY 50ms        answer later
//	;! sbii.co.in. REFERRAL          do not recurse: name the NS of the name, or of the next above that has some
//	;! sbii.co.in. ALIAS-FAILS       answer with its CNAME and SERVFAIL
//	;! *.cdn.in. ROTATE 2            give two of the records only, chosen anew each time
//	;! LIE 203.0.113.66              give names that do not exist this address, instead of NXDOMAIN
//	;! OUTSIDE REFUSED               answer with this code outside all zones, instead of NXDOMAIN
//
// Record types after a directive restrict it to queries for them (";! a.in.
// SILENT A MX"). Several directives for one name add up: WRONG-ID and SILENT
// sends the false answer only. In a name ? stands for any character; of such
// names the first that fits counts. The name * stands for every name that has no
// directive of its own; a wildcard's own name (*.in.) stands for the names that
// it answers.
//
// To a query without recursion (RD=0) an answer is authoritative, but for a
// REFERRAL.
//
// A name that owns nothing is NXDOMAIN; one that lacks the type, or only has
// names below it, is NODATA; wildcards, CNAME and DNAME are followed, with
// NXDOMAIN when they lead nowhere.
func Start(zone string) (*Server, error) {
	z, err := parseZone(zone)
	if err != nil {
		return nil, fmt.Errorf("resolvertest: %w", err)
	}
	packets, listener, err := listen()
	if err != nil {
		return nil, fmt.Errorf("resolvertest: %w", err)
	}
	s := &Server{zone: z, addr: packets.LocalAddr().String(), closing: make(chan struct{}), asked: map[question]int{}}
	s.udp = &dns.Server{PacketConn: packets, Handler: s}
	s.tcp = &dns.Server{Listener: listener, Handler: s}
	for _, d := range []*dns.Server{s.udp, s.tcp} {
		// Shutdown does nothing before a server has started.
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		s.serving.Go(func() { _ = d.ActivateAndServe() }) // ends with Close
		<-started
	}
	return s, nil
}

// StartFile serves the zone text in a file.
func StartFile(path string) (*Server, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("resolvertest: %w", err)
	}
	return Start(string(text))
}

// listen finds a port that is free for both protocols.
func listen() (net.PacketConn, net.Listener, error) {
	var faults []error
	for range 20 {
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		packets, err := net.ListenPacket("udp4", listener.Addr().String())
		if err == nil {
			if c, ok := packets.(*net.UDPConn); ok {
				_ = c.SetReadBuffer(4 << 20) // a smaller one only drops more
			}
			return packets, listener, nil
		}
		faults = append(faults, err, listener.Close())
	}
	return nil, nil, errors.Join(faults...)
}

// Addr returns the address and port, "127.0.0.1:40053" for example.
func (s *Server) Addr() string { return s.addr }

// Close stops the server and waits for it. Calling it again does nothing.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.closing)
		for _, end := range s.secure {
			end()
		}
		_ = s.udp.Shutdown() // both are running, so neither can fail
		_ = s.tcp.Shutdown()
		s.serving.Wait()
	})
}

// Queries returns how often name was asked for a type ("NS", …), over both
// protocols; an empty type counts all.
func (s *Server) Queries(name, kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = dns.CanonicalName(name)
	if kind != "" {
		return s.asked[question{name, dns.StringToType[strings.ToUpper(kind)]}]
	}
	n := 0
	for q, count := range s.asked {
		if q.name == name {
			n += count
		}
	}
	return n
}

// Total returns the number of queries received; TCP of those over TCP.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// TCP returns the number of queries received over TCP.
func (s *Server) TCP() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byTCP
}

// Iterative returns the number of queries received that asked for no recursion.
func (s *Server) Iterative() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noRD
}

// count returns how many queries for the same came before over UDP or TCP.
func (s *Server) count(q question, overTCP, recursive bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.asked[q]
	s.asked[q]++
	s.total++
	if overTCP {
		s.byTCP++
	}
	if !recursive {
		s.noRD++
	}
	return before
}
