package fuzzer

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"
)

// maxInputLen bounds what is looked at when a name or URL is parsed. No valid
// name comes near it; a URL with a longer query is refused, not cut.
const maxInputLen = 16 << 10

// NameError says why a text is no domain name. Error is one sentence without
// advice; Hint is the advice.
type NameError struct {
	Input  string // as given, shortened and with control characters escaped
	Reason string // completes "INPUT …": "is an IP address"
	hint   string
}

func (e *NameError) Error() string { return e.Input + " " + e.Reason }

// Hint says what to do about it.
func (e *NameError) Hint() string { return e.hint }

// fault is a reason and its advice before the input is known.
type fault struct{ reason, hint string }

var (
	faultEmpty   = &fault{"is empty", "name a domain, such as example.com"}
	faultLong    = &fault{"is longer than 253 characters", "name the domain alone, without path or query"}
	faultIP      = &fault{"is an IP address", "name the domain that points to it, such as example.com"}
	faultNumber  = &fault{"ends in a number, which no top-level domain does", "name a domain, such as example.com"}
	faultTLD     = &fault{"ends in a single character, which no top-level domain does", "check for a missing end, such as .com"}
	faultSingle  = &fault{"has a single label", "add the suffix it is registered under, such as .com"}
	faultGap     = &fault{"has a space inside", "give one domain per argument or line"}
	faultLabel   = &fault{"has an empty label", "check for a doubled or leading dot"}
	faultPort    = &fault{"has a colon that no port number follows", "name the domain alone, such as example.com"}
	faultUTF8    = &fault{"is not valid UTF-8", "write the name in UTF-8 or as A-labels (xn--…)"}
	faultLabel63 = &fault{"has a label longer than 63 octets", "check for a missing dot; accented letters count as several octets"}
)

// dots replaces the other full stops that an input method may give (RFC 3490 section 3.1).
var dots = strings.NewReplacer("\u3002", ".", "\uFF0E", ".", "\uFF61", ".")

// NormalizeFQDN returns name as a lower-case A-label FQDN without its trailing
// dot. Unlike [ParseSeed] it takes any name that the DNS can be asked about: a
// public suffix, and labels in A-label form that IDNA 2008 would not register
// (emoji domains, for instance), for such names exist. Refused are IP
// addresses, single labels that are no TLD, characters other than letters,
// digits and hyphens, labels over 63 and names over 253 octets. U-labels are
// lower-cased, composed (NFC) and must be valid. The error is a [*NameError].
func NormalizeFQDN(name string) (string, error) {
	if isNormal(name) {
		return name, nil
	}
	ascii, bad := normalize(strings.TrimSpace(name), false)
	if bad == nil && !strings.Contains(ascii, ".") {
		if _, icann := publicsuffix.PublicSuffix(ascii); !icann {
			bad = faultSingle
		}
	}
	if bad != nil {
		return "", &NameError{Input: quoted(name), Reason: bad.reason, hint: bad.hint}
	}
	return ascii, nil
}

// isNormal reports whether name is what NormalizeFQDN would make of it. False
// says nothing; but of nearly all names it is true, and costs a tenth.
func isNormal(name string) bool {
	if len(name) > maxNameLen {
		return false
	}
	start, letters := 0, true // of the label; it is of letters only
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z':
		case '0' <= c && c <= '9':
			letters = false
		case c == '-':
			if i == start {
				return false
			}
			letters = false
		case c == '.':
			if i == start || i-start > maxLabelLen || name[i-1] == '-' {
				return false
			}
			start, letters = i+1, true
		default:
			return false
		}
	}
	// A last label of letters is no number and no part of an address.
	return start > 0 && letters && start < len(name) && len(name)-start <= maxLabelLen
}

