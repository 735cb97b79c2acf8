package fuzzer

import (
	"fmt"
	"strings"
)

// Algorithm is one way of making a look-alike. The set is closed; the order of
// the constants decides which algorithm gives its name to a variant that
// several reach. The zero value is [Original]. In the examples the seed is
// example.com unless another is named. docs/FUZZERS.md is the table of all.
type Algorithm uint8

const (
	// Original is the seed itself. Only the dnstwist profile lists it.
	Original Algorithm = iota
	// Addition appends a letter or digit to the label, and to every part of
	// a hyphenated one but the last: examples.com; my-bank.co.uk → myx-bank.co.uk.
	Addition
	// Bitsquatting flips one bit of one character, as a memory fault would:
	// ezample.com (x ^ 0x02). Of an IDN the bits of the A-label flip, for that
	// is what memory holds; dnstwist flips bits in the U-label.
	Bitsquatting
	// Cyrillic writes the whole label in Cyrillic look-alikes; nothing comes
	// out when one of its characters (f, n, r, u, z, a digit, a hyphen) has
	// none: xn--80ajb1au1a38g.com.
	Cyrillic
	// Homoglyph swaps one or two glyphs, or pairs of them, for look-alikes,
	// ASCII and (where the suffix takes IDNs) accented: exarnple.com,
	// xn--exmple-qta.com (exámple).
	Homoglyph
	// Hyphenation puts a hyphen between two characters: ex-ample.com.
	Hyphenation
	// Insertion adds a key's neighbour before or after a character that is
	// not the last, on QWERTY, QWERTZ and AZERTY: exqample.com.
	Insertion
	// Omission leaves out one character: exmple.com.
	Omission
	// Plural puts an s (es after s, x, z) after a character inside the
	// label, as in the first word of a two-word brand: examsple.com;
	// facebookpay.com → facebookspay.com.
	Plural
	// Repetition doubles a character: exxample.com.
	Repetition
	// Replacement presses a neighbouring key instead: exqmple.com.
	Replacement
	// Subdomain cuts the label in two with a dot: ex.ample.com. The
	// registrable domain is then ample.com.
	Subdomain
	// Transposition swaps two neighbouring characters: exapmle.com.
	Transposition
	// VowelSwap puts another vowel in a vowel's place: exemple.com.
	VowelSwap
	// Dictionary joins a word of the pass to the label, at either end, with
	// and without hyphen: login-example.com, examplelogin.com; the first or
	// last part of a hyphenated label makes room for a word as well.
	Dictionary
	// TLDSwap puts a suffix of the pass in place of the seed's: example.net.
	TLDSwap
	// Various moves suffix and subdomain into the label: examplecom.com;
	// sbi.bank.in → sbi.in; www.example.com → wwwexample.com.
	Various

	// The sixteen above are dnstwist's; those below are not. Each names the
	// source of its idea.

	// Edit makes every label at one step of letters, digits and hyphens:
	// insertion, substitution, deletion, transposition of neighbours
	// (Damerau 1964): exampble.com, axample.com.
	Edit
	// DoubleReplacement replaces both of a doubled character by the same
	// neighbouring key (URLCrazy, AIL's ail-typo-squatting): google.com → giigle.com.
	DoubleReplacement
	// Prefix puts a letter or digit in front of the label and of each word
	// inside it (AIL's addition): aexample.com; facebook.com → faceabook.com.
	Prefix
	// Leet writes digits for the letters they resemble (a4 b8 e3 g9 i1 o0 s5
	// t7 z2) or back: one, two, or all of them (leetspeak): ex4mple.com, 3x4mpl3.com.
	Leet
	// AllOccurrences makes one change to every occurrence of a character that
	// occurs more than once: a look-alike, a digit, a neighbouring key, another
	// vowel, nothing (seen in phishing feeds): google.com → g00gle.com.
	AllOccurrences
	// VowelShuffle lets the label's own vowels change places: all orders of up
	// to five vowels, of more any two (twistrs): google.com → geoglo.com.
	VowelShuffle
	// Sound writes what sounds alike: homophones among the label's words and
	// letter groups such as f/ph, ck/k, s/z, ei/ie (Nikiforakis et al.,
	// "Soundsquatting", ISC 2014): facebook.com → phacebook.com.
	Sound
	// Misspelling writes a word inside the label as people often misspell it
	// (URLCrazy, AIL; own list): businessbank.com → buisnessbank.com.
	Misspelling
	// NumberWord turns a number inside the label into its word and back,
	// for/4 and to/2 among them (AIL's numeral swap): 4chan.org → fourchan.org.
	NumberWord
	// WordOrder puts the two or three words of a label in another order, with
	// and without hyphens (seen in phishing feeds): facebook.com → bookface.com.
	WordOrder
	// SingularPlural turns a word of the label into its plural or singular by
	// the rules of English (URLCrazy; dnstwist's plural knows neither): citybank.com
	// → citiesbank.com, examples.com → example.com.
	SingularPlural
	// Combosquat joins a word of an embedded list to the label, at either end,
	// with and without hyphen (Kintis et al., "Hiding in Plain Sight", CCS
	// 2017): example-login.com, secureexample.com.
	Combosquat
	// Dehyphenation takes hyphens out of the label, one or all, or moves one
	// (URLCrazy's strip dashes): my-bank.com → mybank.com, myb-ank.com.
	Dehyphenation
	// HostDot loses the dot after a common host name, or makes it a hyphen
	// (Wang et al., "Strider Typo-Patrol", SRUTI 2006): wwwexample.com, mail-example.com.
	HostDot
	// Confusable swaps one character or pair for one that Unicode calls
	// confusable (UTS #39), if the registry takes it: xn--exmple-cxc.com
	// (exɑmple). Where a registry does not keep scripts apart, the look-alike
	// may be of another script than the label.
	Confusable
	// WholeScript writes the whole label in look-alikes of one script,
	// Cyrillic, Greek, Armenian or beyond-ASCII Latin, if the registry takes it
	// (Zheng 2017, the "аррӏе.com" case; UTS #39): apple.com → xn--80ak6aa92e.com.
	WholeScript
	// Diacritic puts a mark, or two, on one letter of ASCII, by all letters that
	// Unicode decomposes to it (UAX #15; dnstwist has a choice of them), if the
	// registry takes it: xn--exmple-qva.com is exãmple, xn--exmple-6qb.com exȧmple.
	Diacritic
	// DotHyphen makes hyphens of dots left of the last label, one or all (AIL's
	// dot to dash): www.example.co.uk → www-example.co.uk, example-co.uk.
	DotHyphen
	// TLDInLabel puts a TLD into the label, with and without hyphen: the seed's
	// own under every suffix of the pass, any of theirs under the seed's
	// (dnstwist's various, which knows the seed's own): examplecom.com, example-com.net.
	TLDInLabel
	// BoundaryHyphen puts a hyphen at a boundary that readers know without one:
	// between the label and a suffix of several labels, and between the label's
	// words, each and all (seen in phishing feeds): sbi.bank.in → sbi-bank.in; facebook.com → face-book.com.
	BoundaryHyphen
	// WrongSecondLevel puts a sibling of the same country in the suffix's
	// place (URLCrazy's wrong SLD): example.co.uk → example.org.uk, example.uk.
	WrongSecondLevel
	// TLDAppend appends a TLD where suffix and TLD together are a public suffix
	// again (AIL's add TLD): google.com → google.com.co.
	TLDAppend
	// TLDBitflip flips one bit of the dots and the suffix, as a memory fault
	// would, n ↔ dot included (Schultz, "Examining the Bitsquatting Attack Surface", DEF CON 2013):
	// example.co → example.so, windows.com → wi.dows.com.
	TLDBitflip
	// GiveAway takes the label as a name under a host that gives names away,
	// by the private section of the public suffix list (AIL's dynamic DNS): paypal.com → paypal.web.app,
	// paypal.us.com.
	GiveAway

	numAlgorithms = iota
)

