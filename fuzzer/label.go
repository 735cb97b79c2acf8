package fuzzer

import (
	"strings"
	"sync"
	"unicode"

	"golang.org/x/net/idna"
)

const (
	maxLabelLen = 63  // octets of an A-label, RFC 1035 section 2.3.4
	maxNameLen  = 253 // octets of a name without the root's dot
	acePrefix   = "xn--"
)

// registration applies the rules for registering a label (RFC 5891 section 4).
// The rule on hyphens is ours (see appendLabel): this package counts octets
// where the RFC counts characters.
var registration = idna.New(
	idna.ValidateForRegistration(),
	idna.CheckHyphens(false),
)

// appendLabel appends label, lower case, as an A-label to dst. ok is false, and
// dst unchanged, when IDNA 2008 does not allow it: wrong characters, hyphens at
// an end or in both the third and fourth place (RFC 5891 section 4.2.3.1), an
// A-label that does not decode, more than 63 octets.
//
// Plain letters, digits and hyphens need no table, nor do scripts whose letters
// do not act on each other; all else goes through package idna.
func appendLabel(dst []byte, label []rune) (_ []byte, ok bool) {
	n := len(label)
	if n == 0 || n > maxLabelLen || label[0] == '-' || label[n-1] == '-' {
		return dst, false
	}
	if n >= 4 && label[2] == '-' && label[3] == '-' {
		if label[0] != 'x' || label[1] != 'n' {
			return dst, false
		}
		return appendLabelSlow(dst, label)
	}
	plain := true
	for _, r := range label {
		switch {
		case isLDH(r):
		case isInert(r):
			plain = false
		default:
			return appendLabelSlow(dst, label)
		}
	}
	if !plain && len(acePrefix)+n > maxLabelLen {
		return dst, false // Punycode never has fewer octets than the label has characters
	}
	start := len(dst)
	if plain {
		for _, r := range label {
			dst = append(dst, byte(r))
		}
		return dst, true
	}
	dst = append(dst, acePrefix...)
	dst, ok = appendPunycode(dst, label, maxLabelLen-len(acePrefix))
	if !ok {
		dst = dst[:start]
	}
	return dst, ok
}

func appendLabelSlow(dst []byte, label []rune) ([]byte, bool) {
	text := string(label)
	ascii, err := registration.ToASCII(text)
	if err != nil {
		return dst, false
	}
	if strings.HasPrefix(text, acePrefix) {
		if ascii != text || !isALabel(text) {
			return dst, false
		}
	} else if !pvalid(label) {
		return dst, false
	}
	return append(dst, ascii...), true
}

// isALabel reports whether ace, in form an A-label, is the one spelling of a
// valid U-label (RFC 5890 section 2.3.2.1: a fake A-label is no A-label).
func isALabel(ace string) bool {
	text, err := registration.ToUnicode(ace)
	if err != nil || text == ace || text == "" {
		return false
	}
	label := []rune(text)
	if n := len(label); label[0] == '-' || label[n-1] == '-' || n >= 4 && label[2] == '-' && label[3] == '-' {
		return false
	}
	again, err := registration.ToASCII(text)
	return err == nil && again == ace && pvalid(label)
}

// isLDH reports whether r is a lower-case letter, digit or hyphen of ASCII.
func isLDH(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-'
}

// inertLimit bounds the table of inert letters; look-alikes beyond it (none in
// our tables) take the slow path.
const inertLimit = 0xB000

// inertLetters marks the lower-case and caseless Latin, Greek, Cyrillic and
// Armenian letters that package idna allows by themselves. Such letters run left to right, take part
// in no contextual rule and compose with nothing but combining marks, so a
// label of them and of LDH is valid if each is.
var inertLetters = sync.OnceValue(func() *[inertLimit / 64]uint64 {
	var table [inertLimit / 64]uint64
	for _, script := range []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian} {
		for _, letters := range script.R16 {
			for c := max(int(letters.Lo), 0x80); c <= int(letters.Hi) && c < inertLimit; c += int(letters.Stride) {
				r := rune(c)
				if !unicode.In(r, unicode.Ll, unicode.Lo) {
					continue
				}
				if _, err := registration.ToASCII(string(r)); err == nil {
					table[r/64] |= 1 << (r % 64)
				}
			}
		}
	}
	return &table
})

func isInert(r rune) bool {
	return r < inertLimit && r >= 0x80 && inertLetters()[r/64]&(1<<(r%64)) != 0
}
