package pipeline

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store"
)

// brittle is a store that fails while told to.
type brittle struct {
	*store.Memory
	mu  sync.Mutex
	err error
}

func (b *brittle) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *brittle) Known(ctx context.Context, seed string, names []string) ([]store.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	return b.Memory.Known(ctx, seed, names)
}

func newDedup(t *testing.T, log *slog.Logger) (*Dedup, *brittle) {
	t.Helper()
	m, err := store.NewMemory(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b := &brittle{Memory: m}
	return NewDedup(b, time.Hour, false, NewMetrics(), log), b
}

// scanOnce scans bank.com, the clock being the real one, and returns what was
// published of candidates.
func scanOnce(t *testing.T, s *Scanner, seed Seed) (Summary, []string) {
	t.Helper()
	sink := s.Emitter.(*memory)
	before := len(sink.of(testTopics.Candidates))
	s.Now = time.Now
	summary, err := s.Scan(t.Context(), seed)
	if err != nil {
		t.Fatal(err)
	}
	names := sink.of(testTopics.Candidates)[before:]
	slices.Sort(names)
	return summary, names
}

func TestDedup(t *testing.T) {
	var log bytes.Buffer
	dedup, _ := newDedup(t, slog.New(slog.NewTextHandler(&log, nil)))
	s := newScanner(t, testZone, &memory{})
	s.Dedup = dedup
	all := []string{"bak.com", "ban.com", "bank.com"}
	first, names := scanOnce(t, s, bank(t, FromKafka))
	if first.Candidates != 2 || first.Suppressed != 0 || !slices.Equal(names, all) {
		t.Errorf("the first scan published %v: %+v", names, first)
	}
	second, names := scanOnce(t, s, bank(t, FromKafka))
	if second.Candidates != 0 || second.Suppressed != 2 || second.Registered != 2 || !slices.Equal(names, all[2:]) {
		t.Errorf("the second scan published %v: %+v", names, second)
	}
	if second.Receipt.Acked != 2 { // the seed's own two records
		t.Errorf("acknowledged %+v", second.Receipt)
	}

	// The same names under another seed are news, and a change is.
	other := bank(t, FromKafka)
	other.FQDN, other.Subdomain = "www.bank.com", "www"
	if summary, _ := scanOnce(t, s, other); summary.Suppressed != 0 {
		t.Errorf("another seed's candidates were suppressed: %+v", summary)
	}
	changed := newScanner(t, strings.ReplaceAll(testZone, "192.0.2.", "203.0.113."), s.Emitter)
	changed.Dedup = dedup
	if strings.Contains(testZone, "192.0.2.") {
		summary, names := scanOnce(t, changed, bank(t, FromKafka))
		if summary.Candidates != 1 || summary.Suppressed != 1 {
			t.Errorf("after a change: published %v, %+v", names, summary)
		}
	} else {
		t.Error("the zone has no address to change")
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
}

// A name that somebody asks about is published, known or not.
func TestDedupLeavesRechecks(t *testing.T) {
	dedup, _ := newDedup(t, slog.New(slog.DiscardHandler))
	s := newScanner(t, testZone, &memory{})
	s.Dedup = dedup
	recheck := Seed{Brand: "BANK", Recheck: true, SeedRegistrable: "bank.com"}
	recheck.FQDN = "ban.com"
	for range 2 {
		if summary, names := scanOnce(t, s, recheck); !slices.Equal(names, []string{"ban.com"}) {
			t.Errorf("published %v: %+v", names, summary)
		}
	}
}

// Only what Kafka has acknowledged is known: what is in the spool may be lost to
// the topic, and what failed was not published at all.
func TestDedupAfterTheAck(t *testing.T) {
	dedup, _ := newDedup(t, slog.New(slog.DiscardHandler))
	sink := &memory{spooling: true}
	s := newScanner(t, testZone, sink)
	s.Dedup = dedup
	if summary, _ := scanOnce(t, s, bank(t, FromKafka)); summary.Receipt.Spooled != 5 {
		t.Fatalf("%+v", summary)
	}
	sink.failing = 100
	if _, err := s.Scan(t.Context(), bank(t, FromKafka)); err == nil {
		t.Fatal("a scan whose events are not durable ended well")
	}
	sink.failing, sink.spooling = 0, false
	if summary, _ := scanOnce(t, s, bank(t, FromKafka)); summary.Candidates != 2 || summary.Suppressed != 0 {
		t.Errorf("what Kafka never had was suppressed: %+v", summary)
	}
	if summary, _ := scanOnce(t, s, bank(t, FromKafka)); summary.Suppressed != 2 {
		t.Errorf("what Kafka has was published again: %+v", summary)
	}
}

// A store that does not answer costs repeats, one warning, and no candidate.
func TestDedupFailsOpen(t *testing.T) {
	var log bytes.Buffer
	dedup, b := newDedup(t, slog.New(slog.NewTextHandler(&log, nil)))
	s := newScanner(t, testZone, &memory{})
	s.Dedup = dedup
	scanOnce(t, s, bank(t, FromKafka))
	b.fail(errors.New("connection refused"))
	for range 2 {
		if summary, _ := scanOnce(t, s, bank(t, FromKafka)); summary.Candidates != 2 || summary.Suppressed != 0 {
			t.Errorf("without its store: %+v", summary)
		}
	}
	b.fail(nil)
	if summary, _ := scanOnce(t, s, bank(t, FromKafka)); summary.Suppressed != 2 {
		t.Errorf("with its store again: %+v", summary)
	}
	if n := strings.Count(log.String(), "the store does not answer"); n == 0 || strings.Count(log.String(), "the store answers again") == 0 {
		t.Errorf("logged:\n%s", log.String())
	}
	if err := dedup.Problem(); err != nil {
		t.Errorf("the problem stays: %v", err)
	}
}

func TestTally(t *testing.T) {
	got := emitter.Tally([]emitter.Fate{emitter.FateAcked, emitter.FateSpooled, emitter.FateAcked, emitter.FateUndelivered, emitter.FateDeadLettered})
	if want := (emitter.Receipt{Acked: 2, Spooled: 1, DeadLettered: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