// numDNSTwist counts [Original] and the sixteen of dnstwist.
const numDNSTwist = int(Various) + 1

var algorithmNames = [numAlgorithms]string{
	"*original", "addition", "bitsquatting", "cyrillic", "homoglyph", "hyphenation",
	"insertion", "omission", "plural", "repetition", "replacement", "subdomain",
	"transposition", "vowel-swap", "dictionary", "tld-swap", "various",
	"edit", "double-replacement", "prefix", "leet", "all-occurrences", "vowel-shuffle", "sound",
	"misspelling", "number-word", "word-order", "singular-plural", "combosquat", "dehyphenation",
	"host-dot", "confusable", "whole-script", "diacritic", "dot-hyphen", "tld-in-label", "boundary-hyphen",
	"wrong-second-level", "tld-append", "tld-bitflip", "give-away",
}

// Algorithms returns all algorithms in canonical order, without [Original].
func Algorithms() []Algorithm { return algorithmsTo(numAlgorithms) }

// DNSTwistAlgorithms returns the sixteen algorithms that dnstwist has too, in
// canonical order, without [Original].
func DNSTwistAlgorithms() []Algorithm { return algorithmsTo(numDNSTwist) }

func algorithmsTo(end int) []Algorithm {
	list := make([]Algorithm, 0, end-1)
	for a := Original + 1; int(a) < end; a++ {
		list = append(list, a)
	}
	return list
}

