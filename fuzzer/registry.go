package fuzzer

import (
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"
)

// registry says which labels the registry of a suffix takes beyond ASCII.
type registry struct {
	scripts scripts
	// national restricts Latin to the letters of European alphabets, as tables
	// by language do. letters, if not nil, restricts it further to these.
	national bool
	letters  map[rune]bool
	// mixed registries do not hold the scripts of one label apart.
	mixed bool
}

// registryScripts names registries by suffix or last label. Dated 2026-11.
// Checked against what registries publish: wide (Verisign's registration rules
// refuse two scripts in a label, otherwise take any letter of IDNA 2008), mixed
// (the ccTLDs that take even emoji, ccNSO study group 2019, apply no table by
// script), and that .eu has its Cyrillic and Greek names under .ею and .ευ
// since 2019. The rest is what is generally known of their tables and may lag
// behind the IANA Repository of IDN Practices.
const registryScripts = `
	# any letter of one script
	wide: latin cyrillic greek armenian: com net cc tv name
	# letters of languages, in one script
	some: latin cyrillic greek: xyz online site store tech website space fun host press pw
	some: latin cyrillic: org info ua com.ua bg su
	some: latin greek: gr com.gr
	# no check of scripts
	mixed: latin cyrillic greek armenian: az cf fm ga ge gg gq je ml st tk to uz vu ws
	# letters, digits and hyphens only
	none: : ru in gov mil edu int arpa uk nl us ie za zm ng ke gh pk bd lk np my ph sg
`

var registries = sync.OnceValue(func() map[string]registry {
	table := make(map[string]registry)
	for line := range strings.Lines(registryScripts) {
		kind, rest, found := strings.Cut(strip(line), ":")
		if !found {
			continue
		}
		names, suffixes, _ := strings.Cut(rest, ":")
		entry := registry{national: strings.TrimSpace(kind) == "some", mixed: strings.TrimSpace(kind) == "mixed"}
		for name := range strings.FieldsSeq(names) {
			entry.scripts |= scriptNames[name]
		}
		for suffix := range strings.FieldsSeq(suffixes) {
			table[suffix] = entry
		}
	}
	return table
})

var scriptNames = map[string]scripts{"latin": latin, "cyrillic": cyrillic, "greek": greek, "armenian": armenian}

// registryOf finds the rules of a suffix: its own entry, its entry in
// dnstwist's tables of accented letters, then the same for its last label.
// What nobody names is judged carefully: an IDN TLD takes its own script, a
// private suffix nothing (hosts hand out letters, digits and hyphens), any
// other TLD the letters of European alphabets.
func registryOf(suffix string) registry {
	if _, icann := publicsuffix.PublicSuffix(suffix); !icann && strings.Contains(suffix, ".") {
		return registry{}
	}
	_, last, several := cutLast(suffix)
	names := []string{suffix}
	if several {
		names = append(names, last)
	}
	for _, name := range names {
		if entry, known := registries()[name]; known {
			return entry
		}
		if accented, known := glyphsBySuffix[name]; known {
			return nationalRegistry(accented)
		}
	}
	if text := displayWord(last); text != last {
		if set := scriptsOf([]rune(text)); set.single() {
			return registry{scripts: set &^ otherScript}
		}
		return registry{}
	}
	return registry{scripts: latin, national: true}
}

// nationalRegistry takes the letters of a table of accented ones.
func nationalRegistry(accented glyphTable) registry {
	if len(accented) == 0 {
		return registry{}
	}
	entry := registry{scripts: latin, national: true, letters: make(map[rune]bool)}
	for _, glyphs := range accented {
		for _, r := range glyphs {
			entry.letters[r] = true
		}
	}
	return entry
}

// accepts reports whether the registry takes the label. ASCII it always takes,
// and of the scripts that the tables do not cover it is not asked.
func (r registry) accepts(label []rune) bool {
	ascii := true
	for _, c := range label {
		if c < 0x80 {
			continue
		}
		ascii = false
		if scriptOf(c) == latin && !r.acceptsLatin(c) {
			return false
		}
	}
	if ascii {
		return true
	}
	set := scriptsOf(label)
	return r.scripts.has(set) && (r.mixed || set.single())
}

func (r registry) acceptsLatin(c rune) bool {
	if r.letters != nil {
		return r.letters[c]
	}
	return !r.national || isNational(c)
}
