package fuzzer

import (
	"io"
	"strings"
)

// DomainList is a set of domains, each of which stands for itself and all names
// below it. It does not change once made, so that any number of goroutines may
// ask it; to reload a file, read a new one and put it in the old one's place. The
// zero value and nil are empty.
type DomainList struct {
	domains map[string]struct{}
}

// NewDomainList makes a list of domains as [ParseListed] returns them.
func NewDomainList(domains []string) *DomainList {
	list := &DomainList{domains: make(map[string]struct{}, len(domains))}
	for _, domain := range domains {
		list.domains[domain] = struct{}{}
	}
	return list
}

// ReadDomainList reads one domain a line, as [ParseListed] does. A byte order
// mark, CRLF, blank lines and comments are taken as in [ReadSuffixes]. err is as
// with [ReadWords].
func ReadDomainList(r io.Reader) (list *DomainList, bad []BadLine, err error) {
	domains, bad, err := readList(r, parseListed, trust)
	return NewDomainList(domains), bad, err
}

// ParseListed reads one domain of a list. It stands for itself and all names
// below it; a leading "*." or dot says the same. Upper case, U-labels and a
// trailing dot are normalised. Single labels and public suffixes of the ICANN
// section would cover far too much: they are refused like everything that is no
// name, with a [*SeedError].
func ParseListed(input string) (domain string, err error) {
	domain, reason := parseListed(input)
	if reason != "" {
		return "", &SeedError{Input: quoted(input), Reason: reason, hint: "give domains such as example.com"}
	}
	return domain, nil
}

func parseListed(text string) (domain, reason string) {
	text = strings.TrimPrefix(strings.TrimPrefix(text, "*"), ".")
	domain, fault := normalize(strings.TrimSuffix(text, "."), true)
	switch {
	case fault != nil:
		return "", fault.reason
	case !strings.Contains(domain, "."):
		return "", "is a single label, not a domain"
	case Registrable(domain) == "":
		return "", "is a public suffix, under which others register their names"
	}
	return domain, ""
}

// Len returns the number of domains.
func (l *DomainList) Len() int {
	if l == nil {
		return 0
	}
	return len(l.domains)
}

func (l *DomainList) has(domain string) bool {
	if l == nil {
		return false
	}
	_, found := l.domains[domain]
	return found
}

// DomainLists say which names are nobody's squats, and which are known to be
// hostile. The most specific domain of all lists decides about a name; one that is
// both is hostile. Labels count whole: example.com covers a.example.com and not
// myexample.com. The zero value and nil say nothing of any name. Safe for
// concurrent use, as long as nobody changes the fields.
type DomainLists struct {
	Allow []*DomainList // the brand's own and defensive names; the lists add up
	Deny  *DomainList
}

// Allowing reports whether any domain is allowed.
func (l *DomainLists) Allowing() bool {
	if l != nil {
		for _, list := range l.Allow {
			if list.Len() > 0 {
				return true
			}
		}
	}
	return false
}

// Allows reports whether fqdn, a lower-case A-label name without trailing dot, is
// nobody's squat.
func (l *DomainLists) Allows(fqdn string) bool {
	if !l.Allowing() {
		return false
	}
	allowed, _ := l.decide(fqdn)
	return allowed
}

// Denies reports whether fqdn, likewise, is known to be hostile.
func (l *DomainLists) Denies(fqdn string) bool {
	if l == nil || l.Deny.Len() == 0 {
		return false
	}
	_, denied := l.decide(fqdn)
	return denied
}

func (l *DomainLists) decide(fqdn string) (allowed, denied bool) {
	for name, more := fqdn, true; more; _, name, more = strings.Cut(name, ".") {
		if l.Deny.has(name) {
			return false, true
		}
		for _, list := range l.Allow {
			if list.has(name) {
				return true, false
			}
		}
	}
	return false, false
}