// editsLabel reports whether a changes nothing but the registrable label, so
// that its results can stand under any suffix. The others make whole names.
func (a Algorithm) editsLabel() bool {
	switch a {
	case TLDSwap, Various, DotHyphen, TLDInLabel, BoundaryHyphen, WrongSecondLevel, TLDAppend, TLDBitflip, GiveAway:
		return false
	}
	return a < numAlgorithms
}

// String returns the name that users type and events carry, such as "tld-swap".
func (a Algorithm) String() string {
	if a >= numAlgorithms {
		return fmt.Sprintf("algorithm(%d)", uint8(a))
	}
	return algorithmNames[a]
}

// MarshalText implements [encoding.TextMarshaler] with the name.
func (a Algorithm) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it accepts what [ParseAlgorithm] does.
func (a *Algorithm) UnmarshalText(text []byte) error {
	parsed, err := ParseAlgorithm(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// AlgorithmError reports a name that is no algorithm.
type AlgorithmError struct {
	Name string // as given, "" when the list was empty
}

func (e *AlgorithmError) Error() string {
	if e.Name == "" {
		return "no algorithm is named"
	}
	return fmt.Sprintf("%s is no algorithm", quoted(e.Name))
}

// Hint lists the valid names.
func (e *AlgorithmError) Hint() string {
	return "valid names: " + strings.Join(algorithmNames[1:], ", ")
}

// ParseAlgorithm reads one name, in any case. It accepts "*original" too.
// The error is an [*AlgorithmError].
func ParseAlgorithm(name string) (Algorithm, error) {
	clean := strings.ToLower(strings.TrimSpace(name))
	for i, known := range algorithmNames {
		if clean == known {
			return Algorithm(i), nil
		}
	}
	return 0, &AlgorithmError{Name: name}
}

// ParseAlgorithms reads a comma-separated list. Repeats are dropped, the order
// is kept. The error is an [*AlgorithmError].
func ParseAlgorithms(list string) ([]Algorithm, error) {
	var algorithms []Algorithm
	var seen algorithmSet
	for name := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(name) == "" {
			continue
		}
		a, err := ParseAlgorithm(name)
		if err != nil {
			return nil, err
		}
		if !seen.has(a) {
			seen = seen.with(a)
			algorithms = append(algorithms, a)
		}
	}
	if len(algorithms) == 0 {
		return nil, &AlgorithmError{}
	}
	return algorithms, nil
}

// algorithmSet is a bit set of algorithms.
type algorithmSet uint64

func (s algorithmSet) has(a Algorithm) bool          { return s&(1<<a) != 0 }
func (s algorithmSet) with(a Algorithm) algorithmSet { return s | 1<<a }
func (s algorithmSet) slice() (algorithms []Algorithm) {
	for a := Original; a < numAlgorithms; a++ {
		if s.has(a) {
			algorithms = append(algorithms, a)
		}
	}
	return algorithms
}
