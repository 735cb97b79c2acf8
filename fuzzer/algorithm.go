package fuzzer

import (
	"fmt"
	"strings"
)

// Algorithm is one way of making a look-alike. The set is closed; the order of
// the constants decides which algorithm gives its name to a variant that
// several reach. The zero value is [Original]. In the examples the seed is
// example.com unless another is named.
type Algorithm uint8

const (
	// Original is the seed itself. Only the dnstwist profile lists it.
	Original Algorithm = iota
	// Addition appends a letter or digit to the label, and to every part of
	// a hyphenated one but the last: examples.com; my-bank.co.uk → myx-bank.co.uk.
	Addition
	// Bitsquatting flips one bit of one character, as a memory fault would:
	// ezample.com (x ^ 0x02).
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

	numAlgorithms = iota
)

var algorithmNames = [numAlgorithms]string{
	"*original", "addition", "bitsquatting", "cyrillic", "homoglyph", "hyphenation",
	"insertion", "omission", "plural", "repetition", "replacement", "subdomain",
	"transposition", "vowel-swap", "dictionary", "tld-swap", "various",
}

// Algorithms returns the sixteen algorithms in canonical order, without [Original].
func Algorithms() []Algorithm {
	all := make([]Algorithm, 0, numAlgorithms-1)
	for a := Original + 1; a < numAlgorithms; a++ {
		all = append(all, a)
	}
	return all
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
type algorithmSet uint32

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
