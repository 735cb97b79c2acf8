package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
)

// Verdict is what becomes of a message of the input topic.
type Verdict uint8

const (
	Accepted      Verdict = iota // a submission: its domain is scanned
	Recheck                      // its one name is resolved and published again
	OwnOutput                    // we wrote it; input and output may be one topic
	Heartbeat                    // a sign of life or the like: it has a type, and no domain
	ForeignSource                // somebody's sighting or candidate, not a brand
	Poison                       // cannot be used at all: a dead letter
)

// String is the closed set of values of the metrics' label "verdict".
func (v Verdict) String() string {
	return [...]string{"accepted", "recheck", "own_output", "heartbeat", "foreign_source", "poison"}[v]
}

// PoisonError says why a message cannot be used.
type PoisonError struct {
	FailureType string // one of the emitter's Failure constants
	Err         error
}

func (e *PoisonError) Error() string { return e.Err.Error() }
func (e *PoisonError) Unwrap() error { return e.Err }

var (
	ownSources     = []string{emitter.SrcVariant, emitter.SrcCSVSeed, emitter.SrcLiveSeed}
	recheckSources = []string{"monitor-scheduler", "inactive-monitor"}
	// directSources are what the web backend writes into "source" of a name that
	// a person asks to have looked at. It goes to the topic of candidates, and is
	// no brand there either, should that be the input topic.
	directSources = []string{"frontend_api_direct", "frontend_api_bulk_direct"}
	errNoDomain   = errors.New("no fqdn, canonical_fqdn or domain in the message")
)

// ParseMessage reads one message of the input topic. The seed is set for
// Accepted and Recheck, without its Scan; err is a *PoisonError for Poison and
// nil otherwise. fuzzSources names further values of src whose messages are
// scanned though they are no submissions.
//
// It decodes with encoding/json: the bytes are a stranger's, and speed does not
// matter for one message a seed.
func ParseMessage(value []byte, fuzzSources []string) (Seed, Verdict, error) {
	fields, err := parseObject(value)
	if err != nil {
		return Seed{}, Poison, &PoisonError{emitter.FailureJSONParse, err}
	}
	src := fields.text("src")
	if _, ours := fields["typostream"]; ours || slices.Contains(ownSources, src) {
		return Seed{}, OwnOutput, nil
	}
	domain := ""
	for _, key := range []string{"fqdn", "canonical_fqdn", "domain"} {
		if domain = fields.text(key); domain != "" {
			break
		}
	}
	switch {
	case domain == "" && fields.text("type") != "":
		return Seed{}, Heartbeat, nil
	case domain == "":
		return Seed{}, Poison, &PoisonError{emitter.FailureMissingDomain, errNoDomain}
	case fields.flag("recheck") || slices.Contains(recheckSources, src):
		name, err := fuzzer.NormalizeFQDN(domain)
		return fields.seed(fuzzer.Seed{FQDN: name}, Recheck, err)
	case slices.Contains(directSources, fields.text("source")) && !fields.flag("is_original_seed"):
		return Seed{}, ForeignSource, nil
	case fields.flag("is_original_seed") || src == "" || slices.Contains(fuzzSources, src):
		parsed, err := fuzzer.ParseSeed(domain)
		return fields.seed(parsed, Accepted, err)
	default:
		return Seed{}, ForeignSource, nil
	}
}

// seed completes a seed whose domain was parsed with the given error.
func (o object) seed(domain fuzzer.Seed, verdict Verdict, err error) (Seed, Verdict, error) {
	if err != nil {
		return Seed{}, Poison, &PoisonError{emitter.FailureInvalidDomain, err}
	}
	brand, err := checkBrand(o.text("cse_id"))
	if err != nil {
		return Seed{}, Poison, &PoisonError{emitter.FailureInvalidBrand, err}
	}
	seed := Seed{Seed: domain, Brand: brand, Origin: FromKafka}
	if verdict == Recheck {
		seed.Recheck, seed.Reasons = true, o.reasons()
		// What is no name is left out: it is no reason to lose the re-check.
		seed.SeedRegistrable, _ = fuzzer.NormalizeFQDN(o.text("seed_registrable"))
	}
	return seed, verdict, nil
}

// Bounds of what a stranger's re-check can add to our event.
const (
	maxReasons = 16
	maxReason  = 256 // characters
)

// reasons are the first of the message's, each cut to its bound; none if they
// are no list of strings.
func (o object) reasons() []string {
	var reasons []string
	if json.Unmarshal(o["reasons"], &reasons) != nil {
		return nil
	}
	reasons = reasons[:min(len(reasons), maxReasons)]
	for i, reason := range reasons {
		if runes := []rune(reason); len(runes) > maxReason {
			reasons[i] = string(runes[:maxReason])
		}
	}
	return reasons
}

type object map[string]json.RawMessage

func parseObject(value []byte) (object, error) {
	if len(bytes.TrimSpace(value)) == 0 {
		return nil, errors.New("the message is empty")
	}
	if !utf8.Valid(value) {
		return nil, errors.New("the message is not UTF-8")
	}
	var fields object
	if err := json.Unmarshal(value, &fields); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, fmt.Errorf("the message is a JSON %s, not an object", kind.Value)
		}
		return nil, fmt.Errorf("the message is not JSON: %w", err)
	}
	if fields == nil {
		return nil, errors.New("the message is a JSON null, not an object")
	}
	return fields, nil
}

// text is the field's string, "" if there is none.
func (o object) text(key string) string {
	var s string
	if json.Unmarshal(o[key], &s) != nil {
		return ""
	}
	return s
}

func (o object) flag(key string) bool {
	var b bool
	return json.Unmarshal(o[key], &b) == nil && b
}
