package pipeline

import (
	"time"

	"golang.org/x/net/idna"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/resolver"
)

// This file is the only place where a seed, a variant and an answer become the
// records that other services read.

// Topics names where each kind of record goes.
type Topics struct {
	Candidates string // every registered candidate, every seed
	Crawl      string // seeds to be fetched; "" publishes none
	Inactive   string // names without an address; "" publishes none
}

// Tracking says which names go to the topic of inactive names.
type Tracking uint8

const (
	TrackRegistered Tracking = iota // registered, but without an address
	TrackNone
	TrackAll // the absent names too
)

// tagDenied marks a name that the deny list covers.
const tagDenied = "denied"

// Tags are what the lists say of the name and what the answer's records show, in
// words, sorted.
func (r *Result) Tags() []string {
	tags := r.Answer.Tags()
	if resolver.LikelyOwned(&r.own, &r.Answer) {
		tags = append([]string{resolver.TagLikelyOwned}, tags...) // before all others of records
	}
	if r.lists.Denies(r.Variant.FQDN) {
		tags = append([]string{tagDenied}, tags...) // the first in the alphabet
	}
	return tags
}

func (s *Scanner) country(a *resolver.Answer) string {
	if s.Country == nil || len(a.A) == 0 {
		return ""
	}
	return s.Country(a.A[0])
}

// record is the event of one look-alike and its answer.
func (r *Result) record() emitter.Event {
	s, v, a := r.Seed, &r.Variant, &r.Answer
	event := emitter.Event{
		Src: emitter.SrcVariant, ObservedAt: emitter.Seconds(r.at), Brand: s.Brand,
		SeedRegistrable: s.Registrable(), CanonicalFQDN: v.FQDN, Registrable: fuzzer.Registrable(v.FQDN),
		Detail: s.detail(v.FQDN, a),
	}
	event.Detail.Tags, event.Detail.Geoip = r.Tags(), r.Country
	if s.Recheck {
		event.Reasons, event.SeedRegistrable = s.Reasons, s.SeedRegistrable
		if event.Reasons == nil {
			event.Reasons = []string{"recheck"}
		}
		if event.SeedRegistrable == "" {
			event.SeedRegistrable = event.Registrable
		}
		return event
	}
	name := v.Algorithm.String()
	event.Fuzzer = &name
	event.Raw = &emitter.Raw{Fuzzer: name, Domain: v.FQDN, NS: first(a.NS), A: first(a.A), AAAA: first(a.AAAA), MX: first(a.MX)}
	event.Reasons = s.reasons("dnstwist:", v.Passes)
	event.Detail.Passes = v.Passes
	for _, algorithm := range v.Algorithms() {
		event.Detail.Fuzzers = append(event.Detail.Fuzzers, algorithm.String())
	}
	return event
}

// reasons marks each pass as the readers expect it: those of a scan asked for
// over Kafka or HTTP are "live".
func (s Seed) reasons(prefix string, passes []string) []string {
	if s.Origin.live() {
		prefix += "live:"
	}
	reasons := make([]string, len(passes))
	for i, pass := range passes {
		reasons[i] = prefix + pass
	}
	return reasons
}

// detail is what an event says about a name under our own key, but for its tags.
func (s Seed) detail(name string, a *resolver.Answer) emitter.Detail {
	detail := emitter.Detail{
		Version: emitter.EventVersion, ID: emitter.EventID(s.FQDN, name, s.Scan), Scan: s.Scan, Seed: s.FQDN,
		State: a.State.String(), RCode: a.RCode, Reason: a.Reason, NS: a.NS, A: a.A, AAAA: a.AAAA, MX: a.MX, CNAME: a.CNAME, SOA: a.SOA,
		Wildcard: a.Wildcard != "", WildcardOf: a.Wildcard, Disputed: a.Disputed, Incomplete: a.Incomplete, Server: a.Server,
	}
	if unicode, err := idna.Punycode.ToUnicode(name); err == nil && unicode != name {
		detail.Unicode = unicode
	}
	return detail
}

