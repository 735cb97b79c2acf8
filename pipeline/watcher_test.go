package pipeline

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/typostream/typostream/fuzzer"
)

// What is told of a scan that brings much, nothing, no answers, or is given up;
// of a re-check nothing.
func TestWatcher(t *testing.T) {
	anyError := errors.New("any")
	const empty = "com. SOA a. b. 1 1 1 1 1\n"
	recheck := Seed{Seed: fuzzer.Seed{FQDN: "ban.com"}, Brand: "BANK", Origin: FromKafka, Scan: "s", Recheck: true}
	for name, test := range map[string]struct {
		zone       string
		seed       Seed
		failing    int // calls of the emitter
		told       int
		candidates int
		err        error // anyError for any
	}{
		"complete":               {testZone, bank(t, FromCSV), 0, 1, 2, nil},
		"complete after a fault": {testZone, bank(t, FromCSV), 3, 1, 2, nil},
		"nothing registered":     {empty, bank(t, FromKafka), 0, 1, 0, nil},
		"no answers":             {broken, bank(t, FromCSV), 0, 1, 0, ErrUnanswered},
		"a re-check":             {testZone, recheck, 0, 0, 0, nil},
		"given up":               {testZone, bank(t, FromCSV), 1 << 30, 1, 0, anyError},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w := newWorker(newScanner(t, test.zone, &memory{failing: test.failing}), io.Discard, &oneSeed{test.seed, make(chan error, 1)})
			var begun, ended int
			w.Watcher = Watcher{
				Begun: func(seed Seed) {
					begun++
					if test.err == anyError {
						w.DrainTimeout = 0
						cancel()
					}
				},
				Ended: func(seed Seed, summary Summary, err error) {
					ended++
					if seed.FQDN != "bank.com" || !errors.Is(err, test.err) && (test.err != anyError || err == nil) || summary.Candidates != test.candidates {
						t.Errorf("%s: %d candidates, %v", seed.FQDN, summary.Candidates, err)
					}
				},
			}
			if err := w.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if begun != test.told || ended != test.told {
				t.Errorf("told %d times of a beginning and %d times of an end, want %d", begun, ended, test.told)
			}
		})
	}
}
