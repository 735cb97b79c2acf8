package docstest

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every option that MIGRATION.md names for one of dnstwist's exists, and every
// variable does what it says of its default.
func TestMigration(t *testing.T) {
	document := readDocument(t, "docs/MIGRATION.md")
	help := output(t.Context(), t, environment(), "scan", "--help")
	options := 0
	for _, row := range table(section(t, document, "## From dnstwist")) {
		for _, option := range regexp.MustCompile(`--?[a-z]+`).FindAllString(row[1], -1) {
			if options++; !regexp.MustCompile(`(?m)[ ,]` + option + `[ ,]`).MatchString(help) {
				t.Errorf("scan has no option %s", option)
			}
		}
	}
	if options == 0 {
		t.Error("no option is named")
	}
	type setting struct {
		Value       string
		Environment []string
	}
	var settings []setting
	if err := json.Unmarshal([]byte(output(t.Context(), t, environment(), "config", "--json")), &settings); err != nil {
		t.Fatal(err)
	}
	rows := table(section(t, document, "## From dnstwist-runner"))
	for _, row := range rows {
		name := strings.Trim(row[0], "`")
		i := slices.IndexFunc(settings, func(s setting) bool { return slices.Contains(s.Environment, name) })
		if i < 0 {
			t.Errorf("there is no variable %s", name)
			continue
		}
		same := strings.HasPrefix(row[2], "the same")
		value, theirs := settings[i].Value, strings.ReplaceAll(row[1], " ", "")
		if same && value != theirs && value != theirs+"s" {
			t.Errorf("%s is %q, and %q in the service", name, value, row[1])
		}
		if first, _, _ := strings.Cut(row[2], ";"); !same && value != "" && !strings.HasPrefix(first, value) && !strings.HasPrefix(first, "not heeded") {
			t.Errorf("%s is %q, and the document says %q", name, value, row[2])
		}
	}
	if len(rows) < 15 {
		t.Errorf("%d variables", len(rows))
	}
}
