package docstest

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What MONITORING.md says of its pictures is in the recording that they are drawn from: the day, when what began, how full
// the spool was and what was left of it, and that all was accounted for.
func TestMonitoring(t *testing.T) {
	document := readDocument(t, "docs/MONITORING.md")
	var run struct {
		Run, Date string
		Marks     []struct{ At int }
		Panels    []struct {
			Question, Title string
			Series          []struct {
				Name   string
				Values []*float64
			}
		}
	}
	if err := json.Unmarshal([]byte(readDocument(t, "docs/pictures/run.json")), &run); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(document, " on "+run.Date+",") {
		t.Errorf("the run was on %s", run.Date)
	}
	seconds := regexp.MustCompile(`second (\d+)`).FindAllStringSubmatch(document, -1)
	for _, m := range seconds {
		if at, err := strconv.Atoi(m[1]); err != nil || !slices.ContainsFunc(run.Marks, func(mark struct{ At int }) bool { return mark.At == at }) {
			t.Errorf("nothing begins at %s", m[0])
		}
	}
	if len(seconds) == 0 {
		t.Error("nothing is said of a time")
	}
	for _, p := range run.Panels {
		if !strings.Contains(document, "\n## "+p.Question+"\n") {
			t.Errorf("no section %q", p.Question)
		}
		for _, s := range p.Series {
			values := slices.DeleteFunc(slices.Clone(s.Values), func(v *float64) bool { return v == nil })
			if len(values) == 0 {
				t.Errorf("%s: %s has no data", p.Title, s.Name)
				continue
			}
			highest := 0.0
			for _, v := range values {
				highest = max(highest, *v, -*v)
			}
			switch p.Title + ", " + s.Name {
			case "Events that are not accounted for, unaccounted":
				if highest != 0 {
					t.Errorf("%v events were not accounted for", highest)
				}
			case "Events in the spool, worker a":
				if text := strings.ReplaceAll(document, ",", ""); !strings.Contains(text, "until "+strconv.Itoa(int(highest))+" fill") {
					t.Errorf("the spool had %v events", highest)
				}
				if left := *values[len(values)-1]; left != 0 {
					t.Errorf("%v events are left in the spool", left)
				}
			}
		}
	}
}
