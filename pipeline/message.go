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
	Heartbeat                    // a sign of life, without a domain
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
	errNoDomain    = errors.New("no fqdn, canonical_fqdn or domain in the message")
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
	case domain == "" && fields.text("type") == "heartbeat":
		return Seed{}, Heartbeat, nil
	case domain == "":
		return Seed{}, Poison, &PoisonError{emitter.FailureMissingDomain, errNoDomain}
	case fields.flag("recheck") || slices.Contains(recheckSources, src):
		return parseRecheck(fields, domain)
	case fields.flag("is_original_seed") || src == "" || slices.Contains(fuzzSources, src):
		parsed, err := fuzzer.ParseSeed(domain)
		if err != nil {
			return Seed{}, Poison, &PoisonError{emitter.FailureInvalidDomain, err}
		}
		return Seed{Seed: parsed, Brand: fields.brand(), Origin: FromKafka}, Accepted, nil
	default:
		return Seed{}, ForeignSource, nil
	}
}

func parseRecheck(fields object, domain string) (Seed, Verdict, error) {
	name, err := fuzzer.NormalizeFQDN(domain)
	if err != nil {
		return Seed{}, Poison, &PoisonError{emitter.FailureInvalidDomain, err}
	}
	seed := Seed{
		Seed: fuzzer.Seed{FQDN: name}, Brand: fields.brand(), Origin: FromKafka,
		Recheck: true, SeedRegistrable: fields.text("seed_registrable"),
	}
	// A wrong list of reasons is no reason to lose the name.
	_ = json.Unmarshal(fields["reasons"], &seed.Reasons)
	if len(seed.Reasons) > maxReasons {
		seed.Reasons = seed.Reasons[:maxReasons]
	}
	return seed, Recheck, nil
}

// maxReasons bounds what a stranger's re-check can add to our event.
const maxReasons = 16

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

func (o object) brand() string {
	if brand := o.text("cse_id"); brand != "" {
		return brand
	}
	return UnknownBrand
}
