package fuzzer

import (
	"bufio"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Model says how likely the parts of look-alikes are: counts of words,
// suffixes, kinds of edits and patterns in known squats, each in its context.
// A Model is read-only and safe for concurrent use. docs/RANKING.md explains it.
type Model struct {
	tables  map[string]table // by context: "word", "word/left", "word/left/country"
	weights Weights
}

func newModel(w Weights) *Model { return &Model{tables: map[string]table{}, weights: w} }

// table holds the counts of one context.
type table struct {
	counts map[string]float64
	total  float64
}

// unseenKey sums up what is not counted by itself. Its share is that of what the
// wider context knows.
const unseenKey = "?"

// unreadKey counts the squats that no pattern describes.
const unreadKey = "!"

// prob estimates how likely key is in the narrowest of the nested contexts,
// wide to narrow. base is its probability before anything was counted.
func (m *Model) prob(key string, base float64, contexts ...string) float64 {
	p := base
	for _, context := range contexts {
		t, known := m.tables[context]
		if !known {
			continue
		}
		smoothing := m.weights.Narrow
		if !strings.Contains(context, "/") {
			smoothing = m.weights.All
		}
		other := t.counts[unseenKey] + smoothing
		p = (t.counts[key] + other*p) / (t.total + smoothing)
	}
	return p
}

// keys returns what was counted in a context, sorted.
func (m *Model) keys(context string) []string {
	return slices.Sorted(maps.Keys(m.tables[context].counts))
}

// add counts key in context and in the wider ones, whose names are its parents.
func (m *Model) add(context, key string, n float64) {
	for {
		t := m.tables[context]
		if t.counts == nil {
			t.counts = map[string]float64{}
		}
		t.counts[key] += n
		t.total += n
		m.tables[context] = t
		i := strings.LastIndexByte(context, '/')
		if i < 0 {
			return
		}
		context = context[:i]
	}
}

//go:embed ranking.tsv
var rankingText string

var defaultModel = sync.OnceValue(func() *Model {
	m, err := ReadModel(strings.NewReader(rankingText))
	if err != nil {
		return newModel(DefaultWeights()) // a test holds the embedded file to its form
	}
	return m
})

// DefaultModel returns the embedded model.
func DefaultModel() *Model { return defaultModel() }

// ModelError reports a line that is none of a model.
type ModelError struct {
	Line   int
	Reason string
}

func (e *ModelError) Error() string { return fmt.Sprintf("line %d of the model: %s", e.Line, e.Reason) }

// Hint says how to get a model that can be read.
func (e *ModelError) Hint() string { return "make it anew: go run ./internal/coverage train FILE" }

// maxModelLines bounds a model's size.
const maxModelLines = 200_000

// ReadModel reads what [Model.WriteTo] writes: lines of context, key and count,
// separated by tabs; # begins a comment. The error is a [*ModelError] or the reader's.
func ReadModel(r io.Reader) (*Model, error) {
	m := newModel(DefaultWeights())
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if n > maxModelLines {
			return nil, &ModelError{Line: n, Reason: "too many lines"}
		}
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 3 || fields[0] == "" || fields[1] == "" {
			return nil, &ModelError{Line: n, Reason: "not context, key and count"}
		}
		count, err := strconv.ParseFloat(fields[2], 64)
		if err != nil || !(count > 0 && count < 1e9) {
			return nil, &ModelError{Line: n, Reason: "the count is no positive number"}
		}
		if fields[0] == "weight" {
			weight, known := m.weights.named()[fields[1]]
			if !known {
				return nil, &ModelError{Line: n, Reason: "no such weight"}
			}
			*weight = count
			continue
		}
		if strings.Count(fields[0], "/") > 3 {
			return nil, &ModelError{Line: n, Reason: "the context is nested too deep"}
		}
		m.add(fields[0], fields[1], count)
	}
	return m, lines.Err()
}

// WriteTo writes the narrowest contexts in a fixed order; the wider are their sums.
func (m *Model) WriteTo(w io.Writer) (int64, error) {
	var written int64
	weights := m.weights.named()
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		n, err := fmt.Fprintf(w, "weight\t%s\t%s\n", name, strconv.FormatFloat(*weights[name], 'f', -1, 64))
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
	for _, context := range slices.Sorted(maps.Keys(m.tables)) {
		if m.isParent(context) {
			continue
		}
		for _, key := range m.keys(context) {
			n, err := fmt.Fprintf(w, "%s\t%s\t%s\n", context, key,
				strconv.FormatFloat(round(m.tables[context].counts[key]), 'f', -1, 64))
			written += int64(n)
			if err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (m *Model) isParent(context string) bool {
	for other := range m.tables {
		if strings.HasPrefix(other, context+"/") {
			return true
		}
	}
	return false
}

// round keeps three decimals, and no count at zero.
func round(x float64) float64 { return max(math.Round(x*1000)/1000, 0.001) }
