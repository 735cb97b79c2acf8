// Package monitoring has no code: its tests hold the alert rules and the board to the metrics and to the runbook.
package monitoring

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// alert is a rule: figure, operator and threshold.
type alert struct {
	Name        string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

var comparison = regexp.MustCompile(`^(.+) [<>] [0-9.]+$`)

// figure is what the alert compares with its threshold. It has data whether or not the alert fires.
func (a alert) figure() string {
	m := comparison.FindStringSubmatch(a.Expr)
	if m == nil {
		return ""
	}
	return m[1]
}

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no alerts")
	}
	return all
}

// board is all that the board has, in its order.
func board(t *testing.T) []panel {
	t.Helper()
	var file struct{ Panels []panel }
	if err := json.Unmarshal([]byte(read(t, "board.json")), &file); err != nil {
		t.Fatal(err)
	}
	return file.Panels
}

// panels are those of the board that show something.
func panels(t *testing.T) (rows []string, shown []panel) {
	t.Helper()
	for _, p := range board(t) {
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		shown = append(shown, p)
	}
	return rows, shown
}

var metric = regexp.MustCompile(`typostream_[a-z0-9_]+`)

// documented are the metrics that OPERATIONS.md lists, with the names that Prometheus gives to a histogram's series.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	_, section, _ := strings.Cut(read(t, "../../docs/OPERATIONS.md"), "\n## Metrics\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, name := range metric.FindAllString(section, -1) {
		names[name], names[name+"_bucket"], names[name+"_count"] = true, true, true
	}
	return names
}

// Each alert compares a figure of documented metrics, has its section in the runbook, and is seen both to fire and not to.
func TestAlerts(t *testing.T) {
	known, operations := documented(t), read(t, "../../docs/OPERATIONS.md")
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name string `yaml:"alertname"`
				Exp  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "alerts_test.yaml")), &tests); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.Alerts {
			if len(a.Exp) > 0 {
				fires[a.Name] = true
			} else {
				quiet[a.Name] = true
			}
		}
	}
	names := map[string]bool{}
	for _, a := range alerts(t) {
		names[a.Name] = true
		if a.figure() == "" {
			t.Errorf("%s: %q is not figure, operator, threshold", a.Name, a.Expr)
		}
		for _, name := range metric.FindAllString(a.Expr, -1) {
			if !known[name] {
				t.Errorf("%s asks for %s, which is no documented metric", a.Name, name)
			}
		}
		if !slices.Contains([]string{"critical", "warning"}, a.Labels["severity"]) || !slices.Contains([]string{"loss", "pace", "dns"}, a.Labels["question"]) {
			t.Errorf("%s has the labels %v", a.Name, a.Labels)
		}
		if want := "https://github.com/typostream/typostream/blob/main/docs/OPERATIONS.md#" + strings.ToLower(a.Name); a.Annotations["runbook_url"] != want || a.Annotations["summary"] == "" {
			t.Errorf("%s has the annotations %v", a.Name, a.Annotations)
		}
		_, text, ok := strings.Cut(operations, "\n### "+a.Name+"\n")
		text, _, _ = strings.Cut(text, "\n#")
		if !ok || !strings.Contains(text, "**Means.** ") || !strings.Contains(text, "**Do.** ") {
			t.Errorf("OPERATIONS.md does not say what %s means and what to do", a.Name)
		}
		if !fires[a.Name] || !quiet[a.Name] {
			t.Errorf("alerts_test.yaml shows %s: firing %v, quiet %v", a.Name, fires[a.Name], quiet[a.Name])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Typostream\w+)$`).FindAllStringSubmatch(operations, -1) {
		if !names[m[1]] {
			t.Errorf("OPERATIONS.md has a section for %s, which is no alert", m[1])
		}
	}
}

// The board has the three questions, and shows documented metrics of the chosen workers only.
func TestBoard(t *testing.T) {
	known := documented(t)
	rows, shown := panels(t)
	if want := []string{"Is anything being lost?", "Is it keeping up?", "Is the DNS telling the truth?"}; !slices.Equal(rows, want) {
		t.Errorf("the board asks %q, want %q", rows, want)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range shown {
		if ids[p.ID] || p.ID == 0 || p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q: want an id of its own, a title, a description and something to show", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("%q lies on %q or beside the board", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			names := metric.FindAllString(target.Expr, -1)
			if len(names) == 0 || len(names) != strings.Count(target.Expr, `{instance=~"$instance"`) {
				t.Errorf("%q: %s does not choose the workers everywhere", p.Title, target.Expr)
			}
			for _, name := range names {
				if !known[name] {
					t.Errorf("%q asks for %s, which is no documented metric", p.Title, name)
				}
			}
		}
	}
}
