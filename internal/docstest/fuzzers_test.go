package docstest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/typostream/typostream/fuzzer"
)

const fuzzersDocument = "docs/FUZZERS.md"

// measured are the seeds of the document's three columns of sizes.
var measured = []string{"acme.com", "moneybox.com", "northwindtraders.com"}

// Every algorithm has its row, in canonical order, and the row says what the
// code does: kind, example, profiles and passes, sizes.
func TestAlgorithmTable(t *testing.T) {
	rows := table(section(t, readDocument(t, fuzzersDocument), "## The algorithms"))
	algorithms := fuzzer.Algorithms()
	if len(rows) != len(algorithms) {
		t.Fatalf("%d rows for %d algorithms", len(rows), len(algorithms))
	}
	for i, row := range rows {
		algorithm := algorithms[i]
		if len(row) != 9 || row[0] != algorithm.String() {
			t.Errorf("row %d has %d cells and is of %s, want %s", i+1, len(row), row[0], algorithm)
			continue
		}
		for cell, what := range map[int]string{1: "kind", 2: "definition", 4: "size", 6: "source"} {
			if row[cell] == "" {
				t.Errorf("%s: no %s", algorithm, what)
			}
		}
		if kind := kindOf(t, algorithm); row[1] != kind {
			t.Errorf("%s: kind %s, want %s", algorithm, row[1], kind)
		}
		checkExample(t, algorithm, row[3])
		if sizes := sizesOf(t, algorithm); row[5] != sizes {
			t.Errorf("%s: sizes %s, want %s", algorithm, row[5], sizes)
		}
		if passes := passesOf(algorithm); row[7]+"; "+row[8] != passes {
			t.Errorf("%s: profiles and passes %q, want %q", algorithm, row[7]+"; "+row[8], passes)
		}
	}
}

// permute runs one algorithm with the embedded lists.
func permute(t *testing.T, domain string, algorithm fuzzer.Algorithm) *fuzzer.Permutations {
	t.Helper()
	seed, err := fuzzer.ParseSeed(domain)
	if err != nil {
		t.Fatal(err)
	}
	return fuzzer.Permute(seed, fuzzer.Pass{
		Algorithms: []fuzzer.Algorithm{algorithm}, Words: fuzzer.GeneralWords(), Suffixes: fuzzer.CommonSuffixes(),
	})
}

// kindOf tells an algorithm that edits the label from one that changes what
// stands around it, by what it does.
func kindOf(t *testing.T, algorithm fuzzer.Algorithm) string {
	t.Helper()
	const sub, suffix = "www", "co.in"
	for v := range permute(t, sub+".new-bank."+suffix, algorithm).All() {
		if !strings.HasPrefix(v.FQDN, sub+".") || !strings.HasSuffix(v.FQDN, "."+suffix) {
			return "name"
		}
	}
	return "label"
}

var exampleForm = regexp.MustCompile("^([^ ]+) → (.+)$")

// checkExample reads "`seed` → `name`, `name`"; table strips the outer quotes.
func checkExample(t *testing.T, algorithm fuzzer.Algorithm, cell string) {
	t.Helper()
	m := exampleForm.FindStringSubmatch(strings.ReplaceAll(cell, "`", ""))
	if m == nil {
		t.Errorf("%s: example %q is not of the form `seed` → `name`", algorithm, cell)
		return
	}
	var made []string
	for v := range permute(t, m[1], algorithm).All() {
		made = append(made, v.FQDN)
	}
	for name := range strings.SplitSeq(m[2], ", ") {
		if ace, err := fuzzer.NormalizeFQDN(name); err != nil || !slices.Contains(made, ace) {
			t.Errorf("%s: %s does not give %s, %v", algorithm, m[1], name, err)
		}
	}
}

func sizesOf(t *testing.T, algorithm fuzzer.Algorithm) string {
	t.Helper()
	var sizes []string
	for _, domain := range measured {
		sizes = append(sizes, fmt.Sprint(permute(t, domain, algorithm).Len()))
	}
	return strings.Join(sizes, " / ")
}

// passesOf names the profiles and, behind the semicolon, the contract's passes
// that use an algorithm.
func passesOf(algorithm fuzzer.Algorithm) string {
	name := func(passes ...fuzzer.Pass) string {
		var names []string
		for _, pass := range passes {
			if slices.Contains(pass.Algorithms, algorithm) {
				names = append(names, strings.TrimPrefix(pass.Name, "PASS_"))
			}
		}
		if len(names) == 0 {
			return "–"
		}
		return strings.Join(names, ", ")
	}
	return name(fuzzer.DNSTwist(nil, nil), fuzzer.Standard(nil, nil)) + "; " +
		name(fuzzer.ContractPasses(fuzzer.Seed{}, fuzzer.Lists{})...)
}

// The document names each embedded list with its number of entries.
func TestEmbeddedListsTable(t *testing.T) {
	sizes := map[string]int{
		"suffixes.txt": len(fuzzer.CommonSuffixes()), "wide.txt": len(fuzzer.WideSuffixes()), "giveaway.txt": len(fuzzer.GiveAwayHosts()),
		"words.txt": len(fuzzer.GeneralWords()), "highrisk.txt": len(fuzzer.HighRiskWords()), "combo.txt": len(fuzzer.ComboWords()),
	}
	for _, row := range table(section(t, readDocument(t, fuzzersDocument), "## The embedded lists")) {
		size, counted := sizes[row[0]]
		delete(sizes, row[0])
		if counted && row[1] != fmt.Sprint(size) {
			t.Errorf("%s: %s entries, want %d", row[0], row[1], size)
		}
	}
	if len(sizes) > 0 {
		t.Errorf("lists without a row: %v", sizes)
	}
}
