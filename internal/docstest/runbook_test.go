package docstest

import (
	"regexp"
	"strings"
	"testing"
)

// The runbook says of each check of doctor and of each exit code what it means and what to do, and of nothing else. Of the
// alerts the tests beside their rules say so.
func TestRunbook(t *testing.T) {
	operations := readDocument(t, "docs/OPERATIONS.md")
	for heading, real := range map[string]struct {
		file    string
		pattern string
	}{
		"### doctor: ":   {"cmd/typostream/doctor.go", `(?m)^\tcheck[A-Z]\w+ += "([a-z-]+)"$`},
		"### Exit code ": {"cmd/typostream/main.go", `(?m)^\texit[A-Z]\w+ += (\d+) `},
	} {
		var want, have []string
		for _, m := range regexp.MustCompile(real.pattern).FindAllStringSubmatch(readDocument(t, real.file), -1) {
			want = append(want, m[1])
		}
		for _, part := range strings.Split(operations, "\n"+heading)[1:] {
			name, text, _ := strings.Cut(part, "\n")
			text, _, _ = strings.Cut(text, "\n#")
			have = append(have, name)
			if !strings.Contains(text, "\n**Means.** ") || !strings.Contains(text, "\n**Do.** ") {
				t.Errorf("%s%s does not say what it means and what to do", heading, name)
			}
		}
		sameSet(t, "OPERATIONS.md, "+heading, have, want)
	}
	// Links inside the document lead to one of its headings.
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(operations, -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	for _, m := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(operations, -1) {
		if !anchors[m[1]] {
			t.Errorf("OPERATIONS.md links to #%s, which is no heading", m[1])
		}
	}
}
