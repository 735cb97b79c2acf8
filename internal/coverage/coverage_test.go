package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/typostream/typostream/fuzzer"
)

// sample is made up for this test: no such brands, no such squats.
const sample = "testdata/squats.tsv"

func TestMeasure(t *testing.T) {
	var out, warnings bytes.Buffer
	if err := run(context.Background(), []string{sample}, &out, &warnings); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"5 brands", "made-up-a", "made-up-b", "total", "1000", "100000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if warnings.Len() > 0 {
		t.Errorf("warnings: %s", warnings.String())
	}
}

// A hit counts for the squat itself and for its registrable domain, and bigger sizes find no less.
func TestMeasureHits(t *testing.T) {
	others, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	list := mustRead(t, string(others)+"example.com\texampl.com\ts\nexample.com\tlogin.examplee.com\ts\nexample.com\tnothing-alike.org\ts\n")
	report, err := measure(context.Background(), list)
	if err != nil {
		t.Fatal(err)
	}
	hit := map[string]bool{}
	for _, r := range report.results {
		if r.source != "s" {
			continue
		}
		hit[r.name] = r.ours > 0 && r.dnstwist > 0
	}
	if !hit["exampl.com"] || !hit["login.examplee.com"] || hit["nothing-alike.org"] || len(hit) != 3 {
		t.Errorf("%v", hit)
	}
}

func TestTrain(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"train", sample}, &out, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if _, err := fuzzer.ReadModel(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Counts", "B - w", "word/right/generic\tlogin\t", "{suffix-}"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, brand := range []string{"acmewallet", "tulipbank", "norddex", "hoshimart", "kumocard"} {
		if strings.Contains(text, brand) {
			t.Errorf("%s is in the counts", brand)
		}
	}
	var again bytes.Buffer
	if err := run(context.Background(), []string{"train", sample}, &again, &bytes.Buffer{}); err != nil || again.String() != text {
		t.Errorf("another model the second time, %v", err)
	}
}

func TestReadSquats(t *testing.T) {
	list := mustRead(t, "source\tsquat\tseed\r\ns\tEXAMPL.com\texample.com\r\ns\t1.2.3.4\texample.com\ns\tx\n")
	if len(list.squats) != 1 || list.squats[0].name != "exampl.com" || len(list.refused) != 2 {
		t.Errorf("%+v", list)
	}
	for _, text := range []string{"", "seed\tsquat\na.com\tb.com\n", "seed\tsquat\tsource\n"} {
		if _, err := readSquats(strings.NewReader(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	if err := run(context.Background(), nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("no file and no error")
	}
}

func mustRead(t *testing.T, text string) squatList {
	t.Helper()
	list, err := readSquats(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}
