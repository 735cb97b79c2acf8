package emitter

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"

	"github.com/goccy/go-json"
)

// EventVersion is the value of typostream.v in every event; docs/EVENTS.md
// describes what it promises.
const EventVersion = 1

// The sources that typostream writes into Event.Src. A message that carries one
// of them is our own output, wherever it is read.
const (
	SrcVariant  = "dnstwist"      // a look-alike of a seed
	SrcCSVSeed  = "csv_seed"      // a seed from a file or the command line
	SrcLiveSeed = "dnstwist_live" // a seed from Kafka
)

// Event is one record of topic domains.candidates, version 1: the shape that
// the neighbouring services read, plus everything new under "typostream".
// docs/EVENTS.md and docs/event.v1.schema.json are its contract.
type Event struct {
	Src             string   `json:"src"`
	ObservedAt      float64  `json:"observed_at"` // seconds since the Unix epoch
	Brand           string   `json:"cse_id"`
	SeedRegistrable string   `json:"seed_registrable"`
	CanonicalFQDN   string   `json:"canonical_fqdn"` // A-labels; the Kafka key
	Registrable     string   `json:"registrable"`    // by the ICANN section of the public suffix list
	Reasons         []string `json:"reasons"`
	IsOriginalSeed  bool     `json:"is_original_seed"`
	Fuzzer          *string  `json:"fuzzer"` // null for a seed and for a re-check
	Raw             *Raw     `json:"raw,omitempty"`
	Detail          Detail   `json:"typostream"`
}

// Raw is dnstwist's own JSON row: each list is sorted and holds at most one
// value; a type without an answer has no key.
type Raw struct {
	Fuzzer string   `json:"fuzzer"`
	Domain string   `json:"domain"`
	NS     []string `json:"dns_ns,omitempty"`
	A      []string `json:"dns_a,omitempty"`
	AAAA   []string `json:"dns_aaaa,omitempty"`
	MX     []string `json:"dns_mx,omitempty"`
}

// Detail is what typostream adds to the record of the service it replaces.
// State is empty for a seed, which is published before anything is asked.
type Detail struct {
	Version    int      `json:"v"`
	ID         string   `json:"id"`   // EventID of seed, name and scan
	Scan       string   `json:"scan"` // the same for every event of one scan of one seed
	Seed       string   `json:"seed"` // the seed's FQDN
	Unicode    string   `json:"unicode,omitempty"`
	Fuzzers    []string `json:"fuzzers,omitempty"`
	Passes     []string `json:"passes,omitempty"`
	State      string   `json:"state,omitempty"`
	RCode      string   `json:"rcode,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	NS         []string `json:"ns,omitempty"`
	A          []string `json:"a,omitempty"`
	AAAA       []string `json:"aaaa,omitempty"`
	MX         []string `json:"mx,omitempty"`
	CNAME      []string `json:"cname,omitempty"`
	SOA        []string `json:"soa,omitempty"`
	Wildcard   bool     `json:"wildcard,omitempty"`    // a parent answers so for any name
	WildcardOf string   `json:"wildcard_of,omitempty"` // that parent
	Disputed   string   `json:"disputed,omitempty"`    // another upstream, which says that the name does not exist
	Tags       []string `json:"tags,omitempty"`        // sorted
	Incomplete []string `json:"incomplete,omitempty"`  // record types that got no answer
	Server     string   `json:"server,omitempty"`      // the upstream that answered
	Geoip      string   `json:"geoip,omitempty"`       // country of the first of A

	// How it compares with the scans before; absent where those are not known.
	Change    string   `json:"change,omitempty"`     // new, changed, activated, gone or unchanged
	Changed   []string `json:"changed,omitempty"`    // record types: ns, a, aaaa, mx, cname
	Baseline  bool     `json:"baseline,omitempty"`   // of the first complete scan of the seed
	FirstSeen float64  `json:"first_seen,omitempty"` // seconds since the Unix epoch: found registered for the first time
	LastSeen  float64  `json:"last_seen,omitempty"`  // and for the last
}

// Crawl is one record of topic phish.urls.crawl: a seed to be fetched.
type Crawl struct {
	SchemaVersion   string `json:"schema_version"`
	URL             string `json:"url"`
	TS              int64  `json:"ts"` // milliseconds since the Unix epoch
	Brand           string `json:"cse_id"`
	IsOriginalSeed  bool   `json:"is_original_seed"`
	Registrable     string `json:"registrable"`
	SeedRegistrable string `json:"seed_registrable"`
	CanonicalFQDN   string `json:"canonical_fqdn"`
}

// Inactive is one record of topic phish.urls.inactive: a name without an
// address. Status is "unregistered" for its readers' sake, even for a name
// that is registered.
type Inactive struct {
	SchemaVersion   string   `json:"schema_version"`
	Registrable     string   `json:"registrable"`
	CanonicalFQDN   string   `json:"canonical_fqdn"`
	Brand           string   `json:"cse_id"`
	SeedRegistrable string   `json:"seed_registrable"`
	Status          string   `json:"status"`
	Fuzzer          string   `json:"fuzzer"`
	TS              int64    `json:"ts"` // milliseconds since the Unix epoch
	Reasons         []string `json:"reasons"`
}

// Encode returns the record as one JSON object without a line break: the value
// of a message and, byte for byte, a line of a JSONL file.
func Encode[T Event | Crawl | Inactive](record *T) ([]byte, error) {
	return json.Marshal(record)
}

// EventID is the identity of an event: 128 bits of SHA-256 over seed, name and
// scan as hex. The same scan asked again gives the same id.
func EventID(seed, name, scan string) string {
	h := sha256.New()
	for _, part := range []string{seed, name, scan} {
		h.Write([]byte(part))
		h.Write([]byte{0}) // no name holds a NUL, so the parts cannot run together
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Seconds is t as Event.ObservedAt has it, to the microsecond.
func Seconds(t time.Time) float64 {
	return math.Round(float64(t.UnixMicro())) / 1e6
}
