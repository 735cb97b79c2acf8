package pipeline

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/store"
)

func TestCompare(t *testing.T) {
	day := time.Date(2025, 10, 16, 8, 0, 0, 0, time.UTC)
	host := store.Records{NS: []string{"ns1.x"}, A: []string{"192.0.2.1"}, MX: []string{"mx.x"}}
	for name, tc := range map[string]struct {
		known      store.Records
		gone       bool
		found      store.Records
		unanswered []string
		want       string
	}{
		"as it was":                       {known: host, found: host, want: "unchanged"},
		"another address of its network":  {known: host, found: store.Records{NS: []string{"ns1.x"}, A: []string{"192.0.2.77"}, MX: []string{"mx.x"}}, want: "unchanged"},
		"another network":                 {known: host, found: store.Records{NS: []string{"ns1.x"}, A: []string{"192.0.3.1"}, MX: []string{"mx.x"}}, want: "changed a"},
		"a further address":               {known: host, found: store.Records{NS: []string{"ns1.x"}, A: []string{"192.0.2.1", "203.0.113.1"}, MX: []string{"mx.x"}}, want: "unchanged"},
		"no address any more":             {known: host, found: store.Records{NS: []string{"ns1.x"}, MX: []string{"mx.x"}}, want: "changed a"},
		"addresses got no answer":         {known: host, found: store.Records{NS: []string{"ns1.x"}, MX: []string{"mx.x"}}, unanswered: []string{"A", "AAAA", "SOA"}, want: "unchanged"},
		"mail got none, another address":  {known: host, found: store.Records{NS: []string{"ns1.x"}, A: []string{"198.51.100.1"}}, unanswered: []string{"MX"}, want: "changed a"},
		"other servers and mail":          {known: host, found: store.Records{NS: []string{"ns2.x"}, A: []string{"192.0.2.1"}}, want: "changed ns mx"},
		"an alias":                        {known: host, found: store.Records{NS: []string{"ns1.x"}, A: []string{"192.0.2.1"}, MX: []string{"mx.x"}, CNAME: []string{"y.x"}}, want: "changed cname"},
		"an address where none was":       {known: store.Records{NS: []string{"ns1.x"}}, found: store.Records{NS: []string{"ns1.x"}, A: []string{"192.0.2.1"}}, want: "activated a"},
		"mail where none was":             {known: store.Records{NS: []string{"ns1.x"}}, found: store.Records{NS: []string{"ns2.x"}, MX: []string{"mx.x"}}, want: "activated ns mx"},
		"an address beside mail":          {known: store.Records{MX: []string{"mx.x"}}, found: store.Records{MX: []string{"mx.x"}, A: []string{"192.0.2.1"}}, want: "changed a"},
		"IPv6 of the same 48 bits":        {known: store.Records{AAAA: []string{"2001:db8:1::1"}}, found: store.Records{AAAA: []string{"2001:db8:1:ffff::2"}}, want: "unchanged"},
		"IPv6 of others":                  {known: store.Records{AAAA: []string{"2001:db8:1::1"}}, found: store.Records{AAAA: []string{"2001:db8:2::1"}}, want: "changed aaaa"},
		"back after it was gone":          {known: store.Records{}, gone: true, found: host, want: "new"},
		"nothing but that it exists":      {known: store.Records{}, found: store.Records{}, want: "unchanged"},
		"addresses of another kind too":   {known: host, found: store.Records{NS: []string{"ns1.x"}, A: []string{"192.0.2.1"}, AAAA: []string{"2001:db8::1"}, MX: []string{"mx.x"}}, want: "changed aaaa"},
		"an address that cannot be read ": {known: store.Records{A: []string{"x"}}, found: store.Records{A: []string{"y"}}, want: "changed a"},
	} {
		t.Run(name, func(t *testing.T) {
			known := store.Entry{
				Name: "a.com", Records: tc.known, Addresses: slices.Concat(tc.known.A, tc.known.AAAA), Published: day, FirstSeen: day.Add(-time.Hour), LastSeen: day,
			}
			if tc.gone {
				known.Gone = day
			}
			seen, keep := compare(known, store.Entry{Name: "a.com", Records: tc.found, Published: day.Add(24 * time.Hour)}, tc.unanswered)
			if got := strings.Join(append([]string{seen.change}, seen.changed...), " "); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			if !keep.FirstSeen.Equal(known.FirstSeen) || !keep.LastSeen.Equal(day.Add(24*time.Hour)) || !keep.Gone.IsZero() {
				t.Errorf("to remember: %+v", keep)
			}
		})
	}
}

