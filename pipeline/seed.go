package pipeline

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/typostream/typostream/fuzzer"
)

// UnknownBrand stands where a seed came without a brand's id.
const UnknownBrand = "UNKNOWN"

// maxBrand bounds a brand's id in bytes: it is copied into every event.
const maxBrand = 256

// checkBrand completes a brand's id from outside, or says why it cannot be
// used.
func checkBrand(brand string) (string, error) {
	switch {
	case brand == "":
		return UnknownBrand, nil
	case len(brand) > maxBrand:
		return "", fmt.Errorf("the cse_id has %d bytes, more than %d", len(brand), maxBrand)
	case strings.ContainsFunc(brand, unicode.IsControl):
		return "", fmt.Errorf("the cse_id %s has a control character", shorten(brand))
	}
	return brand, nil
}

// Origin says where a seed came from; it decides how its events are marked.
type Origin uint8

const (
	FromArgument Origin = iota // the command line, or a file named there
	FromCSV                    // the worker's CSV of seeds
	FromKafka                  // the worker's input topic
	FromHTTP                   // submitted to the worker
)

// String is the closed set of values of the metrics' label "origin".
func (o Origin) String() string {
	switch o {
	case FromCSV:
		return "csv"
	case FromKafka:
		return "kafka"
	case FromHTTP:
		return "http"
	default:
		return "argument"
	}
}

// originOf reads back what String says; what it never says is FromHTTP, which
// was the only one when the queue began.
func originOf(name string) Origin {
	for _, o := range []Origin{FromArgument, FromCSV, FromKafka} {
		if o.String() == name {
			return o
		}
	}
	return FromHTTP
}

// live says that somebody asks for the scan now, over Kafka or HTTP.
func (o Origin) live() bool { return o == FromKafka || o == FromHTTP }

// Seed is a brand's domain on its way through the pipeline, or one name to be
// asked about again.
type Seed struct {
	fuzzer.Seed
	Brand  string // cse_id; UnknownBrand if none was given
	Origin Origin
	Scan   string // id of this scan, given when the seed was accepted

	// Recheck marks a name that is resolved and published again but not
	// fuzzed. Only FQDN is set of the embedded Seed.
	Recheck bool
	// Of a re-check only: what its sender said of it.
	SeedRegistrable string
	Reasons         []string

	// Rescan marks a seed that is looked at again because it is watched.
	Rescan bool
	// Only restricts a scan to these of the seed's look-alikes; nil is all. The
	// seed's own record is not published again.
	Only []string
}

// handedIn says that a person handed in the one name, without its look-alikes:
// it is published whatever the DNS says, as it is asked for to be looked at.
func (s *Seed) handedIn() bool { return s.Recheck && s.Origin == FromHTTP }

// A Delivery is a seed and its acknowledgement, which travel together: the
// source learns from Done whether every event of the seed is durable, and only
// then forgets the seed.
type Delivery struct {
	Seed Seed
	// Context ends when the source no longer owns the seed, for instance
	// because its partition went to another worker.
	Context context.Context
	// Finished is told the summary just before Done(nil). May be nil.
	Finished func(Summary)
	// Done must be called exactly once: nil when every event of the seed is
	// durable, else the reason why not.
	Done func(error)
}

// Source hands out seeds. Run delivers until its seeds are at an end or ctx is
// done; then it waits until every delivered seed is done, lets go of what it
// holds and returns. It returns an error only if it cannot go on at all.
type Source interface {
	Run(ctx context.Context, out chan<- Delivery) error
}
