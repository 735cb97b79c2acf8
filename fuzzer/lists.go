package fuzzer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"
)

// Limits of a list that is read. Beyond the last two the reader gives up: such
// an input is no list of words or suffixes.
const (
	maxLineLen  = 4096 // octets; a longer line is a bad line
	maxEntries  = 1_000_000
	maxBadLines = 10_000
)

// BadLine is a line of a list that was passed over, or taken in spite of a doubt.
type BadLine struct {
	Line   int    // counted from 1
	Text   string // in quotes, shortened, control characters escaped: safe to print
	Reason string // completes "line N: …": "is no public suffix"
	Used   bool   // the entry is in the list all the same
}

func (b BadLine) String() string {
	return fmt.Sprintf("line %d: %s %s", b.Line, b.Text, b.Reason)
}

// ListError says why a list as a whole was refused.
type ListError struct {
	Reason string
	hint   string
}

func (e *ListError) Error() string { return e.Reason }

// Hint says what to do about it.
func (e *ListError) Hint() string { return e.hint }

// ReadWords reads a dictionary for [Dictionary], one word a line: at most 63
// letters, digits and hyphens, or a U-label. Upper case is lowered, U-labels
// become A-labels, a byte order mark, CRLF, blank lines and comments (from # to
// the end of the line) are skipped, repeats dropped; the order is kept. What is
// no word is in bad. err is a fault of r, or a [*ListError] for an input with
// more than 10,000 bad lines or 1,000,000 words, which is no dictionary.
func ReadWords(r io.Reader) (words []string, bad []BadLine, err error) {
	return readList(r, parseWord, trust)
}

// ReadSuffixes reads a TLD list for [TLDSwap], one suffix a line, of one label
// or more, with or without a leading dot. A name that is no public suffix though
// its TLD is known is a bad line. Where neither the public suffix list nor the
// embedded lists know the TLD, it may be newer than they are: the suffix is
// taken, and the line is in bad with Used set. The rest is as with [ReadWords].
func ReadSuffixes(r io.Reader) (suffixes []string, bad []BadLine, err error) {
	return readList(r, parseSuffix, doubtTLD)
}

// MergeLists joins several lists as [ReadWords] and [ReadSuffixes] return them:
// in the order given, repeats dropped.
func MergeLists(lists ...[]string) []string {
	var merged []string
	seen := make(map[string]struct{})
	for _, list := range lists {
		for _, value := range list {
			if _, repeated := seen[value]; !repeated {
				seen[value] = struct{}{}
				merged = append(merged, value)
			}
		}
	}
	return merged
}

// readList collects what parse makes of each line. doubt says what is to be
// told of a value that is taken, "" for nothing.
func readList(r io.Reader, parse func(string) (value, reason string), doubt func(string) string) (values []string, bad []BadLine, err error) {
	lines := newLineReader(r)
	seen := make(map[string]struct{})
	for {
		line, tooLong, err := lines.next()
		if errors.Is(err, io.EOF) {
			return values, bad, nil
		}
		if err != nil {
			return values, bad, fmt.Errorf("line %d: %w", lines.number, err)
		}
		value, reason := "", ""
		if tooLong {
			reason = fmt.Sprintf("is longer than %d octets", maxLineLen)
		} else if line = strip(line); line != "" {
			value, reason = parse(line)
		}
		if reason != "" {
			bad = append(bad, BadLine{Line: lines.number, Text: quoted(line), Reason: reason})
		} else if _, repeated := seen[value]; value != "" && !repeated {
			seen[value] = struct{}{}
			values = append(values, value)
			if reason := doubt(value); reason != "" {
				bad = append(bad, BadLine{Line: lines.number, Text: quoted(line), Reason: reason, Used: true})
			}
		}
		if len(bad) > maxBadLines || len(values) > maxEntries {
			return values, bad, &ListError{
				Reason: fmt.Sprintf("is no list: more than %d bad lines or %d entries up to line %d",
					maxBadLines, maxEntries, lines.number),
				hint: "give a text file with one entry a line",
			}
		}
	}
}

// strip takes off the comment and the space around the entry.
func strip(line string) string {
	line, _, _ = strings.Cut(line, "#")
	return strings.TrimSpace(line)
}

// parseWord returns the word as it joins a label, or what is wrong with it.
func parseWord(text string) (word, reason string) {
	if bad := checkText(text); bad != nil {
		return "", bad.reason
	}
	word = norm.NFC.String(strings.ToLower(text))
	ldh := true
	for _, r := range word {
		if r < 0x80 && !isLDH(r) {
			return "", fmt.Sprintf("has a character that labels cannot have: %q", r)
		}
		ldh = ldh && r < 0x80
	}
	switch {
	case strings.Trim(word, "-") == "":
		return "", "has neither letter nor digit"
	case len(word) > maxLabelLen && ldh:
		return "", "is longer than 63 characters"
	case ldh && !strings.HasPrefix(word, acePrefix):
		return word, ""
	}
	ascii, ok := appendLabel(nil, []rune(word))
	if !ok {
		return "", "is not valid under IDNA 2008 (RFC 5891)"
	}
	return string(ascii), ""
}

// displayWord returns a word in the form in which it can be joined to a U-label.
func displayWord(word string) string {
	if !strings.HasPrefix(word, acePrefix) {
		return word
	}
	text, err := registration.ToUnicode(word)
	if err != nil {
		return word
	}
	return text
}

// parseSuffix returns the suffix as A-labels, or what is wrong with it.
func parseSuffix(text string) (suffix, reason string) {
	suffix, bad := normalize(strings.TrimPrefix(text, "."), true)
	if bad != nil {
		return "", bad.reason
	}
	if known, _ := publicsuffix.PublicSuffix(suffix); known != suffix && isKnownTLD(suffix) {
		return "", "is no public suffix"
	}
	return suffix, ""
}

func trust(string) string { return "" }

func doubtTLD(suffix string) string {
	if isKnownTLD(suffix) {
		return ""
	}
	return "ends in a TLD that neither the public suffix list nor the embedded list knows"
}

// isKnownTLD looks the last label of a suffix up in the public suffix list, and
// in the embedded lists.
func isKnownTLD(suffix string) bool {
	last := suffix[strings.LastIndexByte(suffix, '.')+1:]
	_, icann := publicsuffix.PublicSuffix(last)
	return icann || embeddedTLDs()[last]
}

// embeddedTLDs are the TLDs of the embedded lists, as their texts have them:
// the lists themselves are read with the help of this.
var embeddedTLDs = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for _, text := range []string{suffixesText, wideText} {
		for line := range strings.Lines(text) {
			if suffix := strings.TrimPrefix(strip(line), "."); suffix != "" {
				known[suffix[strings.LastIndexByte(suffix, '.')+1:]] = true
			}
		}
	}
	return known
})

// lineReader cuts a stream into lines of bounded length.
type lineReader struct {
	r      *bufio.Reader
	number int // of the line last returned
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, maxLineLen)}
}

// next returns the next line without its end, or the beginning of one that is
// too long. After the last line the error is io.EOF.
func (l *lineReader) next() (line string, tooLong bool, err error) {
	l.number++
	chunk, err := l.r.ReadSlice('\n')
	head := string(chunk) // the next read overwrites chunk
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		_, err = l.r.ReadSlice('\n')
	}
	if err != nil && (!errors.Is(err, io.EOF) || head == "") {
		return "", false, err
	}
	if l.number == 1 {
		head = strings.TrimPrefix(head, "\uFEFF")
	}
	return strings.TrimRight(head, "\r\n"), tooLong, nil
}