// normalize does the work of NormalizeFQDN on a bare host. strict asks that
// A-labels be valid under IDNA 2008 too.
func normalize(host string, strict bool) (string, *fault) {
	if bad := checkText(host); bad != nil {
		return "", bad
	}
	host = dots.Replace(host)
	host = norm.NFC.String(strings.ToLower(host))
	host = strings.TrimSuffix(host, ".")
	if isAddress(host) {
		return "", faultIP
	}
	name := make([]byte, 0, maxNameLen+1)
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return "", faultLabel
		}
		if len(name) > 0 {
			name = append(name, '.')
		}
		start := len(name)
		var bad *fault
		if name, bad = appendChecked(name, label, strict); bad != nil {
			return "", bad
		}
		last = string(name[start:])
	}
	switch {
	case len(name) > maxNameLen:
		return "", faultLong
	case isNumber(last):
		return "", faultNumber
	case strict && len(last) == 1:
		return "", faultTLD
	}
	return string(name), nil
}

// checkText refuses what no table need be asked about.
func checkText(host string) *fault {
	switch {
	case host == "":
		return faultEmpty
	case len(host) > maxInputLen:
		return faultLong
	case !utf8.ValidString(host):
		return faultUTF8
	case strings.ContainsFunc(host, unicode.IsSpace):
		return faultGap
	}
	return nil
}

// appendChecked appends one label and explains a refusal.
func appendChecked(dst []byte, label string, strict bool) ([]byte, *fault) {
	runes := []rune(label)
	ldh := true
	for _, r := range runes {
		if r < 0x80 && !isLDH(r) {
			return dst, &fault{
				"has a character that domain names cannot have: " + strconv.QuoteRune(r),
				"use letters, digits and hyphens, or U-labels such as münchen.de",
			}
		}
		ldh = ldh && r < 0x80
	}
	switch {
	case ldh && len(runes) > maxLabelLen:
		return dst, faultLabel63
	case runes[0] == '-' || runes[len(runes)-1] == '-':
		return dst, &fault{"has a label that begins or ends with a hyphen: " + quoted(label), "remove the hyphen"}
	case ldh && !strict:
		return append(dst, label...), nil
	}
	dst, ok := appendLabel(dst, runes)
	if !ok {
		return dst, &fault{
			"has a label that is not valid under IDNA 2008 (RFC 5891) or too long: " + quoted(label),
			"check the spelling; a label holds at most 63 octets once encoded",
		}
	}
	return dst, nil
}

func isAddress(host string) bool {
	if i := strings.IndexByte(host, '%'); i >= 0 {
		host = host[:i] // an IPv6 zone
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// isNumber reports whether a last label makes a URL parser read the host as an
// IPv4 address: decimal digits, or 0x and hexadecimal ones.
func isNumber(label string) bool {
	digits, hex := strings.CutPrefix(label, "0x")
	return strings.Trim(digits, "0123456789") == "" || hex && strings.Trim(digits, "0123456789abcdef") == ""
}

// hostOf takes the host out of a URL, or of a name with port, path or userinfo.
func hostOf(input string) (string, *fault) {
	s := strings.TrimSpace(input)
	if len(s) > maxInputLen {
		return "", faultLong
	}
	if scheme, rest, found := strings.Cut(s, "://"); found && isScheme(scheme) {
		s = rest
	} else {
		s = strings.TrimPrefix(s, "//")
	}
	if i := strings.IndexAny(s, `/?#\`); i >= 0 {
		s = s[:i]
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	if strings.HasPrefix(s, "[") || isAddress(s) {
		return "", faultIP
	}
	host, port, found := strings.Cut(s, ":")
	if !found {
		return s, nil
	}
	if strings.Trim(port, "0123456789") != "" {
		return "", faultPort
	}
	return host, nil
}

// isScheme follows RFC 3986 section 3.1.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if 'a' <= c && c <= 'z' || i > 0 && strings.IndexByte("0123456789+-.", s[i]) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

// maxQuoted bounds, in characters, the part of an input that a message repeats.
const maxQuoted = 64

// quoted makes a text safe to print: in double quotes, shortened, with control
// and invalid characters escaped.
func quoted(s string) string {
	short := s
	if len(s) > maxQuoted*utf8.UTFMax { // runes of a 10 MB line are not worth counting
		short = s[:maxQuoted*utf8.UTFMax]
	}
	n := 0
	for i := range short {
		if n++; n > maxQuoted {
			return strconv.Quote(short[:i]) + "…"
		}
	}
	if len(short) < len(s) {
		return strconv.Quote(short) + "…"
	}
	return strconv.Quote(s)
}
