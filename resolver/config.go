package resolver

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Defaults of Config.
const (
	DefaultConcurrency = 4096
	DefaultAttempts    = 5
	DefaultTimeout     = 2500 * time.Millisecond
	DefaultResolvConf  = "/etc/resolv.conf"
)

// maxQPS bounds Config.QPS.
const maxQPS = 10_000_000

// maxCanary bounds the canaries' names: a random label goes before one.
const maxCanary = 200

// Config says whom to ask, for what, and how patiently. The zero value asks the
// system's nameservers for everything.
type Config struct {
	// Upstreams are the nameservers: host, host:port, an IPv4 or IPv6 address,
	// [IPv6]:port, port 53 when none is given; tls://host (DNS over TLS, RFC
	// 7858, port 853), whose certificate must be for the host or for the name
	// after a #, as in tls://192.0.2.1#dns.example; https://host/dns-query (DNS
	// over HTTPS, RFC 8484, port 443). An entry may itself be a list
	// separated by commas or blanks. Repetitions are dropped, at most 64 are
	// taken. Empty: the nameservers in ResolvConf.
	Upstreams []string
	// Types are asked about each name; the first decides whether the name
	// exists. Default NS, A, AAAA, MX, SOA.
	Types []Type
	// Concurrency is the number of names that one Each has in work at a time, at
	// most; see there. Default 4096, at most 65536.
	Concurrency int
	// Attempts is the number of tries for one question over all upstreams
	// together before it is given up. From 3 on, the last one goes over TCP.
	// A try that was answered with an error code (SERVFAIL, REFUSED, …) does
	// not count: that upstream is not asked this question again. Nor do tries
	// that were lost because more was sent than the upstream takes, up to as many
	// again. Default 5, at most 20.
	Attempts int
	// Timeout is the longest wait for the answer to one try. The wait adapts to
	// the measured round trip below that: at first 1 s, never under 60 ms,
	// doubled on each retry (RFC 6298). Default 2.5 s, at most 1 min.
	Timeout time.Duration
	// QPS limits what is sent to all upstreams, and to servers of parent zones,
	// together, retries included, to so many queries a second: evenly, at most 10 ms worth of them at once. Default
	// 0: as many as the upstreams answer. At most 10,000,000.
	QPS int
	// Roots vouch for the certificates of tls:// and https:// upstreams.
	// Default: those of the system.
	Roots *x509.CertPool
	// CanaryExists is a name that every honest nameserver knows, asked for its
	// NS records by Check. Default ".", the root.
	CanaryExists string
	// CanaryAbsent is a domain without a wildcard: Check asks for a random name
	// below it, which must not exist. Default "com".
	CanaryAbsent string
	// AskParent settles a name that no upstream can say anything about by asking
	// the servers of its parent zone, where a delegation shows that it is
	// registered. That sends queries to the servers of registries, past the
	// upstreams: at most 20 a second to each. A name for which a server would
	// have to be asked more often stays unknown.
	AskParent bool
	// CacheEntries is the number of answers that are kept for as long as their
	// TTL says, at most an hour, or a quarter of an hour if the name is absent.
	// Callers who ask for the same name at the same time then share one look-up.
	// 512 bytes each are taken at most, together. Default 0: none are kept. At
	// most 10,000,000.
	CacheEntries int
	// ResolvConf is the file that names the system's nameservers. Default
	// /etc/resolv.conf.
	ResolvConf string
	// Log gets what an operator should know: nameservers left out, another port
	// used. Nothing is logged for a single name. Default: nothing.
	Log *slog.Logger

	// For tests.
	lookup       func(ctx context.Context, host string) ([]netip.Addr, error)
	patience     time.Duration // canaryTime
	floor        time.Duration // minRTO
	dial         func(netip.AddrPort) (wire, error)
	dialTCP      func() (net.Conn, error)
	cpu          func() time.Duration                    // cpuTime
	portable     bool                                    // use the wire of other systems
	parentAddr   func(netip.Addr) (netip.AddrPort, bool) // publicServer
	fallbackPort uint16                                  // where a nameserver with another port is tried when that port is silent; 53
}

// Type is a DNS record type that the resolver can ask for.
type Type uint16

// The types that can be asked for, with their numbers in the protocol.
const (
	TypeA    = Type(dns.TypeA)
	TypeNS   = Type(dns.TypeNS)
	TypeMX   = Type(dns.TypeMX)
	TypeAAAA = Type(dns.TypeAAAA)
	TypeSOA  = Type(dns.TypeSOA)
)

// AllTypes returns the types in the order in which they are asked by default.
func AllTypes() []Type { return []Type{TypeNS, TypeA, TypeAAAA, TypeMX, TypeSOA} }

// String returns the mnemonic, "NS" for example.
func (t Type) String() string {
	if s, ok := dns.TypeToString[uint16(t)]; ok {
		return s
	}
	return fmt.Sprintf("TYPE%d", uint16(t)) // RFC 3597
}

