package resolver

import (
	"fmt"
	"slices"
)

// State says what is known about the registration of a name. The zero value is
// Unknown, so that an answer nobody filled in claims nothing.
type State uint8

// The closed set of states.
const (
	// Unknown: no server gave a usable answer (SERVFAIL, REFUSED, time-out
	// after all tries). It must not be read as either of the other two.
	Unknown State = iota
	// Registered: the name exists (NOERROR, with or without records).
	Registered
	// Absent: the name does not exist (NXDOMAIN, RFC 8020).
	Absent
)

var stateNames = [...]string{Unknown: "unknown", Registered: "registered", Absent: "absent"}

// String returns "registered", "absent" or "unknown".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText writes the word that String returns.
func (s State) MarshalText() ([]byte, error) {
	if int(s) >= len(stateNames) {
		return nil, fmt.Errorf("resolver: no state has the number %d", uint8(s))
	}
	return []byte(stateNames[s]), nil
}

// UnmarshalText reads a word that MarshalText wrote.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("resolver: %q is no state (registered, absent, unknown)", text)
	}
	*s = State(i)
	return nil
}

// Reasons that are not the mnemonic of an RCODE. An answer's Reason is one of
// these, an RCODE mnemonic such as "SERVFAIL", or empty.
const (
	ReasonNoData      = "NODATA"         // registered, and none of the asked types has a record
	ReasonNXDomain    = "NXDOMAIN"       // absent
	ReasonDangling    = "CNAME_NXDOMAIN" // registered: the name is an alias of one that does not exist (RFC 6604)
	ReasonAliasFails  = "CNAME_SERVFAIL" // registered: the name is an alias, and RCode is all that servers say about where it leads
	ReasonDelegated   = "DELEGATED"      // registered: servers above delegate it, but its own gave no resolver an answer
	ReasonReferral    = "REFERRAL"       // unknown: the server does not recurse and only names others to ask (RFC 2308 section 2.2)
	ReasonTimeout     = "TIMEOUT"        // unknown: no answer to any try
	ReasonUnreachable = "UNREACHABLE"    // unknown: the system or an ICMP message said the server cannot be reached
	ReasonMalformed   = "MALFORMED"      // unknown: the answer to our question was not a well-formed message
	ReasonInvalidName = "INVALID_NAME"   // unknown: not asked, because the name is not one that DNS hosts can have
)

// maxRecords bounds each list of an Answer. A server may send thousands.
const maxRecords = 64

// Answer is what was found out about one name. It owns its memory.
//
// The lists are sorted, free of duplicates and at most 64 long; nil when there
// is nothing. Host names in them are lower case, without the trailing dot, in
// the presentation format of RFC 1035 section 5.1: every byte that is not
// printable ASCII is written \DDD. A record counts only when the asked name, or
// a name that its CNAME chain leads to, owns it in the answer section.
type Answer struct {
	Name   string // as asked: lower case, no trailing dot
	State  State
	RCode  string // "NOERROR", "NXDOMAIN", …; empty when no answer came
	Reason string // see the Reason constants
	Server string // address and port of the server that State or Reason comes from

	NS, A, AAAA, MX []string // MX holds host names without their preference
	CNAME           []string // every target of the alias chain
	SOA             []string // at most one: primary server and mailbox, with a blank between
	NullMX          bool     // the name declares that it takes no mail (RFC 7505); the "." is not in MX

	// Wildcard is the parent that answers for any name what was found, so that
	// nobody need have made this one: the name's public suffix, or a domain below
	// it whose owner has a catch-all. Empty if none does. The state stays as it is.
	Wildcard string
	// Disputed is the address and port of another nameserver, which says that
	// the name does not exist; empty if none does. Filtering resolvers do so for
	// names that they know to be bad. The state stays as it is.
	Disputed string

	// Incomplete names the types ("A", "MX", …) for which no server gave an
	// answer although the name is registered. Their lists are empty for that
	// reason, not because there are no records.
	Incomplete []string
}

// Of Answer.lists: how many hold records, and which holds aliases.
const (
	recordLists = 6
	cnameList   = 4
)

// lists are the lists of a: of records first, Incomplete last.
func (a *Answer) lists() [recordLists + 1]*[]string {
	return [...]*[]string{&a.NS, &a.A, &a.AAAA, &a.MX, &a.CNAME, &a.SOA, &a.Incomplete}
}

// lacksAnswer reports whether the list with that number is empty because no
// server gave an answer.
func (a *Answer) lacksAnswer(list int) bool {
	return contains(a.Incomplete, [...]string{"NS", "A", "AAAA", "MX", "CNAME", "SOA"}[list])
}

// clone returns a copy with memory of its own.
func (a *Answer) clone() Answer {
	b := *a
	for _, list := range b.lists() {
		*list = slices.Clone(*list)
	}
	return b
}

// empty reports whether no record of any kind was found.
func (a *Answer) empty() bool {
	return len(a.NS)+len(a.A)+len(a.AAAA)+len(a.MX)+len(a.CNAME)+len(a.SOA) == 0 && !a.NullMX
}

// add puts the records of one settled question into a.
func (a *Answer) add(t Type, o *outcome) {
	switch t {
	case TypeNS:
		a.NS = o.values
	case TypeA:
		a.A = o.values
	case TypeAAAA:
		a.AAAA = o.values
	case TypeSOA:
		a.SOA = o.values
	case TypeMX:
		a.MX, a.NullMX = o.values, o.nullMX
	}
	if len(o.chain) > 0 {
		a.CNAME = tidy(append(a.CNAME, o.chain...))
	}
}

// delegate notes that the name is delegated to hosts, and nothing else about it
// is known.
func (a *Answer) delegate(hosts []string, types []Type) {
	a.State, a.Reason, a.NS = Registered, ReasonDelegated, hosts
	for _, t := range types {
		if t != TypeNS {
			a.Incomplete = append(a.Incomplete, t.String())
		}
	}
}

// tidy sorts, removes duplicates and cuts to maxRecords; nil stays nil.
func tidy(values []string) []string {
	slices.Sort(values)
	values = slices.Compact(values)
	return slices.Clip(values[:min(len(values), maxRecords)])
}
