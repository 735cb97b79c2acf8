package resolver

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// maxUpstreams bounds Config.Upstreams: each has sockets and buffers of its own.
const maxUpstreams = 64

// scheme is how a nameserver is spoken to.
type scheme uint8

const (
	schemeDNS   scheme = iota // datagrams, and TCP where they do not do
	schemeTLS                 // DNS over TLS (RFC 7858)
	schemeHTTPS               // DNS over HTTPS (RFC 8484)
)

// defaultPort and prefix are by scheme.
var (
	defaultPort = [...]uint16{schemeDNS: 53, schemeTLS: 853, schemeHTTPS: 443}
	prefix      = [...]string{schemeDNS: "", schemeTLS: "tls://", schemeHTTPS: "https://"}
)

// endpoint is a nameserver as configured: an address, or a host name still to
// be looked up.
type endpoint struct {
	scheme scheme
	addr   netip.Addr // invalid when host is a name
	host   string     // lower case, no trailing dot
	port   uint16
	path   string // of an https URL
	name   string // that its certificate must have; host if empty
}

// String returns the host:port or [IPv6]:port form, or a URL.
func (e endpoint) String() string {
	return prefix[e.scheme] + hostPort(e.host, e.port) + e.path
}

func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// certified returns the name, or address, that the server's certificate must have.
func (e endpoint) certified() string {
	if e.name != "" {
		return e.name
	}
	return e.host
}

const upstreamHint = "write a nameserver as host, host:port, 192.0.2.1:53, [2001:db8::1]:53, tls://host or https://host/dns-query"

func isListSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// parseUpstreams reads Config.Upstreams. It keeps the order, drops repetitions
// and returns every fault, joined.
func parseUpstreams(entries []string) ([]endpoint, error) {
	var all []endpoint
	var faults []error
	for _, entry := range entries {
		for word := range strings.FieldsFuncSeq(entry, isListSeparator) {
			e, err := parseEndpoint(word)
			if err != nil {
				faults = append(faults, err)
			} else if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	if len(all) > maxUpstreams {
		faults = append(faults, &ConfigError{"Upstreams", strconv.Itoa(len(all)), "nameservers are too many, 64 is the limit", ""})
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return all, nil
}

func parseEndpoint(s string) (endpoint, error) {
	kind, rest, url := strings.Cut(s, "://")
	if !url {
		return parseHost(s, s, schemeDNS)
	}
	switch strings.ToLower(kind) {
	case "tls":
		rest, name, named := strings.Cut(rest, "#")
		e, err := parseHost(s, rest, schemeTLS)
		if canonical, ok := canonicalName(name); named && err == nil {
			if !ok || canonical == "." {
				return endpoint{}, &ConfigError{"Upstreams", s, "has no host name after its #", upstreamHint}
			}
			e.name = strings.TrimSuffix(canonical, ".")
		}
		return e, err
	case "https":
		host, path, _ := strings.Cut(rest, "/")
		if path == "" || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("?#{}", r) }) {
			return endpoint{}, &ConfigError{"Upstreams", s, "has no path, or one that typostream does not understand", upstreamHint}
		}
		e, err := parseHost(s, host, schemeHTTPS)
		e.path = "/" + path
		return e, err
	}
	return endpoint{}, &ConfigError{"Upstreams", s, "is neither tls:// nor https://", upstreamHint}
}

// parseHost reads host, a part of the whole entry, which errors quote.
func parseHost(entry, s string, kind scheme) (endpoint, error) {
	refuse := func(rule string) (endpoint, error) {
		return endpoint{}, &ConfigError{"Upstreams", entry, rule, upstreamHint}
	}
	host, port := s, defaultPort[kind]
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	} else if _, err := netip.ParseAddr(s); err != nil && strings.Contains(s, ":") {
		h, p, err := net.SplitHostPort(s)
		if err != nil {
			return refuse("is no nameserver address")
		}
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return refuse("has a port that is not between 1 and 65535")
		}
		host, port = h, uint16(n)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return endpoint{scheme: kind, addr: addr, host: addr.String(), port: port}, nil
	}
	if strings.HasPrefix(s, "[") {
		return refuse("has no IPv6 address between its brackets")
	}
	name, ok := canonicalName(host)
	if !ok || name == "." || looksNumeric(host) {
		return refuse("is neither an address nor a host name")
	}
	return endpoint{scheme: kind, host: strings.TrimSuffix(name, "."), port: port}, nil
}

// looksNumeric tells a mistyped IPv4 address (10.0.0.256, 1.2.3) from a host
// name: a name's last label is never all digits.
func looksNumeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") == ""
}

// systemUpstreams reads the nameserver lines of a resolv.conf(5).
func systemUpstreams(path string) ([]endpoint, error) {
	const hint = "name at least one nameserver, for example --nameservers 192.0.2.53 or NAMESERVERS=unbound:5335"
	conf, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, &ConfigError{"Upstreams", path, "cannot tell the system's nameservers: " + cause(err), hint}
	}
	var all []endpoint
	for _, server := range conf.Servers[:min(len(conf.Servers), maxUpstreams)] {
		addr, err := netip.ParseAddr(server)
		if err != nil {
			continue // as the C library does
		}
		e := endpoint{addr: addr, host: addr.String(), port: 53}
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, &ConfigError{"Upstreams", path, "names no nameserver", hint}
	}
	return all, nil
}

// cause strips the operation and the file name that the os package repeats.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
