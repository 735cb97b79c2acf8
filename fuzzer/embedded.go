package fuzzer

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// The embedded lists are texts of the project's own making; their first lines
// say what they are, of which date, from which sources. Tests hold them to
// their form, so no bad line is expected here.

//go:embed lists/suffixes.txt
var suffixesText string

//go:embed lists/wide.txt
var wideText string

//go:embed lists/words.txt
var wordsText string

//go:embed lists/highrisk.txt
var highRiskText string

//go:embed lists/home.txt
var homeText string

//go:embed lists/abused.txt
var abusedText string

//go:embed suffixes_open.txt
var openSuffixesText string

var (
	openSuffixes = sync.OnceValue(func() []string {
		list, _, _ := ReadSuffixes(strings.NewReader(openSuffixesText))
		return list
	})
	abusedSuffixes = sync.OnceValue(func() []string {
		list, _, _ := ReadSuffixes(strings.NewReader(abusedText))
		return list
	})
	commonSuffixes = sync.OnceValue(func() []string {
		list, _, _ := ReadSuffixes(strings.NewReader(suffixesText))
		return list
	})
	generalWords = sync.OnceValue(func() []string {
		list, _, _ := ReadWords(strings.NewReader(wordsText))
		return list
	})
	highRiskWords = sync.OnceValue(func() []string {
		list, _, _ := ReadWords(strings.NewReader(highRiskText))
		return list
	})
)

// CommonSuffixes returns the embedded list of suffixes that are used or abused
// most, gTLDs and ccTLDs, as A-labels. The slice is the caller's.
func CommonSuffixes() []string { return slices.Clone(commonSuffixes()) }

var wideSuffixes = sync.OnceValue(func() []string {
	further, _, _ := ReadSuffixes(strings.NewReader(wideText))
	list := MergeLists(commonSuffixes(), further)
	var countries []string
	for tld := range home().countries {
		countries = append(countries, tld)
	}
	slices.Sort(countries)
	return MergeLists(list, countries)
})

// WideSuffixes returns the suffixes for wide runs as A-labels, likeliest first:
// CommonSuffixes, further gTLDs and IDN TLDs, then all ccTLDs. The slice is the
// caller's.
func WideSuffixes() []string { return slices.Clone(wideSuffixes()) }

// GeneralWords returns the embedded words of phishing names in general, in
// several languages. The slice is the caller's.
func GeneralWords() []string { return slices.Clone(generalWords()) }

// HighRiskWords returns the embedded words about money, identity and one-time
// codes. The slice is the caller's.
func HighRiskWords() []string { return slices.Clone(highRiskWords()) }

// homeTable is the content of lists/home.txt.
type homeTable struct {
	suffixes  map[string][]string // by country code
	countries map[string]string   // by TLD
}

var home = sync.OnceValue(func() homeTable {
	table := homeTable{suffixes: map[string][]string{}, countries: map[string]string{}}
	for line := range strings.Lines(homeText) {
		fields := strings.Fields(strip(line))
		if len(fields) < 2 {
			continue
		}
		country, suffixes := fields[0], fields[1:]
		table.suffixes[country] = suffixes
		for _, suffix := range suffixes {
			table.countries[suffix[strings.LastIndexByte(suffix, '.')+1:]] = country
		}
	}
	return table
})

// HomeSuffixes returns the suffixes under which names of a country are
// registered, second levels and IDN ccTLDs included, as A-labels: for "IN" in,
// co.in, bank.in, xn--h2brj9c and so on. country is an ISO 3166-1 code in any
// case, "UK" or "EU"; nil for any other. The slice is the caller's.
func HomeSuffixes(country string) []string {
	country = strings.ToUpper(strings.TrimSpace(country))
	if country == "UK" {
		country = "GB"
	}
	return slices.Clone(home().suffixes[country])
}

// genericCountryTLDs are ccTLDs that the world registers under, whatever their
// country. They say nothing about a brand's home.
const genericCountryTLDs = " ac ad ag ai am as bz cc cd cf co cx dj fm ga gg gl gq im io la lc li ly me ml ms nu pw sc sh so sr st su tk tm to tv vc vg ws "

// Country returns the ISO 3166-1 code that the seed's ccTLD stands for, IDN
// ccTLDs included ("IN", and "EU"); "" for a gTLD, and for a ccTLD that is used
// like one (.io, .co) unless the name is under a second level of it (.com.co).
func Country(seed Seed) string {
	suffix := icannSuffix(seed.FQDN)
	if strings.Contains(genericCountryTLDs, " "+suffix+" ") {
		return ""
	}
	return home().countries[suffix[strings.LastIndexByte(suffix, '.')+1:]]
}
