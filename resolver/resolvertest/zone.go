package resolvertest

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// zone is everything a server knows: records by owner, the names above them
// (empty non-terminals), the zones' SOA records, and the faults.
type zone struct {
	records  map[string]map[uint16][]dns.RR // an owner without records is an empty non-terminal
	soa      map[string]*dns.SOA
	faults   map[string][]directive
	patterns []string   // names in faults with a ?
	outside  int        // RCODE outside all zones
	lie      netip.Addr // of names that do not exist; invalid for the truth
}

type found struct {
	rcode     int
	answer    []dns.RR
	authority []dns.RR
	owner     string // the name that owns the answer: the asked one, or a wildcard
}

func parseZone(text string) (*zone, error) {
	z := &zone{
		records: map[string]map[uint16][]dns.RR{},
		soa:     map[string]*dns.SOA{},
		faults:  map[string][]directive{},
		outside: dns.RcodeNameError,
	}
	for i, line := range strings.Split(text, "\n") {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), ";!")
		if !ok {
			continue
		}
		if err := z.directive(strings.Fields(rest)); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	parser.SetDefaultTTL(300)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.add(rr)
	}
	return z, parser.Err()
}

func (z *zone) add(rr dns.RR) {
	h := rr.Header()
	h.Name = dns.CanonicalName(h.Name)
	if soa, ok := rr.(*dns.SOA); ok {
		z.soa[h.Name] = soa
	}
	for name, ok := h.Name, true; ok && name != "."; name, ok = parent(name) {
		if z.records[name] == nil {
			z.records[name] = map[uint16][]dns.RR{}
		}
	}
	if z.records[h.Name] == nil { // the root
		z.records[h.Name] = map[uint16][]dns.RR{}
	}
	z.records[h.Name][h.Rrtype] = append(z.records[h.Name][h.Rrtype], rr)
}

// parent returns the name without its first label.
func parent(name string) (string, bool) {
	i, end := dns.NextLabel(name, 0)
	if end {
		return ".", name != "."
	}
	return name[i:], true
}

// lookup follows RFC 1034 section 4.3.2 as far as a server without delegations
// needs it.
func (z *zone) lookup(q question) found {
	out := found{owner: q.name}
	name := q.name
	for range 16 { // aliases
		owner, exists := z.owner(name)
		if name == q.name && exists {
			out.owner = owner
		}
		if alias := z.dname(name); alias != nil && !z.has(name) {
			target := strings.TrimSuffix(name, alias.Hdr.Name) + dns.CanonicalName(alias.Target)
			out.answer = append(out.answer, alias, cname(name, target, alias.Hdr.Ttl))
			name = target
			continue
		}
		if !exists {
			out.rcode = z.missing(name)
			break
		}
		sets := z.records[owner]
		if rrs := sets[q.kind]; len(rrs) > 0 {
			out.answer = append(out.answer, rename(rrs, name)...)
			return out
		}
		alias := sets[dns.TypeCNAME]
		if len(alias) == 0 {
			break // NODATA
		}
		out.answer = append(out.answer, rename(alias[:1], name)...)
		name = dns.CanonicalName(alias[0].(*dns.CNAME).Target)
	}
	if soa := z.soaOf(name); soa != nil {
		out.authority = []dns.RR{soa}
	}
	return out
}

func (z *zone) has(name string) bool { _, ok := z.records[name]; return ok }

// owner returns name if it exists, else the wildcard below its closest
// encloser (RFC 4592 section 3.3.1).
func (z *zone) owner(name string) (string, bool) {
	if z.has(name) {
		return name, true
	}
	for above, ok := parent(name); ok; above, ok = parent(above) {
		wildcard := "*." + strings.TrimPrefix(above, ".")
		if z.has(wildcard) {
			return wildcard, true
		}
		if z.has(above) || above == "." {
			break
		}
	}
	return "", false
}

func (z *zone) dname(name string) *dns.DNAME {
	for above, ok := parent(name); ok && above != "."; above, ok = parent(above) {
		if rrs := z.records[above][dns.TypeDNAME]; len(rrs) > 0 {
			return rrs[0].(*dns.DNAME)
		}
	}
	return nil
}

// missing returns the RCODE for a name that does not exist.
func (z *zone) missing(name string) int {
	if name == "." {
		return dns.RcodeSuccess // the root always exists
	}
	if z.soaOf(name) != nil {
		return dns.RcodeNameError
	}
	return z.outside
}

func (z *zone) soaOf(name string) dns.RR {
	for ok := true; ok; name, ok = parent(name) {
		if soa := z.soa[name]; soa != nil {
			return soa
		}
		if name == "." {
			break
		}
	}
	return nil
}

// delegation returns the NS records of name, or of the nearest name above that
// has some.
func (z *zone) delegation(name string) []dns.RR {
	for ok := true; ok; name, ok = parent(name) {
		if rrs := z.records[name][dns.TypeNS]; len(rrs) > 0 {
			return rrs
		}
	}
	return nil
}

func rename(rrs []dns.RR, owner string) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = owner
	}
	return out
}

func cname(owner, target string, ttl uint32) dns.RR {
	return &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: ttl}, Target: target}
}
