package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strconv"
)

// shown are the panels of the board in each picture, in their order.
var shown = map[string][]string{
	"lost.svg": {"Events that are not accounted for", "Events in the spool", "Where events went"},
	"pace.svg": {"Messages behind", "Time to acknowledgement", "Scans"},
	"dns.svg":  {"What names are", "Resolvers that fail", "Resolvers that are silent"},
}

// recording is what the test of docker/monitoring writes with -record: the
// panels a second apart, nil where there was no data, and what began when.
type recording struct {
	Run, Date string
	Seconds   int
	Marks     []struct {
		At   int
		What string
	}
	Panels []panel
}

type panel struct {
	Question, Title, Description string
	Series                       []series
}

type series struct {
	Name   string
	Values []*float64
}

func readRecording(path string) (r recording, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	if r.Seconds < 1 {
		return r, fmt.Errorf("%s: a run of %d seconds", path, r.Seconds)
	}
	return r, nil
}

// Pixels: the plots are below each other, names of series right of them.
const (
	width      = 960
	plotLeft   = 60
	plotRight  = 740
	plotHeight = 110
	panelPitch = 180
	panelTop   = 50 // of the first, below the heading
	markPitch  = 20
)

// They differ for those who do not see red and green (Okabe and Ito, 2008).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"}

// drawPanels draws the panels with these titles below each other over the same
// seconds, and below them what happened.
func drawPanels(r recording, titles []string) ([]byte, error) {
	bottom := panelTop + len(titles)*panelPitch
	height := bottom + len(r.Marks)*markPitch + 10
	var b, body bytes.Buffer
	question := ""
	for i, title := range titles {
		at := slices.IndexFunc(r.Panels, func(p panel) bool { return p.Title == title })
		if at < 0 {
			return nil, fmt.Errorf("the recording has no panel %q", title)
		}
		question = r.Panels[at].Question
		drawPanel(&body, r, r.Panels[at], panelTop+i*panelPitch)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#24292f">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(question))
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	fmt.Fprintf(&b, `<text x="16" y="26" font-size="18" font-weight="bold">%s</text>`+"\n", html.EscapeString(question))
	fmt.Fprintf(&b, `<text x="%d" y="26" text-anchor="end" fill="#57606a">%s, %s; seconds</text>`+"\n", width-16, html.EscapeString(r.Run), html.EscapeString(r.Date))
	b.Write(body.Bytes())
	for i, m := range r.Marks {
		fmt.Fprintf(&b, `<text x="%d" y="%d"><tspan font-weight="bold">%d</tspan>  second %d: %s</text>`+"\n", plotLeft, bottom+i*markPitch, i+1, m.At, html.EscapeString(m.What))
	}
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

func drawPanel(b *bytes.Buffer, r recording, p panel, top int) {
	plot := top + 30
	limit := ceiling(p)
	x := func(second int) float64 {
		return plotLeft + float64(second)/float64(r.Seconds)*(plotRight-plotLeft)
	}
	y := func(v float64) float64 { return float64(plot+plotHeight) - v/limit*plotHeight }
	fmt.Fprintf(b, `<text x="16" y="%d"><tspan font-weight="bold">%s</tspan>  <tspan fill="#57606a">%s</tspan></text>`+"\n",
		top+8, html.EscapeString(p.Title), html.EscapeString(p.Description))
	for _, v := range []float64{0, limit / 2, limit} {
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#d8dee4"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, y(v), plotRight, plotLeft-6, y(v)+4, strconv.FormatFloat(v, 'g', 4, 64))
	}
	for second := 0; second <= r.Seconds; second += tick(r.Seconds) {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(second), plot+plotHeight+16, second)
	}
	for i, m := range r.Marks {
		fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#57606a" stroke-dasharray="3 3"/><text x="%.1f" y="%d" font-weight="bold" text-anchor="middle">%d</text>`+"\n",
			x(m.At), plot, plot+plotHeight, x(m.At), plot-4, i+1)
	}
	for i, s := range p.Series {
		colour := colours[i%len(colours)]
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linecap="round"/>`, line(s.Values, x, y), colour)
		fmt.Fprintf(b, `<text x="%d" y="%d" fill="%s">%s%s</text>`+"\n", plotRight+14, plot+12+18*i, colour, html.EscapeString(s.Name), last(s.Values))
	}
}

// line is the path through the values. Where there are none it is interrupted.
func line(values []*float64, x func(int) float64, y func(float64) float64) string {
	var d []byte
	pen := "M"
	for second, v := range values {
		if v == nil {
			pen = "M"
			continue
		}
		d = fmt.Appendf(d, "%s%.1f %.1f", pen, x(second), y(*v))
		if pen == "M" {
			d = fmt.Appendf(d, "h0") // a single value is a dot
		}
		pen = "L"
	}
	return string(d)
}

// last is what the legend says of a series' end.
func last(values []*float64) string {
	for _, v := range slices.Backward(values) {
		if v != nil {
			return ": " + strconv.FormatFloat(*v, 'g', 4, 64)
		}
	}
	return ": no data"
}

// ceiling is the round number, 1, 2 or 5 times a power of ten, that no value of the panel is above.
func ceiling(p panel) float64 {
	highest := 0.0
	for _, s := range p.Series {
		for _, v := range s.Values {
			if v != nil {
				highest = max(highest, math.Abs(*v))
			}
		}
	}
	if highest == 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= highest {
			return factor * power
		}
	}
	return 10 * power
}

// tick is how far the numbers of the seconds are apart.
func tick(seconds int) int {
	for _, t := range []int{5, 10, 30, 60, 300} {
		if seconds/t <= 12 {
			return t
		}
	}
	return 600
}
