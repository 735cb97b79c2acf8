package pipeline

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/typostream/typostream/fuzzer"
)

// maxSeedLine bounds a line of a seed file, in bytes; a longer one is a bad row.
const maxSeedLine = 64 << 10

// Row is one line of a seed file: a seed (Brand set, Origin and Scan not), or
// what was wrong with it.
type Row struct {
	Line int // counted from 1
	Seed Seed
	Err  error // a *RowError
}

// RowError names a bad row of a seed file by its line.
type RowError struct {
	Line int
	Text string // the line's beginning, quoted
	Err  error
}

func (e *RowError) Error() string {
	var seed *fuzzer.SeedError
	if errors.As(e.Err, &seed) { // names what is wrong itself
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("line %d (%s): %v", e.Line, e.Text, e.Err)
}

func (e *RowError) Unwrap() error { return e.Err }

var (
	errLineTooLong = fmt.Errorf("the line is longer than %d bytes", maxSeedLine)
	errNoDomainRow = errors.New("the row has no domain")
)

// ReadSeeds streams the seeds of a file of lines or of comma-separated values.
// Columns are found by their names (cse_id; seed_registrable or domain) in the
// first row; without such a row a single column is the domain, and of several
// the first is the brand's id and the second the domain. A byte order mark,
// CRLF, blank lines and lines that begin with # are taken as one finds them. A
// bad row is yielded with its error and does not end the reading; only an error
// of r does, and is yielded last with Line 0.
func ReadSeeds(r io.Reader) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		lines := bufio.NewReaderSize(r, maxSeedLine)
		var columns *seedColumns
		for number := 1; ; number++ {
			line, tooLong, err := readLine(lines)
			if number == 1 {
				line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
			}
			text := strings.TrimSpace(string(line))
			switch {
			case tooLong:
				if !yield(badRow(number, text, errLineTooLong)) {
					return
				}
			case text == "" || text[0] == '#':
			default:
				cells, splitErr := splitRow(text)
				if columns == nil {
					var isHeader bool
					if columns, isHeader = findColumns(cells); isHeader {
						break
					}
				}
				if !yield(columns.row(number, text, cells, splitErr)) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Row{Err: err})
				return
			}
		}
	}
}

// readLine returns the next line; of one that does not fit the buffer it
// returns the beginning and skips the rest, however long.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	line, err = r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, false, err
	}
	line = bytes.Clone(line[:64])
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	return line, true, err
}

// splitRow splits one line; a quote that is not closed ends with the line, so
// that it cannot swallow the rows after it.
func splitRow(text string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.LazyQuotes, r.TrimLeadingSpace, r.FieldsPerRecord = true, true, -1
	cells, err := r.Read()
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells, err
}

// seedColumns are the columns' numbers; -1 is none. Where they have no names a
// row of a single cell is a domain.
type seedColumns struct {
	brand, domain int
	unnamed       bool
}

// findColumns reads the first row: the columns by name if it is a header, else
// by their order.
func findColumns(cells []string) (columns *seedColumns, isHeader bool) {
	columns = &seedColumns{brand: -1, domain: -1}
	for i, cell := range cells {
		switch strings.ToLower(cell) {
		case "cse_id":
			columns.brand = i
		case "seed_registrable", "domain":
			columns.domain = i
		}
	}
	if columns.domain >= 0 {
		return columns, true
	}
	return &seedColumns{brand: 0, domain: 1, unnamed: true}, false
}

func (c *seedColumns) row(number int, text string, cells []string, err error) Row {
	if err != nil {
		return badRow(number, text, err)
	}
	if c.unnamed && len(cells) == 1 {
		c = &seedColumns{brand: -1, domain: 0}
	}
	if c.domain >= len(cells) || cells[c.domain] == "" {
		return badRow(number, text, errNoDomainRow)
	}
	domain, _, _ := strings.Cut(cells[c.domain], " #") // a comment, as every list may have
	seed, err := fuzzer.ParseSeed(domain)
	if err != nil {
		return badRow(number, text, err)
	}
	brand := ""
	if c.brand >= 0 && c.brand < len(cells) {
		brand = cells[c.brand]
	}
	if brand, err = checkBrand(brand); err != nil {
		return badRow(number, text, err)
	}
	return Row{Line: number, Seed: Seed{Seed: seed, Brand: brand}}
}

func badRow(number int, text string, err error) Row {
	return Row{Line: number, Err: &RowError{Line: number, Text: shorten(text), Err: err}}
}

// shorten quotes the beginning of a text that may hold anything.
func shorten(text string) string {
	const limit = 40
	if runes := []rune(text); len(runes) > limit {
		return strconv.QuoteToASCII(string(runes[:limit])) + "…"
	}
	return strconv.QuoteToASCII(text)
}
