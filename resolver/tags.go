package resolver

import (
	"bufio"
	_ "embed"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// The closed set of tags. A tag is a hint for whoever reads the answer; none
// changes the state.
const (
	TagLikelyOwned    = "likely_owned"    // shares servers with the brand itself, see LikelyOwned
	TagNullMX         = "null_mx"         // declares that it takes no mail (RFC 7505)
	TagParked         = "parked"          // answered for by a parking service
	TagSinkholed      = "sinkholed"       // taken from its owner, answered for by a sinkhole
	TagSpecialAddress = "special_address" // points at an address that is not one of the public Internet
)

// Tags returns what the records by themselves say about the name, sorted:
// TagNullMX, TagParked, TagSinkholed, TagSpecialAddress. The lists of parking
// services and sinkholes are our own, in lists/; they name the large ones only.
func (a *Answer) Tags() []string {
	var tags []string
	if a.NullMX {
		tags = append(tags, TagNullMX)
	}
	if a.answeredBy(parked()) {
		tags = append(tags, TagParked)
	}
	if a.answeredBy(sinkholes()) {
		tags = append(tags, TagSinkholed)
	}
	if slices.ContainsFunc(a.A, isSpecial) || slices.ContainsFunc(a.AAAA, isSpecial) {
		tags = append(tags, TagSpecialAddress)
	}
	return tags
}

func (a *Answer) answeredBy(list *hostList) bool {
	return slices.ContainsFunc(a.NS, list.hasHost) || slices.ContainsFunc(a.MX, list.hasHost) || slices.ContainsFunc(a.CNAME, list.hasHost) ||
		slices.ContainsFunc(a.A, list.hasAddress) || slices.ContainsFunc(a.AAAA, list.hasAddress)
}

// LikelyOwned reports whether the answer looks like one for a name of the same
// owner as seed: the same set of nameservers, the same SOA, or the same set of
// mail hosts. Hosts that thousands of strangers share (lists/shared.txt, and
// parking services) say nothing and do not count; everybody can copy the
// records of another, so this is a hint and no proof.
func LikelyOwned(seed, a *Answer) bool {
	return sameOwn(seed.NS, a.NS) || sameOwn(seed.SOA, a.SOA) || sameOwn(seed.MX, a.MX)
}

// sameOwn reports whether two sorted lists are the same and hold no shared host.
func sameOwn(seed, other []string) bool {
	if len(seed) == 0 || !slices.Equal(seed, other) {
		return false
	}
	return !slices.ContainsFunc(seed, func(value string) bool {
		for host := range strings.FieldsSeq(value) { // a SOA has two
			if shared().hasHost(host) || parked().hasHost(host) || sinkholes().hasHost(host) {
				return true
			}
		}
		return false
	})
}

// hostList is a set of host name suffixes and address ranges.
type hostList struct {
	suffixes map[string]bool
	ranges   []netip.Prefix
}

//go:embed lists/parked.txt
var parkedText string

//go:embed lists/sinkholes.txt
var sinkholesText string

//go:embed lists/shared.txt
var sharedText string

var (
	parked    = sync.OnceValue(func() *hostList { return parseHostList(parkedText) })
	sinkholes = sync.OnceValue(func() *hostList { return parseHostList(sinkholesText) })
	shared    = sync.OnceValue(func() *hostList { return parseHostList(sharedText) })
)

// parseHostList reads one suffix, address or range a line; # begins a comment.
func parseHostList(text string) *hostList {
	list := &hostList{suffixes: map[string]bool{}}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if prefix, err := netip.ParsePrefix(line); err == nil {
			list.ranges = append(list.ranges, prefix)
		} else {
			list.suffixes[line] = true
		}
	}
	return list
}

// hasHost reports whether host or a name above it is in the list.
func (l *hostList) hasHost(host string) bool {
	for ok := true; ok; _, host, ok = strings.Cut(host, ".") {
		if l.suffixes[host] {
			return true
		}
	}
	return false
}

func (l *hostList) hasAddress(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && slices.ContainsFunc(l.ranges, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func isSpecial(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && specialAddress(addr)
}

// specialAddress reports whether addr is none that a host on the public
// Internet has.
func specialAddress(addr netip.Addr) bool {
	return slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(addr) })
}

// special are the blocks that IANA's special-purpose address registries (RFC
// 6890, with what later RFCs up to RFC 9780 added) call not globally reachable,
// and multicast.
var special = sync.OnceValue(func() []netip.Prefix {
	var blocks []netip.Prefix
	for text := range strings.FieldsSeq(`
		0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
		192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
		::/128 ::1/128 ::ffff:0:0/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001:2::/48 2001:10::/28 2001:db8::/32
		3fff::/20 5f00::/16 fc00::/7 fe80::/10 ff00::/8`) {
		blocks = append(blocks, netip.MustParsePrefix(text))
	}
	return blocks
})
