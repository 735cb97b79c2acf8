package resolver

import "strings"

// Longest name, without its trailing dot and as a message holds it (RFC 1035
// section 2.3.4).
const (
	maxName     = 253
	maxWireName = 255
)

// canonicalName returns name in lower case with a trailing dot, and whether it
// is one that can be asked: labels of 1 to 63 letters, digits, hyphens and
// underscores, 253 bytes in all (RFC 1035 section 2.3.4), or the root. Names
// with U-labels are not: they have to be turned into A-labels first.
func canonicalName(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return ".", true
	}
	if len(name) > maxName {
		return "", false
	}
	label, upper := 0, false
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return "", false
			}
			label = 0
			continue
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case 'A' <= c && c <= 'Z':
			upper = true
		default:
			return "", false
		}
		if label++; label > 63 {
			return "", false
		}
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name + ".", label > 0
}