// seedEvent is the record of the seed itself, published before its look-alikes.
func (s Seed) seedEvent(now time.Time) emitter.Event {
	src := emitter.SrcCSVSeed
	if s.Origin.live() {
		src = emitter.SrcLiveSeed
	}
	detail := s.detail(s.FQDN, &resolver.Answer{})
	detail.State = "" // not asked
	return emitter.Event{
		Src: src, ObservedAt: emitter.Seconds(now), Brand: s.Brand, SeedRegistrable: s.Registrable(),
		CanonicalFQDN: s.FQDN, Registrable: s.Registrable(), Reasons: []string{"original_seed"}, IsOriginalSeed: true,
		Detail: detail,
	}
}

// seedMessages are what the topics get of the seed itself.
func (s Seed) seedMessages(topics Topics, now time.Time) ([]emitter.Message, error) {
	event := s.seedEvent(now)
	value, err := emitter.Encode(&event)
	if err != nil {
		return nil, err
	}
	messages := []emitter.Message{{Topic: topics.Candidates, Key: s.FQDN, Value: value}}
	if topics.Crawl == "" {
		return messages, nil
	}
	crawl := emitter.Crawl{
		SchemaVersion: "v1", URL: "https://" + s.FQDN + "/", TS: now.UnixMilli(), Brand: s.Brand, IsOriginalSeed: true,
		Registrable: s.Registrable(), SeedRegistrable: s.Registrable(), CanonicalFQDN: s.FQDN,
	}
	if value, err = emitter.Encode(&crawl); err != nil {
		return nil, err
	}
	return append(messages, emitter.Message{Topic: topics.Crawl, Key: s.FQDN, Value: value}), nil
}

// describe adds to an event how what was found compares with the past.
func (s sighting) describe(d *emitter.Detail) {
	if s.change == "" {
		return
	}
	d.Change, d.Changed, d.Baseline = s.change, s.changed, s.baseline
	d.FirstSeen, d.LastSeen = emitter.Seconds(s.firstSeen), emitter.Seconds(s.lastSeen)
}

// messages are what the topics get of one name: nothing of one that is absent or
// unknown, unless it was there before, absent ones are tracked or a person handed
// it in.
func (r *Result) messages(topics Topics, track Tracking, seen sighting) ([]emitter.Message, error) {
	var messages []emitter.Message
	s, v, a := r.Seed, &r.Variant, &r.Answer
	if a.State == resolver.Registered || seen.change == changeGone || s.handedIn() {
		e := *r.Event()
		seen.describe(&e.Detail)
		value, err := emitter.Encode(&e)
		if err != nil {
			return nil, err
		}
		messages = append(messages, emitter.Message{Topic: topics.Candidates, Key: v.FQDN, Value: value})
	}
	// A name whose addresses could not be asked is not known to have none.
	noAddress := a.State == resolver.Registered && len(a.A)+len(a.AAAA) == 0 && len(a.Incomplete) == 0
	if topics.Inactive == "" || s.Recheck || track == TrackNone || !(noAddress || a.State == resolver.Absent && track == TrackAll) {
		return messages, nil
	}
	inactive := emitter.Inactive{
		SchemaVersion: "v1", Registrable: r.Event().Registrable, CanonicalFQDN: v.FQDN, Brand: s.Brand,
		SeedRegistrable: r.Event().SeedRegistrable, Status: "unregistered", Fuzzer: v.Algorithm.String(),
		TS: r.at.UnixMilli(), Reasons: s.reasons("dnstwist:unregistered:", v.Passes),
	}
	value, err := emitter.Encode(&inactive)
	if err != nil {
		return nil, err
	}
	return append(messages, emitter.Message{Topic: topics.Inactive, Value: value}), nil
}

// first is the list cut to one value, as dnstwist's rows have it.
func first(values []string) []string { return values[:min(1, len(values))] }
