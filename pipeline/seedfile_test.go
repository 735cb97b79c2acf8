package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// rows renders what ReadSeeds yields: a seed as brand:fqdn, a bad row as
// line!.
func rows(t *testing.T, r io.Reader) string {
	t.Helper()
	var out []string
	for row := range ReadSeeds(r) {
		if row.Err != nil {
			out = append(out, fmt.Sprintf("%d!", row.Line))
		} else {
			out = append(out, row.Seed.Brand+":"+row.Seed.FQDN)
		}
	}
	return strings.Join(out, " ")
}

func TestReadSeeds(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"empty", "", ""},
		{"blank lines only", "\n\r\n  \n", ""},
		{"lines", "example.com\nhttps://sbi.co.in/login\n", "UNKNOWN:example.com UNKNOWN:sbi.co.in"},
		{"no line break at the end", "example.com", "UNKNOWN:example.com"},
		{"comments", "# brands\nexample.com\n", "UNKNOWN:example.com"},
		{"comments behind", "example.com # ours\nSBI,sbi.co.in  # theirs\n", "UNKNOWN:example.com SBI:sbi.co.in"},
		{"header, BOM and CRLF", "\xef\xbb\xbfcse_id,seed_registrable\r\nSBI,sbi.co.in\r\n", "SBI:sbi.co.in"},
		{"columns by name, others between", "notes,domain,cse_id\nx,sbi.co.in,SBI\n", "SBI:sbi.co.in"},
		{"header of one column", "domain\nsbi.co.in\n", "UNKNOWN:sbi.co.in"},
		{"header in upper case with blanks", "CSE_ID , Domain\nSBI, sbi.co.in\n", "SBI:sbi.co.in"},
		{"two columns without a header", "SBI,sbi.co.in\nHDFC,hdfcbank.com\n", "SBI:sbi.co.in HDFC:hdfcbank.com"},
		{"one and two columns mixed", "example.com\nSBI,sbi.co.in\nexample.org\n", "UNKNOWN:example.com SBI:sbi.co.in UNKNOWN:example.org"},
		{"repeated brand", "SBI,sbi.co.in\nSBI,onlinesbi.sbi\n", "SBI:sbi.co.in SBI:onlinesbi.sbi"},
		{"quoted", "cse_id,domain\n\"State Bank, India\",\"sbi.co.in\"\n", "State Bank, India:sbi.co.in"},
		{"a quote that is not closed", "cse_id,domain\n\"SBI,sbi.co.in\nHDFC,hdfcbank.com\n", "2! HDFC:hdfcbank.com"},
		{"bad rows between good ones", "cse_id,domain\nA,co.uk\nB,example.com\nC,\nD\nE,192.0.2.1\nF,example.org\n", "2! B:example.com 4! 5! 6! F:example.org"},
		{"no brand in the row", "cse_id,domain\n,example.com\n", "UNKNOWN:example.com"},
		{"a line of 10 MB", "example.com\n" + strings.Repeat("a", 10<<20) + "\nexample.org\n", "UNKNOWN:example.com 2! UNKNOWN:example.org"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := rows(t, strings.NewReader(test.file)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if got := rows(t, iotest.OneByteReader(strings.NewReader(test.file[:min(len(test.file), 1<<10)]))); len(test.file) < 1<<10 && got != test.want {
				t.Errorf("a byte at a time: got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestReadSeedsTellsAReadError(t *testing.T) {
	broken := errors.New("disk gone")
	var last Row
	for row := range ReadSeeds(io.MultiReader(strings.NewReader("example.com\n"), iotest.ErrReader(broken))) {
		last = row
	}
	if last.Line != 0 || !errors.Is(last.Err, broken) {
		t.Errorf("the last row is %+v, want the read error", last)
	}
}

func TestRowErrorIsPrintable(t *testing.T) {
	for row := range ReadSeeds(strings.NewReader("\x1b[31m\x00\xff" + strings.Repeat("é", 100) + ",\n")) {
		if text := row.Err.Error(); strings.ContainsAny(text, "\x1b\x00") || len(text) > 600 {
			t.Errorf("error holds raw bytes of the file: %q", text)
		}
	}
}

func FuzzReadSeeds(f *testing.F) {
	f.Add([]byte("cse_id,domain\r\nSBI,sbi.co.in\n\"x,\n"))
	f.Add([]byte("\xef\xbb\xbf\x00\xff,,\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, lines := 0, bytes.Count(file, []byte("\n"))+1
		for row := range ReadSeeds(bytes.NewReader(file)) {
			rows++
			if row.Err == nil && row.Seed.FQDN == "" {
				t.Fatalf("a good row without a domain: %+v", row)
			}
		}
		if rows > lines {
			t.Fatalf("%d rows of %d lines", rows, lines)
		}
	})
}