// A server hands out some of many addresses each time. Once all of them were
// seen, no answer is a change any more.
func TestRotationIsNoChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pool []string
		for i := range rapid.IntRange(1, 40).Draw(t, "pool") {
			pool = append(pool, fmt.Sprintf("10.%d.0.1", i))
		}
		now := time.Now()
		sees := func(known store.Entry, addresses []string) (sighting, store.Entry) {
			now = now.Add(time.Hour)
			return compare(known, store.Entry{Name: "a.com", Records: store.Records{A: addresses}, Published: now}, nil)
		}
		_, known := sees(store.Entry{}, pool[:1])
		for i := range pool[1:] { // each comes with one that was seen before
			var seen sighting
			if seen, known = sees(known, pool[i:i+2]); seen.change != changeUnchanged {
				t.Fatalf("%v after %v: %+v", pool[i:i+2], pool[:i+1], seen)
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "scans") {
			some := rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 1, len(pool), rapid.ID[string]).Draw(t, "answer")
			slices.Sort(some)
			var seen sighting
			if seen, known = sees(known, some); seen.change != changeUnchanged {
				t.Fatalf("%v: %+v", some, seen)
			}
		}
	})
}

// history is a scanner with a history in a file, whose DNS is another each time.
type historyRig struct {
	t       *testing.T
	dedup   *Dedup
	history *store.Bolt
	sink    *memory
	now     time.Time
}

func newHistoryRig(t *testing.T, all bool) *historyRig {
	t.Helper()
	file, _, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	bolt := file.Published(1000 * time.Hour)
	return &historyRig{
		t: t, history: bolt, dedup: NewDedup(bolt, 1000*time.Hour, all, NewMetrics(), slog.New(slog.DiscardHandler)), sink: &memory{}, now: time.Now().Add(-500 * time.Hour),
	}
}

// scan returns what was published of look-alikes, with what is said of it, and
// checks that the books hold.
func (h *historyRig) scan(zone string) []string {
	h.t.Helper()
	s := newScanner(h.t, zone, h.sink)
	s.Dedup = h.dedup
	h.now = h.now.Add(24 * time.Hour)
	s.Now = func() time.Time { return h.now }
	before := len(h.sink.messages)
	summary, err := s.Scan(h.t.Context(), bank(h.t, FromKafka))
	if err != nil {
		h.t.Fatal(err)
	}
	var said []string
	gone, alerts := 0, 0
	for _, m := range h.sink.messages[before:] {
		var e emitter.Event
		if err := json.Unmarshal(m.Value, &e); err != nil || m.Topic != testTopics.Candidates || e.IsOriginalSeed {
			continue
		}
		text := strings.Join(append([]string{e.CanonicalFQDN, e.Detail.Change}, e.Detail.Changed...), " ")
		if e.Detail.Baseline {
			text += " baseline"
		} else if e.Detail.Change != changeUnchanged {
			alerts++
		}
		if e.Detail.Change == changeGone {
			gone++
		}
		if (e.Detail.State == "absent") != (e.Detail.Change == changeGone) || e.Detail.FirstSeen == 0 || e.Detail.FirstSeen > e.Detail.LastSeen {
			h.t.Errorf("%s", m.Value)
		}
		said = append(said, text)
	}
	if summary.Registered+gone != summary.Candidates+summary.Suppressed || summary.Changes != alerts || len(said) != summary.Candidates {
		h.t.Errorf("%d gone, %d alerts, %+v", gone, alerts, summary)
	}
	slices.Sort(said)
	return said
}

