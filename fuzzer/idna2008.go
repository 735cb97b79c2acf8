package fuzzer

import "unicode"

// Package idna goes by UTS #46, which allows symbols (emoji) that IDNA 2008
// does not, and leaves the contextual rules for other characters than joiners
// to its caller. This file adds both.

// pvalid reports whether every rune of a U-label is in a class that RFC 5892
// section 2.1 counts as letters and digits, is one of its exceptions (section
// 2.6), or obeys its contextual rule (appendix A).
func pvalid(label []rune) bool {
	for i, r := range label {
		switch {
		case r == '-':
		case r == '\u00DF' || r == '\u03C2' || r == '\u06FD' || r == '\u06FE' || r == '\u0F0B' || r == '\u3007':
		case r == '\u200C' || r == '\u200D': // joiners, which package idna judges
		case contextual(r):
			if !inContext(label, i) {
				return false
			}
		case !unicode.In(r, unicode.Ll, unicode.Lo, unicode.Lm, unicode.Mn, unicode.Mc, unicode.Nd):
			return false
		}
	}
	return true
}

func contextual(r rune) bool {
	switch r {
	case '\u00B7', '\u0375', '\u05F3', '\u05F4', '\u30FB':
		return true
	}
	return isArabicDigit(r) || isExtendedArabicDigit(r)
}

func isArabicDigit(r rune) bool         { return '\u0660' <= r && r <= '\u0669' }
func isExtendedArabicDigit(r rune) bool { return '\u06F0' <= r && r <= '\u06F9' }

// inContext applies the rule of label[i], RFC 5892 appendices A.3 to A.9.
func inContext(label []rune, i int) bool {
	before, after := rune(-1), rune(-1)
	if i > 0 {
		before = label[i-1]
	}
	if i < len(label)-1 {
		after = label[i+1]
	}
	switch r := label[i]; {
	case r == '\u00B7': // middle dot, as in Catalan col·lecció
		return before == 'l' && after == 'l'
	case r == '\u0375': // Greek numeral sign
		return unicode.Is(unicode.Greek, after)
	case r == '\u05F3' || r == '\u05F4': // Hebrew geresh and gershayim
		return unicode.Is(unicode.Hebrew, before)
	case r == '\u30FB': // katakana middle dot
		return anyRune(label, func(r rune) bool {
			return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han)
		})
	case isArabicDigit(r): // the two sets of Arabic digits do not mix
		return !anyRune(label, isExtendedArabicDigit)
	default:
		return !anyRune(label, isArabicDigit)
	}
}

func anyRune(label []rune, is func(rune) bool) bool {
	for _, r := range label {
		if is(r) {
			return true
		}
	}
	return false
}
