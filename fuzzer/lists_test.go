package fuzzer

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/net/publicsuffix"
)

func TestReadWords(t *testing.T) {
	text := "\uFEFF# words\r\nLogin\r\n\r\n  secure  # why not\r\nlogin\r\nMÜLLER\r\nxn--mller-kva\r\n" +
		"two words\r\nunder_score\r\n--\r\n-app\r\n" + strings.Repeat("a", 64) + "\r\n\xff\xfe\r\nxn--zz\r\nend"
	words, bad, err := ReadWords(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"login", "secure", "xn--mller-kva", "-app", "end"}; !slices.Equal(words, want) {
		t.Errorf("words %q, want %q", words, want)
	}
	want := []BadLine{
		{Line: 8, Text: `"two words"`, Reason: "has a space inside"},
		{Line: 9, Text: `"under_score"`, Reason: "has a character that labels cannot have: '_'"},
		{Line: 10, Text: `"--"`, Reason: "has neither letter nor digit"},
		{Line: 12, Text: `"` + strings.Repeat("a", 64) + `"`, Reason: "is longer than 63 characters"},
		{Line: 13, Text: `"\xff\xfe"`, Reason: "is not valid UTF-8"},
		{Line: 14, Text: `"xn--zz"`, Reason: "is not valid under IDNA 2008 (RFC 5891)"},
	}
	if !slices.Equal(bad, want) {
		t.Errorf("bad lines\n%v\nwant\n%v", bad, want)
	}
	if got := bad[0].String(); got != `line 8: "two words" has a space inside` {
		t.Errorf("bad line reads %q", got)
	}
}

func TestReadSuffixes(t *testing.T) {
	text := "com\n.NET\nco.uk\nрф\nभारत\nweb.app\nxn--p1ai\nnosuchtld\nexample.com\n*.ck\n1.2.3.4\ncom.\n-\ninternal\nsecond.nosuchtld\n"
	suffixes, bad, err := ReadSuffixes(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"com", "net", "co.uk", "xn--p1ai", "xn--h2brj9c", "web.app", "nosuchtld", "internal", "second.nosuchtld"}; !slices.Equal(suffixes, want) {
		t.Errorf("suffixes %q, want %q", suffixes, want)
	}
	// A TLD that no list knows is told, and taken.
	var dropped, taken []int
	for _, b := range bad {
		if b.Used {
			taken = append(taken, b.Line)
		} else {
			dropped = append(dropped, b.Line)
		}
	}
	if want := []int{9, 10, 11, 13}; !slices.Equal(dropped, want) {
		t.Errorf("dropped lines %v, want %v: %v", dropped, want, bad)
	}
	if want := []int{8, 14, 15}; !slices.Equal(taken, want) {
		t.Errorf("doubtful lines %v, want %v: %v", taken, want, bad)
	}
	if bad[0].Reason != "ends in a TLD that neither the public suffix list nor the embedded list knows" || bad[1].Reason != "is no public suffix" {
		t.Errorf("reasons %q and %q", bad[0].Reason, bad[1].Reason)
	}
}

// A TLD of the embedded lists is known, though the public suffix list may lack it.
func TestEmbeddedTLDsAreKnown(t *testing.T) {
	for tld := range embeddedTLDs() {
		if !isKnownTLD("any." + tld) {
			t.Errorf("%s is not known", tld)
		}
	}
	if n := len(embeddedTLDs()); n < 400 || isKnownTLD("nosuchtld") {
		t.Errorf("%d TLDs, nosuchtld among them: %v", n, isKnownTLD("nosuchtld"))
	}
}

// A line of 10 MB is one bad line; what follows it is read.
func TestReadLongLine(t *testing.T) {
	long := strings.Repeat("x", 10<<20)
	for _, tail := range []string{"\nafter\n", "\r\nafter", "\n\nafter"} {
		words, bad, err := ReadWords(strings.NewReader("before\n" + long + tail))
		if err != nil || !slices.Equal(words, []string{"before", "after"}) {
			t.Errorf("words %q, error %v", words, err)
		}
		if len(bad) != 1 || bad[0].Line != 2 || len(bad[0].Text) > 100 || bad[0].Reason != "is longer than 4096 octets" {
			t.Errorf("bad lines %v", bad)
		}
	}
	if _, bad, err := ReadWords(strings.NewReader(long)); err != nil || len(bad) != 1 {
		t.Errorf("a long last line: %v, %v", bad, err)
	}
}

