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

// registryScripts names registries by suffix or last label. Dated 2026-11. Where
// each row is from:
//
//   - repository: the tables that the IANA Repository of IDN Practices lists for
//     the TLD, by their names, as zonedb (github.com/zonedb/zonedb) had them on
//     2026-07-01. The scripts are those of the tables; their code points were
//     not read one by one.
//   - alphabet: the repository lists one language's table; the letters are the
//     language's alphabet from general knowledge, not from the table.
//   - closed: zonedb says that the registry takes no IDN.
//   - general: general knowledge, without a source that could be cited.
//   - study: the ccTLDs that take even emoji (ccNSO study group 2019), so they
//     apply no table by script. zonedb says of az, ge, gg, je and st that they
//     take no IDN, of fm and ga that they have tables; names are there all the same.
const registryScripts = `
	# repository: com_latn_2.6, com_cyrl_1.2, com_grek_1.2, likewise net and cc;
	# name_latn_2.5, app_latn_1.0, dev_latn_1.0 and their like; Armenian for all.
	# tv, of which only tvl-TV is listed, was run by the same rules: general
	wide: latin cyrillic greek armenian: com net cc name tv app dev
	# repository: online_latn_4.0, _cyrl_4.0, _grek_4.0, likewise site and store;
	# pw_latn_1.0; xyz_latn_1.1, xyz_grek_1.1 and ru; icu_latn_1.1, icu_grek_1.1, ru and uk;
	# pl: 36 languages, el, be, bg, mk, ru, sr and uk among them. The seven after it: general
	some: latin cyrillic greek: online site store pw xyz icu pl tech website space fun host press
	# repository: la_latn_1.0, la_grek_1.1
	some: latin greek: la
	# repository: org_bs-cyrl_5, org_sr-cyrl_5 and languages (be bg mk ru uk), likewise
	# info, mobi, pro and asia; co_latn_3.0 and ru; shop, top, club and vip: ru among languages. su: general
	some: latin cyrillic: org info mobi pro asia co shop top club vip su
	# repository: ua_cyrl_1.2; bg-BG, ru-BG
	some: cyrillic: ua bg
	# repository: el-GR
	some: greek: gr
	# repository: twelve languages, all Latin; at_latn_1.0, se_latn_3, nu_und-latn_2, si_latn_1.0, rs (11 tables)
	some: latin: biz at se nu si rs
	# alphabet: es-ES, pt-PT, it-IT, tr-TR, hu-HU, is-IS, lv-LV, lt-LT, cl_latn_1.0, nz_latn_1.0, en-IE
	only: áàçéèíïñóòúü: es
	only: áàâãçéêíóôõú: pt
	only: àâäèéêëìîïòôöùûüæœçÿß: it
	only: çğıöşü: tr
	only: áéíóöőúüű: hu
	only: áéíóúýþæðö: is
	only: āčēģīķļņšūž: lv
	only: ąčęėįšųūž: lt
	only: áéíóúüñ: cl
	only: āēīōū: nz
	only: áéíóú: ie
	# study
	mixed: latin cyrillic greek armenian: az cf fm ga ge gg gq je ml st tk to uz vu ws
	# closed; jp, cn, tw and kr take Han, kana and Hangul, which are not generated (repository: ja-JP, zh, ko-KR)
	none: : me ai us uk au nl sk hr mx in za by kz im md mk al jp cn tw kr
	# general
	none: : ru gov mil edu int arpa zm ng ke gh pk bd lk np ph sg cz
`

var registries = sync.OnceValue(func() map[string]registry {
	table := make(map[string]registry)
	for line := range strings.Lines(registryScripts) {
		kind, rest, found := strings.Cut(strip(line), ":")
		if !found {
			continue
		}
		names, suffixes, _ := strings.Cut(rest, ":")
		entry := registry{}
		switch kind = strings.TrimSpace(kind); kind {
		case "only":
			entry = nationalRegistry(glyphTable{"": strings.TrimSpace(names)})
		default:
			entry.national, entry.mixed = kind == "some", kind == "mixed"
			for name := range strings.FieldsSeq(names) {
				entry.scripts |= scriptNames[name]
			}
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
