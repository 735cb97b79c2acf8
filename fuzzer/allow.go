package fuzzer

import (
	"io"
	"strings"
)

// AllowList is a set of domains that are nobody's squats: the brand's own and
// defensive names. It does not change once read, so that any number of
// goroutines may ask it; to reload a file, read a new one and put it in the old
// one's place. The zero value and nil allow nothing.
type AllowList struct {
	domains map[string]struct{}
}

// ReadAllowList reads one domain a line. A domain stands for itself and all
// names below it; a leading "*." or dot says the same. Upper case, U-labels, a
// trailing dot, a byte order mark, CRLF, blank lines and comments are taken as
// in [ReadSuffixes]. Single labels and public suffixes of the ICANN section would
// allow far too much: they are bad lines, like everything that is no name. err
// is as with [ReadWords].
func ReadAllowList(r io.Reader) (list *AllowList, bad []BadLine, err error) {
	domains, bad, err := readList(r, parseAllowed, trust)
	list = &AllowList{domains: make(map[string]struct{}, len(domains))}
	for _, domain := range domains {
		list.domains[domain] = struct{}{}
	}
	return list, bad, err
}

func parseAllowed(text string) (domain, reason string) {
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
func (l *AllowList) Len() int {
	if l == nil {
		return 0
	}
	return len(l.domains)
}

// Allows reports whether the list holds fqdn, a lower-case A-label name without
// trailing dot, or a domain above it. Labels count whole: example.com allows
// a.example.com and not myexample.com.
func (l *AllowList) Allows(fqdn string) bool {
	if l.Len() == 0 {
		return false
	}
	for name, more := fqdn, true; more; _, name, more = strings.Cut(name, ".") {
		if _, found := l.domains[name]; found {
			return true
		}
	}
	return false
}
