package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The committed pictures are what the command prints and the recording holds today.
func TestPictures(t *testing.T) {
	const root = "../.."
	pictures, err := draw(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, folder, "*.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if pictures[filepath.Base(file)] == nil {
			t.Errorf("nothing makes %s", file)
		}
	}
	for name, svg := range pictures {
		committed, err := os.ReadFile(filepath.Join(root, folder, name))
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(committed, svg) {
			t.Errorf("%s is not what it shows: make picture. It would be\n%s", name, svg)
		}
		decoder := xml.NewDecoder(bytes.NewReader(svg))
		for err == nil {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScreen(t *testing.T) {
	got, err := screen("\r\x1b[Kscanning 5\r\x1b[Kscanning 9\r\x1b[Ka\r\nb: 0.1 s, 46774 qps\r\n")
	if want := []string{"a", "b: … s, … qps"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := screen("\x1b[31mred\r\n"); err == nil || !strings.Contains(err.Error(), "cannot show") {
		t.Errorf("%q, %v", got, err)
	}
}

// Where Prometheus had no data the line is interrupted, and the axis ends at a round number.
func TestLine(t *testing.T) {
	one, two, four := 1.0, 2.0, 4.0
	values := []*float64{nil, &one, &two, nil, &four}
	d := line(values, func(s int) float64 { return float64(s) }, func(v float64) float64 { return v })
	if want := "M1.0 1.0h0L2.0 2.0M4.0 4.0h0"; d != want {
		t.Errorf("%s, want %s", d, want)
	}
	if got := ceiling(panel{Series: []series{{Values: values}}}); got != 5 {
		t.Errorf("%g", got)
	}
	if _, err := drawPanels(recording{Seconds: 1}, []string{"Nothing"}); err == nil {
		t.Error("a panel that was not recorded is drawn")
	}
}
