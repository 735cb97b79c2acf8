package fuzzer

import (
	"bytes"
	_ "embed"
	"strings"
	"sync"

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

//go:generate go run ../internal/suffixes suffixes_icann.txt

//go:embed suffixes_icann.txt
var icannSuffixesText string

// suffixRules says at the price of two look-ups which names cannot be bare
// ICANN suffixes. Package publicsuffix, which would know, allocates with every
// question.
type suffixRules struct {
	current   bool            // made of the list that package publicsuffix holds
	names     map[string]bool // of several labels
	wildcards map[string]bool // what stands behind "*."
	longest   int             // of names
}

var icannRules = sync.OnceValue(func() *suffixRules { return readSuffixRules(icannSuffixesText) })

// readSuffixRules reads the table. Its first line is the version of the list.
func readSuffixRules(text string) *suffixRules {
	r := &suffixRules{names: map[string]bool{}, wildcards: map[string]bool{}}
	first, rest, _ := strings.Cut(text, "\n")
	r.current = first == "# "+publicsuffix.List.String()
	for line := range strings.Lines(rest) {
		rule := strip(line)
		if parent, wild := strings.CutPrefix(rule, "*."); wild {
			r.wildcards[parent] = true
		} else if rule != "" {
			r.names[rule] = true
			r.longest = max(r.longest, len(rule))
		}
	}
	return r
}

// mayBeBare reports whether name can be a bare ICANN suffix. It is true of each
// that is one, and of all names once a newer list has made the table old.
func (r *suffixRules) mayBeBare(name []byte) bool {
	dot := bytes.IndexByte(name, '.')
	return !r.current || dot < 0 || len(name) <= r.longest && r.names[string(name)] || r.wildcards[string(name[dot+1:])]
}

// others tells names that somebody else than the seed's registrant can hold.
type others struct {
	own    string // the seed's site
	suffix string // its public suffix, which may be a private one
	rules  *suffixRules
}

func othersThan(seed Seed) others {
	return others{own: site(seed.FQDN), suffix: seed.PublicSuffix, rules: icannRules()}
}

// hold reports whether name is neither the seed's own nor a bare suffix. The
// seed's own are those of the same registrant, so under a private suffix
// (myshop.github.io) a sister name counts as another's.
func (o others) hold(name []byte) bool {
	if string(name) == o.suffix { // of a label of one character nothing is left
		return false
	}
	tail := name[max(0, len(name)-len(o.own)):]
	if string(tail) != o.own && !o.rules.mayBeBare(name) {
		return true // it has a site, which ends the name
	}
	other := site(string(name))
	return other != "" && other != o.own
}