func TestReadLineLimit(t *testing.T) {
	for _, n := range []int{maxLineLen - 2, maxLineLen - 1, maxLineLen, maxLineLen + 1} {
		line := "word #" + strings.Repeat("x", n-6)
		words, bad, err := ReadWords(strings.NewReader(line + "\nnext\n"))
		if err != nil || !slices.Contains(words, "next") || len(words)+len(bad) != 2 {
			t.Errorf("%d octets: words %q, bad %v, error %v", n, words, bad, err)
		}
		if tooLong := n >= maxLineLen; tooLong != (len(bad) == 1) {
			t.Errorf("%d octets: bad %v", n, bad)
		}
	}
}

func TestReadRubbish(t *testing.T) {
	_, bad, err := ReadWords(strings.NewReader(strings.Repeat("\x00\n", maxBadLines+10)))
	var refused *ListError
	if !errors.As(err, &refused) || refused.Hint() == "" || len(bad) > maxBadLines+1 {
		t.Errorf("%d bad lines, error %v", len(bad), err)
	}
	if _, _, err := ReadWords(bytes.NewReader(nil)); err != nil {
		t.Errorf("an empty list: %v", err)
	}
	broken := iotest.ErrReader(io.ErrUnexpectedEOF)
	words, _, err := ReadSuffixes(io.MultiReader(strings.NewReader("com\n"), broken))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !slices.Equal(words, []string{"com"}) {
		t.Errorf("a reader that breaks: %q, %v", words, err)
	}
}

func TestEmbeddedLists(t *testing.T) {
	for name, list := range map[string]struct {
		text     string
		read     func(io.Reader) ([]string, []BadLine, error)
		got      []string
		min, max int
	}{
		"suffixes.txt": {suffixesText, ReadSuffixes, CommonSuffixes(), 150, 250},
		"wide.txt":     {wideText, ReadSuffixes, furtherSuffixes(), 400, 700},
		"abused.txt":   {abusedText, ReadSuffixes, abusedSuffixes(), 100, 250},
		"giveaway.txt": {giveAwayText, ReadSuffixes, GiveAwayHosts(), 100, 250},
		"words.txt":    {wordsText, ReadWords, GeneralWords(), 150, 400},
		"highrisk.txt": {highRiskText, ReadWords, HighRiskWords(), 80, 300},
	} {
		read, bad, err := list.read(strings.NewReader(list.text))
		if err != nil || len(bad) > 0 {
			t.Errorf("%s: %v, %v", name, bad, err)
		}
		if n := len(list.got); n != len(read) || n < list.min || n > list.max {
			t.Errorf("%s: %d entries, want %d to %d", name, n, list.min, list.max)
		}
		entries := 0
		for line := range strings.Lines(list.text) {
			if strip(line) != "" {
				entries++
			}
		}
		if entries != len(read) {
			t.Errorf("%s: %d lines, %d entries: it repeats itself", name, entries, len(read))
		}
		if !strings.Contains(list.text[:700], "Date: 20") {
			t.Errorf("%s: the head does not say its date", name)
		}
	}
	if wide := WideSuffixes(); !slices.Equal(wide[:len(CommonSuffixes())], CommonSuffixes()) || !slices.Contains(wide, "is") {
		t.Error("the wide suffixes are not the common ones and more")
	}
	list := CommonSuffixes()
	list[0] = "changed"
	if CommonSuffixes()[0] == "changed" {
		t.Error("the embedded list can be changed from outside")
	}
}

// furtherSuffixes are those of wide.txt alone, which repeats none of the common ones.
func furtherSuffixes() []string {
	further, _, _ := ReadSuffixes(strings.NewReader(wideText))
	return slices.DeleteFunc(further, func(s string) bool { return slices.Contains(CommonSuffixes(), s) })
}

// Hosts that give names away are suffixes of the private section.
func TestGiveAwayHosts(t *testing.T) {
	for _, host := range GiveAwayHosts() {
		if suffix, icann := publicsuffix.PublicSuffix(host); suffix != host || icann {
			t.Errorf("%s is no private suffix", host)
		}
	}
}

