package fuzzer

import (
	"strings"
	"unicode/utf8"
)

// Seed is a brand's domain, taken apart. Seeds come from [ParseSeed].
type Seed struct {
	// FQDN is the whole name: A-labels, lower case, no trailing dot.
	FQDN string
	// Subdomain holds the labels left of Label as A-labels, "" if there are none.
	Subdomain string
	// Label is the registrable label as a U-label: what the algorithms edit.
	Label string
	// PublicSuffix is the effective suffix as A-labels, private section of the
	// public suffix list included: github.io for myshop.github.io.
	PublicSuffix string
}

// Registrable is [Registrable] of the seed's FQDN.
func (s Seed) Registrable() string { return Registrable(s.FQDN) }

// withoutWWW is the seed without www in front: whoever imitates www.example.com
// registers a name like example.com, and may have nothing at www of it.
func (s Seed) withoutWWW() Seed {
	if s.Subdomain == "www" {
		s.Subdomain, s.FQDN = "", strings.TrimPrefix(s.FQDN, "www.")
	}
	return s
}

// SeedError says why an input is no seed. Error is one sentence; Hint says what
// to do about it.
type SeedError struct {
	Input  string // as given, shortened, quoted, control characters escaped
	Reason string // completes "INPUT …": "is a public suffix, …"
	hint   string
}

func (e *SeedError) Error() string { return e.Input + " " + e.Reason }

// Hint says what to do about it.
func (e *SeedError) Hint() string { return e.hint }

// ParseSeed reads a domain name or a URL of any scheme. Userinfo, port, path,
// query, fragment and a trailing dot are cut off; upper case and U-labels are
// normalised. A name that is a suffix of the private section alone (blogspot.com)
// is a domain like any other. Refused, with a [*SeedError], are IP addresses,
// single labels, bare ICANN suffixes (co.uk) and names that IDNA 2008 or the
// DNS do not allow.
func ParseSeed(input string) (Seed, error) {
	host, bad := hostOf(input)
	if bad == nil {
		host, bad = normalize(host, true)
	}
	if bad == nil && !strings.Contains(host, ".") {
		bad = faultSingle
	}
	if bad != nil {
		return Seed{}, &SeedError{Input: quoted(input), Reason: bad.reason, hint: bad.hint}
	}
	sub, label, suffix, ok := split(host)
	if !ok {
		return Seed{}, &SeedError{
			Input:  quoted(input),
			Reason: "is a public suffix, under which others register their names",
			hint:   "put the brand's label in front, such as example." + suffix,
		}
	}
	if text, err := registration.ToUnicode(label); err == nil && utf8.ValidString(text) {
		label = text
	}
	return Seed{FQDN: host, Subdomain: sub, Label: label, PublicSuffix: suffix}, nil
}
