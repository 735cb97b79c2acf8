package pipeline

import (
	"net/netip"
	"slices"
	"time"

	"github.com/typostream/typostream/internal/store"
)

// Kinds of changes, the closed set of typostream.change in events and of the
// metrics' label "change".
const (
	changeNew       = "new"       // not known before, or gone before
	changeChanged   = "changed"   // other records
	changeActivated = "activated" // an address or mail server, where there was neither
	changeGone      = "gone"      // registered before, and now absent
	changeUnchanged = "unchanged" // as it was published last
)

// sighting is how what was found of a name compares with what is remembered. The
// zero value says that nothing is known of the past.
type sighting struct {
	change              string
	changed             []string // record types, of changed and activated
	baseline            bool     // no scan of the seed was complete before
	firstSeen, lastSeen time.Time
}

// alert says that somebody is to hear of it.
func (s sighting) alert() bool {
	return s.change != "" && s.change != changeUnchanged && !s.baseline
}

// noted is keep with what has changed last: this, at that time, if the journal
// gets a line of it, else what is known.
func (s sighting) noted(keep, known store.Entry, at time.Time) store.Entry {
	keep.Change, keep.ChangedAt = known.Change, known.ChangedAt
	if s.alert() {
		keep.Change, keep.ChangedAt = s.change, at
	}
	return keep
}

// compare tells what was found of a name from what is known of it; of the types
// that got no answer nothing has changed. keep is what to remember of the name
// when found is published.
func compare(known, found store.Entry, unanswered []string) (seen sighting, keep store.Entry) {
	for _, t := range unanswered {
		if now, before := recordsOf(&found.Records, t), recordsOf(&known.Records, t); now != nil {
			*now = *before
		}
	}
	keep = found
	keep.FirstSeen, keep.LastSeen, keep.Addresses = found.Published, found.Published, slices.Concat(found.Records.A, found.Records.AAAA)
	if known.Published.IsZero() {
		return sighting{change: changeNew, firstSeen: keep.FirstSeen, lastSeen: keep.LastSeen}, keep
	}
	keep.FirstSeen = known.FirstSeen
	seen = sighting{firstSeen: keep.FirstSeen, lastSeen: keep.LastSeen}
	if !known.Gone.IsZero() {
		seen.change = changeNew
		return seen, keep
	}
	seen.changed = differences(known, found.Records)
	switch {
	case len(seen.changed) == 0:
		seen.change = changeUnchanged
		keep.Addresses = remembered(known.Addresses, keep.Addresses)
	case reachable(found.Records) && !reachable(known.Records):
		seen.change = changeActivated
	default:
		seen.change = changeChanged
	}
	return seen, keep
}

// compareGone is compare of a name that is absent.
func compareGone(known store.Entry, at time.Time, id string) (seen sighting, keep store.Entry) {
	keep = known
	keep.ID, keep.Published, keep.Gone = id, at, at
	keep.Records, keep.Addresses = store.Records{}, nil
	return sighting{change: changeGone, firstSeen: known.FirstSeen, lastSeen: known.LastSeen}, keep
}

// recordsOf is the list of the type; nil of one that is not kept.
func recordsOf(r *store.Records, recordType string) *[]string {
	switch recordType {
	case "NS":
		return &r.NS
	case "A":
		return &r.A
	case "AAAA":
		return &r.AAAA
	case "MX":
		return &r.MX
	case "CNAME":
		return &r.CNAME
	}
	return nil
}

// reachable says that the name leads to a host or takes mail.
func reachable(r store.Records) bool { return len(r.A)+len(r.AAAA)+len(r.MX) > 0 }

// differences are the types of records that have changed. Addresses change all
// the time where a CDN hands out some of many: as long as one of those that came
// is near one that was seen before, they have not.
func differences(known store.Entry, now store.Records) []string {
	var types []string
	for _, t := range []struct {
		name        string
		before, now []string
		addresses   bool
	}{
		{"ns", known.Records.NS, now.NS, false},
		{"a", known.Records.A, now.A, true},
		{"aaaa", known.Records.AAAA, now.AAAA, true},
		{"mx", known.Records.MX, now.MX, false},
		{"cname", known.Records.CNAME, now.CNAME, false},
	} {
		same := slices.Equal(t.before, t.now)
		if t.addresses && len(t.before) > 0 && len(t.now) > 0 {
			same = same || slices.ContainsFunc(t.now, func(a string) bool { return near(a, known.Addresses) })
		}
		if !same {
			types = append(types, t.name)
		}
	}
	return types
}

// near says whether the address is in the network of one of the others: of 24
// bits, of IPv6 48, which is what hosters are given and announce at least.
func near(address string, others []string) bool {
	network, ok := networkOf(address)
	return ok && slices.ContainsFunc(others, func(other string) bool {
		n, ok := networkOf(other)
		return ok && n == network
	})
}

func networkOf(address string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, false
	}
	bits := 24
	if a = a.Unmap(); a.Is6() {
		bits = 48
	}
	n, err := a.Prefix(bits)
	return n, err == nil
}

// maxAddresses bounds the addresses that are remembered of a name.
const maxAddresses = 64

// remembered are the addresses that were seen, the newest first.
func remembered(before, now []string) []string {
	all := slices.Clone(now)
	for _, a := range before {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all[:min(len(all), maxAddresses)]
}