// Every entry of the word lists is a word of its own, and stands once.
func TestEmbeddedWords(t *testing.T) {
	for name, text := range map[string]string{"combo.txt": comboText, "segments.txt": segmentsText, "misspellings.txt": misspellingsText} {
		if !strings.Contains(text[:400], "Date: 20") {
			t.Errorf("%s: the head does not say its date", name)
		}
		seen := map[string]bool{}
		for line := range strings.Lines(text) {
			fields := strings.Fields(strip(line))
			if name == "combo.txt" && len(fields) == 1 && strings.HasPrefix(fields[0], "[") {
				continue
			}
			for i, field := range fields {
				word, reason := parseWord(field)
				if reason != "" || word != field && word != mustACE(field) {
					t.Errorf("%s: %q %s", name, field, reason)
				}
				repeated := seen[word]
				if name == "misspellings.txt" && i > 0 {
					repeated = word == fields[0] || slices.Contains(fields[:i], word)
				} else {
					seen[word] = true
				}
				if repeated {
					t.Errorf("%s: %s stands there twice", name, field)
				}
			}
		}
	}
	var themes []string
	for _, theme := range comboThemes() {
		themes = append(themes, theme.name)
		if len(theme.words) < 12 {
			t.Errorf("%s: %d words", theme.name, len(theme.words))
		}
	}
	for _, theme := range []string{"general", "finance", "login", "support", "delivery", "government", "crypto", "spanish", "german"} {
		if !slices.Contains(themes, theme) {
			t.Errorf("no theme %s in %v", theme, themes)
		}
	}
	if n := len(ComboWords()); n < 1200 || n > 2000 {
		t.Errorf("%d words", n)
	}
}

func mustACE(word string) string {
	ace, _ := registration.ToASCII(word)
	return ace
}

func TestHomeSuffixes(t *testing.T) {
	seen := make(map[string]string)
	for country, suffixes := range home().suffixes {
		if len(country) != 2 || country != strings.ToUpper(country) {
			t.Errorf("country %q", country)
		}
		for _, suffix := range suffixes {
			if known, icann := publicsuffix.PublicSuffix(suffix); known != suffix || !icann {
				t.Errorf("%s: %s is no ICANN suffix", country, suffix)
			}
			if other, taken := seen[suffix]; taken {
				t.Errorf("%s: %s belongs to %s", country, suffix, other)
			}
			seen[suffix] = country
		}
	}
	if n := len(home().suffixes); n < 200 {
		t.Errorf("%d countries", n)
	}
	for _, suffix := range []string{"in", "co.in", "net.in", "org.in", "gov.in", "bank.in", "xn--h2brj9c"} {
		if !slices.Contains(HomeSuffixes("in"), suffix) {
			t.Errorf("IN lacks %s", suffix)
		}
	}
	if !slices.Contains(HomeSuffixes("UK"), "co.uk") || HomeSuffixes("") != nil || HomeSuffixes("ZZ") != nil {
		t.Error("UK, none, unknown")
	}
	for name := range strings.FieldsSeq(genericCountryTLDs) {
		if home().countries[name] == "" {
			t.Errorf("%s is no ccTLD of the table", name)
		}
	}
}

func TestCountry(t *testing.T) {
	for domain, want := range map[string]string{
		"sbi.co.in": "IN", "sbi.bank.in": "IN", "बैंक.भारत": "IN", "bank.uk": "GB", "bank.co.uk": "GB",
		"bank.de": "DE", "банк.рф": "RU", "bank.su": "", "bank.eu": "EU", "absa.co.za": "ZA",
		"example.com": "", "example.bank": "", "example.io": "", "t.co": "", "bank.com.co": "CO",
		"myshop.github.io": "", "foo.blogspot.com": "", "host.internal": "", "nabil.com.np": "NP",
	} {
		seed, err := ParseSeed(domain)
		if err != nil {
			t.Errorf("%s: %v", domain, err)
			continue
		}
		if got := Country(seed); got != want {
			t.Errorf("%s: country %q, want %q", domain, got, want)
		}
	}
}
