package fuzzer

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// icannSuffix returns the public suffix of name by the ICANN section alone, or
// its last label when the list does not know the TLD.
func icannSuffix(name string) string {
	for {
		suffix, icann := publicsuffix.PublicSuffix(name)
		if icann {
			return suffix
		}
		// A rule of the private section, or none: the ICANN rule above it is
		// the one that holds for the rest of the suffix.
		_, rest, found := strings.Cut(suffix, ".")
		if !found {
			return suffix
		}
		name = rest
	}
}

// split cuts name at the public suffix, private section included. A name that
// is a private suffix itself is cut at its ICANN suffix. ok is false when the
// name is nothing but an ICANN suffix or a TLD.
func split(name string) (sub, label, suffix string, ok bool) {
	suffix, _ = publicsuffix.PublicSuffix(name)
	if suffix == name {
		suffix = icannSuffix(name)
	}
	rest := before(name, suffix)
	if rest == "" {
		return "", "", suffix, false
	}
	if i := strings.LastIndexByte(rest, '.'); i >= 0 {
		return rest[:i], rest[i+1:], suffix, true
	}
	return "", rest, suffix, true
}

// before returns what stands in front of the dot and the suffix, "" if nothing does.
func before(name, suffix string) string {
	return name[:max(0, len(name)-len(suffix)-1)]
}

// site returns the part of name that one registrant holds, counting the private
// section: www.myshop.github.io → myshop.github.io; "" for a bare ICANN suffix.
func site(name string) string {
	sub, _, _, ok := split(name)
	if !ok {
		return ""
	}
	if sub == "" {
		return name
	}
	return name[len(sub)+1:]
}

// Registrable returns the registrable domain of an A-label name by the ICANN
// section of the public suffix list alone: foo.bar.github.io → github.io. An
// unknown TLD counts as a suffix of one label. It is "" for a bare suffix.
func Registrable(fqdn string) string {
	rest := before(fqdn, icannSuffix(fqdn))
	if rest == "" {
		return ""
	}
	return fqdn[strings.LastIndexByte(rest, '.')+1:]
}