func (h *historyRig) want(what, zone string, want ...string) {
	h.t.Helper()
	if got := h.scan(zone); !slices.Equal(got, want) {
		h.t.Errorf("%s: published %q, want %q", what, got, want)
	}
}

// wantLast compares the names whose entry holds a change, the latest first.
func (h *historyRig) wantLast(want ...string) {
	h.t.Helper()
	entries, _, err := h.history.Candidates(h.t.Context(), "bank.com", "", 100)
	if err != nil {
		h.t.Fatal(err)
	}
	slices.SortFunc(entries, func(a, b store.Entry) int { return b.ChangedAt.Compare(a.ChangedAt) })
	var got []string
	for _, e := range entries {
		if (e.Change == "") != e.ChangedAt.IsZero() {
			h.t.Errorf("%+v", e)
		}
		if e.Change != "" {
			got = append(got, e.Name+" "+e.Change)
		}
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("the entries have %q, want %q", got, want)
	}
}

func TestChangesOverScans(t *testing.T) {
	h := newHistoryRig(t, false)
	h.want("baseline", testZone, "bak.com new baseline", "ban.com new baseline")
	h.wantLast()
	h.want("as it was", testZone)
	parked := strings.ReplaceAll(testZone, "ban.com. A   192.0.2.", "ban.com. A   203.0.113.")
	h.want("moved", parked, "ban.com changed a")
	h.wantLast("ban.com changed")
	h.want("moved, still", parked)
	h.wantLast("ban.com changed")
	active := parked + "bak.com. A 198.51.100.7\n"
	h.want("activated", active, "bak.com activated a")
	dark := active + ";! ban.com. SERVFAIL\n"
	h.want("unknown is not gone", dark)
	gone := strings.ReplaceAll(active, "ban.com.", "xxx.com.")
	h.want("gone", gone, "ban.com gone")
	h.wantLast("ban.com gone", "bak.com activated")
	h.want("gone, still", gone)
	h.want("back, with a further one", active+"bnk.org. A 192.0.2.5\n", "ban.com new")
	h.wantLast("ban.com new", "bak.com activated")

	changes, err := h.history.Changes(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var journal []string
	for _, c := range changes {
		if c.Seed != "bank.com" || c.Brand != "BANK" || c.Event == "" {
			t.Errorf("%+v", c)
		}
		journal = append(journal, c.Name+" "+c.Kind)
	}
	if want := []string{"ban.com changed", "bak.com activated", "ban.com gone", "ban.com new"}; !slices.Equal(journal, want) {
		t.Errorf("the journal has %q, want %q", journal, want)
	}
	record, err := h.history.Seed(t.Context(), "bank.com")
	if err != nil || record.Brand != "BANK" || record.Registered != 2 || !record.LastScan.Equal(h.now) || !record.Baseline.Before(h.now) {
		t.Errorf("%+v, %v", record, err)
	}
}

// With EMIT=all everything is published, and still says what has changed.
func TestEmitAll(t *testing.T) {
	h := newHistoryRig(t, true)
	h.want("baseline", testZone, "bak.com new baseline", "ban.com new baseline")
	h.want("moved", strings.ReplaceAll(testZone, "ban.com. A   192.0.2.", "ban.com. A   203.0.113."), "bak.com unchanged", "ban.com changed a")
	h.want("as it was", strings.ReplaceAll(testZone, "ban.com. A   192.0.2.", "ban.com. A   203.0.113."), "bak.com unchanged", "ban.com unchanged")
	h.wantLast("ban.com changed")
}

// A baseline that Kafka does not have yet is none: what is published again with
// the next scan is no news either.
func TestBaselineInTheSpool(t *testing.T) {
	h := newHistoryRig(t, false)
	h.sink.spooling = true
	h.want("Kafka away", testZone, "bak.com new baseline", "ban.com new baseline")
	h.sink.spooling = false
	h.want("Kafka back", testZone, "bak.com new baseline", "ban.com new baseline")
	h.want("as it was", testZone)
	if changes, err := h.history.Changes(t.Context(), "", 1); len(changes) > 0 || err != nil {
		t.Errorf("the journal has %v, %v", changes, err)
	}
}
