package main

import (
	"bytes"
	"context"
	"os"
	"slices"
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
	for _, want := range []string{"5 brands", "made-up-a", "made-up-b", "total", "1000", "100000", "other sources alone", "the brand and a word"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if warnings.Len() > 0 {
		t.Errorf("warnings: %s", warnings.String())
	}
}

// Nested validation measures each brand once with chosen and once with default weights.
func TestNested(t *testing.T) {
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	list := mustRead(t, string(data))
	two := list.seeds()[:2]
	list.squats = list.squatsIf(func(s squat) bool { return slices.Contains(two, s.seed) })
	var out bytes.Buffer
	if err := (search{names: []string{"abused"}, limit: 300}).nested(context.Background(), &out, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"group 1: abused ", "group 2: abused ", "other groups chose", "default weights", "Chosen by all brands: abused "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestClasses(t *testing.T) {
	list := mustRead(t, "seed\tsquat\tsource\n"+strings.Join([]string{
		"example.com\texample.net\ts", "example.com\texamplex.com\ts", "example.com\texmple.com\ts", "example.com\txn--exmple-qta.com\ts",
		"example.com\texample-login.com\ts", "example.com\texample-login-account.com\ts", "example.com\texample-qx.com\ts",
		"example.com\texample-qxz.com\ts", "example.com\texample-login-qx.com\ts", "example.com\texmple-login.com\ts",
		"example.com\tmy-example-login-account.com\ts", "example.com\texample-blorbinate.com\ts", "example.com\texample-qxzqxzqxzqxzqxz77.com\ts",
		"example.com\texample.nothing.org\ts", "example.com\tnothing.org\ts",
	}, "\n")+"\n")
	report, err := measure(context.Background(), list)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range report.results {
		if got := class(r); got != classNames[i] {
			t.Errorf("%s (%s): %s, want %s", r.name, r.pattern, got, classNames[i])
		}
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
