package fuzzer

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// form is one way of writing the brand: its label, or an edit of it.
type form struct {
	text      string // as U-label
	kind      string // see kindOf; the algorithm's name for edits that are not single ones
	algorithm Algorithm
	ascii     bool
	letter    rune // that a kind of edit adds at one place of the label, if it says nothing of the letter
}

// formList is the edits of a label, each once, in canonical order of the
// algorithms, with how many there are of each kind.
type formList struct {
	forms []form
	kinds map[string]int
	two   int // pairs of look-alikes that are not held: see streamed
}

// newFormList makes the edits of the seed's label. Pairs of look-alikes are too
// many to hold, but for those that squatters prefer, unless all is set.
func newFormList(seed Seed, algorithms []Algorithm, all bool) *formList {
	g := newGenerator(seed)
	seen := map[string]bool{seed.Label: true}
	list := &formList{kinds: map[string]int{}}
	var slab slab
	var octets []byte
	add := func(a Algorithm, kind string, label []rune) {
		octets = appendRunes(octets[:0], label)
		if len(label) == 0 || seen[string(octets)] || indexRune(label, '.') >= 0 {
			return
		}
		text := slab.text(octets)
		seen[text] = true
		list.kinds[kind]++
		list.forms = append(list.forms, form{text: text, kind: kind, algorithm: a, ascii: isASCII(text), letter: addedLetter(kind, label)})
	}
	if slices.Contains(algorithms, BoundaryHyphen) {
		g.joints(func(label []rune) bool {
			add(BoundaryHyphen, jointKind, label)
			return true
		})
	}
	for _, a := range algorithms {
		if !a.editsLabel() || a == Subdomain {
			continue
		}
		g.edits(a, func(label []rune) bool {
			kind := kindOf(g.label, label)
			if a == Homoglyph && !all && (kind == "" || kind == idnMixed) {
				list.two++
				return true
			}
			if kind == "" {
				kind = a.String()
			}
			add(a, kind, label)
			return true
		})
	}
	return list
}

func appendRunes(dst []byte, label []rune) []byte {
	for _, r := range label {
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// jointKind is the kind of edit that puts hyphens between the label's words.
const jointKind = "hyphen-words"

// addedLetter returns the letter of an edit at an end of the label.
func addedLetter(kind string, label []rune) rune {
	switch kind {
	case "append-letter":
		return label[len(label)-1]
	case "prepend-letter":
		return label[0]
	}
	return 0
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// formIndex finds the forms of a brand inside a label.
type formIndex struct {
	byText   map[string]form
	shortest int
	longest  int
}

func newFormIndex(seed Seed, algorithms []Algorithm) *formIndex {
	return indexForms(seed, newFormList(seed, algorithms, true).forms)
}

func indexForms(seed Seed, list []form) *formIndex {
	index := &formIndex{byText: make(map[string]form, len(list)+1)}
	index.byText[seed.Label] = form{text: seed.Label, ascii: isASCII(seed.Label)}
	index.shortest, index.longest = len(seed.Label), len(seed.Label)
	for _, f := range list {
		index.byText[f.text] = f
		index.shortest = min(index.shortest, len(f.text))
		index.longest = max(index.longest, len(f.text))
	}
	return index
}

// minEmbedded is the length in octets from which an edited brand is looked for
// inside a longer label; shorter ones are found by chance.
const minEmbedded = 5

// find yields the places of the brand in label, whole label first, then the
// brand unedited, then its edits.
func (x *formIndex) find(label string, yield func(f form, left, right string) bool) {
	if f, ok := x.byText[label]; ok {
		if !yield(f, "", "") {
			return
		}
	}
	for _, edited := range []bool{false, true} {
		for i := range len(label) {
			for j := min(len(label), i+x.longest); j >= i+x.shortest && j > i; j-- {
				if i == 0 && j == len(label) || edited && j-i < minEmbedded {
					continue
				}
				f, ok := x.byText[label[i:j]]
				if ok && edited == (f.kind != "") && !yield(f, label[:i], label[j:]) {
					return
				}
			}
		}
	}
}

// alike is how squatters write www when they do not.
const alike = "ww wwww wwv wvw vww vwww vvww wwwv wvww swww w3"

// countryNames are what squatters write for a country, by ISO 3166-1 code.
var countryNames = map[string]string{
	"AE": "uae dubai", "AR": "argentina", "AT": "austria", "AU": "australia aus", "BD": "bangladesh", "BE": "belgium", "BR": "brasil brazil",
	"CA": "canada", "CH": "swiss schweiz suisse", "CL": "chile", "CN": "china", "CO": "colombia", "CZ": "czech cesko", "DE": "deutschland germany",
	"DK": "danmark denmark", "EG": "egypt", "ES": "espana spain", "FI": "suomi finland", "FR": "france", "GB": "uk england british", "GR": "greece hellas",
	"HK": "hongkong", "HU": "hungary magyar", "ID": "indonesia indo", "IE": "ireland", "IL": "israel", "IN": "india bharat", "IT": "italia italy", "JP": "japan jpn nippon",
	"KE": "kenya", "KR": "korea", "LK": "lanka", "MX": "mexico", "MY": "malaysia", "NG": "nigeria", "NL": "nederland holland", "NO": "norge norway", "NP": "nepal",
	"NZ": "newzealand", "PE": "peru", "PH": "philippines", "PK": "pakistan", "PL": "polska poland", "PT": "portugal", "RO": "romania", "RU": "russia rossiya",
	"SA": "saudi ksa", "SE": "sverige sweden", "SG": "singapore", "TH": "thailand thai", "TR": "turkiye turkey", "TW": "taiwan", "UA": "ukraine ukraina", "US": "usa",
	"VN": "vietnam", "ZA": "southafrica",
}

// ownWords are the words that a seed brings along, as pairs of the model's key
// and the word: parts of its suffix, its country, and its own label.
func ownWords(seed Seed) [][2]string {
	suffix := seed.PublicSuffix
	last := suffix[strings.LastIndexByte(suffix, '.')+1:]
	words := [][2]string{{"{tld}", last}}
	if last != suffix {
		words = append(words, [2]string{"{suffix-}", strings.ReplaceAll(suffix, ".", "-")},
			[2]string{"{suffix}", strings.ReplaceAll(suffix, ".", "")},
			[2]string{"{second}", suffix[:strings.LastIndexByte(suffix, '.')]})
	}
	if country := Country(seed); country != "" {
		for name := range strings.FieldsSeq(countryNames[country]) {
			words = append(words, [2]string{"{country}", name})
		}
	}
	words = append(words, [2]string{"{brand}", seed.Label})
	for www := range strings.FieldsSeq(alike) {
		words = append(words, [2]string{"{www}", www})
	}
	return slices.DeleteFunc(words, func(w [2]string) bool { return strings.Contains(w[1], ".") })
}

// ownSuffixes are the model's keys for suffixes that depend on the seed.
func ownSuffixes(seed Seed) [][2]string {
	suffix := seed.PublicSuffix
	list := [][2]string{{"{suffix}", suffix}}
	if last := suffix[strings.LastIndexByte(suffix, '.')+1:]; last != suffix {
		list = append(list, [2]string{"{tld}", last})
	}
	for _, home := range HomeSuffixes(Country(seed)) {
		if home != suffix && strings.Contains(home, ".") {
			list = append(list, [2]string{"{home}", home})
		}
	}
	return list
}

// region is the context that a seed belongs to: whether its suffix is a country's.
func region(seed Seed) string {
	if Country(seed) != "" {
		return "country"
	}
	return "generic"
}
