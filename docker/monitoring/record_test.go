//go:build e2e

package monitoring

import (
	"encoding/json"
	"flag"
	"math"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// With -record the answers of Prometheus for every panel of the board go to a file, for pictures of the run.
var recordTo = flag.String("record", "", "record the panels of TestFaults in this file")

// mark notes what happens from now on.
func (w *world) mark(what string) {
	w.marks = append(w.marks, recordedMark{At: time.Now(), What: what})
}

type recordedMark struct {
	At   time.Time `json:"-"`
	Sec  int       `json:"at"` // seconds after the beginning
	What string    `json:"what"`
}

// recording is what internal/picture draws. Values are a second apart, null where there was no data.
type recording struct {
	Run     string          `json:"run"`
	Date    string          `json:"date"`
	Seconds int             `json:"seconds"`
	Marks   []recordedMark  `json:"marks"`
	Panels  []recordedPanel `json:"panels"`
}

type recordedPanel struct {
	Question    string           `json:"question"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Series      []recordedSeries `json:"series"`
}

type recordedSeries struct {
	Name   string     `json:"name"`
	Values []*float64 `json:"values"`
}

// record asks Prometheus for what the board would have shown from the first mark until now.
func (w *world) record() {
	w.t.Helper()
	if *recordTo == "" {
		return
	}
	begin, end := w.marks[0].At, time.Now()
	out := recording{
		Run: "TestFaults of docker/monitoring", Date: begin.UTC().Format(time.DateOnly),
		Seconds: int(end.Sub(begin).Seconds()), Marks: w.marks,
	}
	for i, m := range out.Marks {
		out.Marks[i].Sec = int(m.At.Sub(begin).Round(time.Second).Seconds())
	}
	question := ""
	for _, p := range board(w.t) {
		if p.Type == "row" {
			question = p.Title
			continue
		}
		panel := recordedPanel{Question: question, Title: p.Title, Description: p.Description}
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "10s", "$instance", ".*").Replace(target.Expr)
			panel.Series = append(panel.Series, w.history(expr, target.LegendFormat, begin, out.Seconds)...)
		}
		out.Panels = append(out.Panels, panel)
	}
	b, err := json.Marshal(out)
	if err != nil {
		w.t.Fatal(err)
	}
	// A line a panel, so that a new recording can be read as a change.
	text := strings.ReplaceAll(string(b), `{"question"`, "\n"+`{"question"`) + "\n"
	if err := os.WriteFile(*recordTo, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// history is what the expression was each second, under the names that a legend gives.
func (w *world) history(expr, legend string, begin time.Time, seconds int) (all []recordedSeries) {
	w.t.Helper()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	at := func(s int) string { return strconv.FormatInt(begin.Unix()+int64(s), 10) }
	query := url.Values{"query": {expr}, "start": {at(0)}, "end": {at(seconds)}, "step": {"1"}}
	if err := json.Unmarshal([]byte(get(w.t, w.prometheus+"/api/v1/query_range?"+query.Encode())), &answer); err != nil || answer.Status != "success" {
		w.t.Fatalf("%s: %v %s", expr, err, answer.Error)
	}
	label := regexp.MustCompile(`\{\{(\w+)\}\}`)
	for _, r := range answer.Data.Result {
		s := recordedSeries{Values: make([]*float64, seconds+1)}
		s.Name = label.ReplaceAllStringFunc(legend, func(l string) string {
			value := r.Metric[strings.Trim(l, "{}")]
			if name, ok := w.names[value]; ok {
				return name
			}
			return value
		})
		for _, pair := range r.Values {
			moment, _ := pair[0].(float64)
			text, _ := pair[1].(string)
			i := int(moment) - int(begin.Unix())
			if v, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) && i >= 0 && i < len(s.Values) {
				short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
				s.Values[i] = &short
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b recordedSeries) int { return strings.Compare(a.Name, b.Name) })
	return all
}