// ParseTypes reads a list such as "ns,a". Case does not matter; repetitions are
// an error, and so is an empty list.
func ParseTypes(list string) ([]Type, error) {
	var types []Type
	for word := range strings.FieldsFuncSeq(list, isListSeparator) {
		i := slices.IndexFunc(AllTypes(), func(t Type) bool { return strings.EqualFold(t.String(), word) })
		if i < 0 {
			return nil, &ConfigError{"Types", word, "is not one of NS, A, AAAA, MX, SOA", ""}
		}
		types = append(types, AllTypes()[i])
	}
	if err := checkTypes(types); err != nil {
		return nil, err
	}
	if len(types) == 0 {
		return nil, &ConfigError{"Types", list, "names no type", "the types are NS, A, AAAA, MX, SOA"}
	}
	return types, nil
}

func checkTypes(types []Type) error {
	for i, t := range types {
		if !slices.Contains(AllTypes(), t) {
			return &ConfigError{"Types", t.String(), "is not one of NS, A, AAAA, MX, SOA", ""}
		}
		if slices.Contains(types[:i], t) {
			return &ConfigError{"Types", t.String(), "is named twice", ""}
		}
	}
	return nil
}

// ConfigError is a value in Config that cannot be used.
type ConfigError struct {
	Field string // of Config
	Value string // what was given
	Rule  string // what is wrong with it: the rest of a sentence that begins with Value
	hint  string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("%s: %q %s", e.Field, e.Value, e.Rule)
}

// Hint says what to do about it; it may be empty.
func (e *ConfigError) Hint() string { return e.hint }

// Validate reports every value that New would refuse, each as a *ConfigError,
// joined. It reads ResolvConf when no upstream is given, and asks no server.
func (c Config) Validate() error {
	_, err := c.complete()
	return err
}

// settings are a Config with every default filled in.
type settings struct {
	Config
	endpoints []endpoint
}

func (c Config) complete() (settings, error) {
	s := settings{Config: c}
	s.preset()
	faults := s.check()
	var err error
	if s.endpoints, err = parseUpstreams(s.Upstreams); err != nil {
		faults = append(faults, err)
	} else if len(s.endpoints) == 0 {
		if s.endpoints, err = systemUpstreams(s.ResolvConf); err != nil {
			faults = append(faults, err)
		}
	}
	return s, errors.Join(faults...)
}

// preset fills in what is not set.
func (s *settings) preset() {
	s.Concurrency = cmp.Or(s.Concurrency, DefaultConcurrency)
	s.Attempts = cmp.Or(s.Attempts, DefaultAttempts)
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	s.ResolvConf = cmp.Or(s.ResolvConf, DefaultResolvConf)
	s.CanaryExists = cmp.Or(s.CanaryExists, ".")
	s.CanaryAbsent = cmp.Or(s.CanaryAbsent, "com.")
	s.Log = cmp.Or(s.Log, slog.New(slog.DiscardHandler))
	s.patience = cmp.Or(s.patience, min(max(canaryTime, s.Timeout), maxCanaryTime))
	s.floor = cmp.Or(s.floor, minRTO)
	s.fallbackPort = cmp.Or(s.fallbackPort, 53)
	if len(s.Types) == 0 {
		s.Types = AllTypes()
	}
	s.Types = slices.Clone(s.Types)
	if s.lookup == nil {
		s.lookup = lookupSystem
	}
	if s.cpu == nil {
		s.cpu = cpuTime
	}
	if s.parentAddr == nil {
		s.parentAddr = publicServer
	}
}

// check returns what cannot be, and brings the canaries into canonical form.
func (s *settings) check() (faults []error) {
	between := func(field string, value, least, most int) {
		if value < least || value > most {
			faults = append(faults, &ConfigError{field, fmt.Sprint(value), fmt.Sprintf("is not between %d and %d", least, most), ""})
		}
	}
	between("Concurrency", s.Concurrency, 1, 65536)
	between("Attempts", s.Attempts, 1, 20)
	between("CacheEntries", s.CacheEntries, 0, 10_000_000)
	between("QPS", s.QPS, 0, maxQPS)
	if s.Timeout < time.Millisecond || s.Timeout > time.Minute {
		faults = append(faults, &ConfigError{"Timeout", s.Timeout.String(), "is not between 1ms and 1m", ""})
	}
	if err := checkTypes(s.Types); err != nil {
		faults = append(faults, err)
	}
	for _, canary := range []struct {
		field string
		name  *string
	}{{"CanaryExists", &s.CanaryExists}, {"CanaryAbsent", &s.CanaryAbsent}} {
		name, ok := canonicalName(*canary.name)
		if !ok || len(name) > maxCanary {
			faults = append(faults, &ConfigError{canary.field, *canary.name, "is not a domain name", ""})
			continue
		}
		*canary.name = name
	}
	return faults
}

func lookupSystem(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
