//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/typostream/typostream/internal/dnsbench/responder"
)

// The first argument turns the test binary into what the benchmark starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"serve", "launch", "answer"}, os.Args[1]) {
		os.Exit(child(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// child is one of the benchmark's own processes or, as "answer", a tool.
func child(args []string) int {
	if args[0] == "answer" {
		_, err := io.WriteString(os.Stdout, `{"name":"amazonaaaa.app","state":"absent"}`)
		if err != nil {
			return 1
		}
		return 3
	}
	if err := run(context.Background(), args, os.Stdin, os.Stdout, os.Stderr); err != nil {
		return 1
	}
	return 0
}

// A scenario from its files to its table, with a tool that answers one name.
func TestMeasure(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cores, err := twoCores()
	if err != nil {
		cores = [2]int{} // one core is enough where nothing is timed
	}
	answering := typostreamTool("typostream", "")
	answering.command = func(*work, []string) []string { return []string{self, "answer"} }
	b := &benchmark{
		settings: &settings{rounds: 2}, self: self, dir: t.TempDir(), cores: cores,
		ours: []tool{answering}, peers: map[string]tool{}, stderr: io.Discard,
	}
	sc := scenario{
		name: "tiny", about: "for a test", names: 40, servers: 2, peers: []string{"dnsperf"}, faults: responder.Faults{Loss: 0.5},
		goals: []goal{faster("dnsperf", 1), {"lost", false, 78, func(r *result) (float64, bool) { return float64(r.ours().Sum.Lost), true }}},
	}
	r, err := b.measure(t.Context(), sc)
	if err != nil {
		t.Fatal(err)
	}
	r.judge(sc)
	row := r.ours()
	if len(row.Runs) != 2 || row.Sum.Right != 2 || row.Sum.Lost != 78 || row.Sum.Wrong+row.Sum.Unknown != 0 {
		t.Errorf("got %+v", row)
	}
	for _, m := range row.Runs {
		if m.Exit != 3 || m.Wall <= 0 || m.MaxRSS <= 0 || m.Server.Received != 0 {
			t.Errorf("got %+v", m)
		}
	}
	if want := []string{"dnsperf"}; !slices.Equal(r.Missing, want) {
		t.Errorf("missing: %q, want %q", r.Missing, want)
	}
	if r.Goals[0].Measured || r.Goals[0].Met || !r.Goals[1].Met {
		t.Errorf("goals: %+v", r.Goals)
	}
	var table bytes.Buffer
	r.print(&table)
	for _, line := range []string{"dnsperf is not there and was left out", "goal: lost at most 78: 78, met", "at least 1: 0, not measured"} {
		if !strings.Contains(table.String(), line) {
			t.Errorf("the table lacks %q:\n%s", line, table.String())
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestUnknownScenarioIsAnError(t *testing.T) {
	if _, err := (&settings{only: "plain,nothing"}).chosen(); err == nil {
		t.Error("no error")
	}
	got, err := (&settings{only: "soak,plain"}).chosen()
	if err != nil || len(got) != 2 || got[0].name != "soak" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestServeAnswersAndCounts(t *testing.T) {
	list := filepath.Join(t.TempDir(), "names")
	if err := os.WriteFile(list, []byte("fedexaaaa.co.uk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := serve(t.Context(), []string{"-list", list, "-servers", "2", "-no-gso"}, strings.NewReader("\n\n"), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || len(strings.Fields(lines[0])) != 2 {
		t.Fatalf("got %q", lines)
	}
	var stats responder.Stats
	if err := json.Unmarshal([]byte(lines[1]), &stats); err != nil || stats != (responder.Stats{}) {
		t.Errorf("got %q, %v, want zeros and GSO off", lines[1], err)
	}
}

func TestGrowth(t *testing.T) {
	run := measurement{usage: usage{Wall: 100 * time.Second}}
	for i := range 100 {
		run.Samples = append(run.Samples, sample{At: time.Duration(i) * time.Second, RSS: int64(100 + i)})
	}
	got, ok := (&row{Runs: []measurement{run}}).growth()
	if want := 199.0 / 149; !ok || got != want {
		t.Errorf("got %v, %t, want %v", got, ok, want)
	}
	if _, ok := (&row{Runs: []measurement{{}}}).growth(); ok {
		t.Error("growth without samples")
	}
}

func TestRatioIsOfTheSameRound(t *testing.T) {
	runs := func(seconds ...int) (runs []measurement) {
		for _, s := range seconds {
			runs = append(runs, measurement{usage: usage{Wall: time.Duration(s) * time.Second}})
		}
		return runs
	}
	r := &result{Rows: []*row{{Tool: "a", Runs: runs(1, 10, 2)}, {Tool: "b", Runs: runs(3, 30, 4)}}}
	if got, ok := r.ratio("b"); !ok || got != 3 {
		t.Errorf("got %v, %t, want 3", got, ok)
	}
	if _, ok := r.ratio("c"); ok {
		t.Error("a ratio to what did not run")
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   spread
	}{{nil, spread{}}, {[]float64{3, 1, 2}, spread{2, 1, 3}}, {[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}}} {
		if got := spreadOf(tt.values); got != tt.want {
			t.Errorf("%v: got %+v, want %+v", tt.values, got, tt.want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
