package fuzzer

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/publicsuffix"
)

// wrongSecondLevel: see [WrongSecondLevel].
func (g *generator) wrongSecondLevel(yield nameFunc) bool {
	suffix := g.seed.PublicSuffix
	_, last, _ := cutLast(suffix)
	for _, sibling := range home().suffixes[home().countries[last]] {
		if _, end, _ := cutLast(sibling); sibling == suffix || end != last {
			continue // an IDN ccTLD of the country is tld-swap's
		}
		if !g.emit(g.seed.Subdomain, g.label, sibling, yield) {
			return false
		}
	}
	return true
}

// tlds are the embedded suffixes of one label, likeliest first.
var tlds = sync.OnceValue(func() []string {
	return slices.DeleteFunc(WideSuffixes(), func(suffix string) bool { return strings.Contains(suffix, ".") })
})

// tldAppend: see [TLDAppend]. The TLDs are those of the pass and the embedded
// ones. Of a suffix of several labels the last is tried alone too: co.uk →
// uk.com.
func (g *generator) tldAppend(yield nameFunc) bool {
	suffix := g.seed.PublicSuffix
	_, last, several := cutLast(suffix)
	try := func(tld string) bool {
		if strings.Contains(tld, ".") {
			return true
		}
		if whole := suffix + "." + tld; isSuffix(whole) && !g.emit(g.seed.Subdomain, g.label, whole, yield) {
			return false
		}
		if !several {
			return true
		}
		whole := last + "." + tld
		return !isSuffix(whole) || g.emit(g.seed.Subdomain, g.label, whole, yield)
	}
	for _, list := range [][]string{g.suffixes, tlds()} {
		for _, tld := range list {
			if !try(tld) {
				return false
			}
		}
	}
	return true
}

// isSuffix reports whether name is a public suffix that the list names, in
// either section.
func isSuffix(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(name)
	return suffix == name && (icann || strings.Contains(name, "."))
}

// tldBitflip: see [TLDBitflip]. The dot (0x2E) is one bit from n (0x6E); its
// other neighbours are no characters of a name. In the suffix only what gives
// an existing one counts.
func (g *generator) tldBitflip(yield nameFunc) bool {
	suffix := []byte(g.seed.PublicSuffix)
	for i, c := range suffix {
		for bit := range 8 {
			flipped := c ^ 1<<bit
			if flipped >= 0x80 || flipped != '.' && !isLDH(rune(flipped)) {
				continue
			}
			suffix[i] = flipped
			other := string(suffix)
			suffix[i] = c
			if validSuffix(other) && !g.emit(g.seed.Subdomain, g.label, other, yield) {
				return false
			}
		}
	}
	return g.dotFlips(yield)
}

// validSuffix reports whether a flipped suffix exists.
func validSuffix(suffix string) bool {
	clean, bad := normalize(suffix, true)
	return bad == nil && clean == suffix && isSuffix(suffix)
}

// dotFlips flips dots to n and, inside the label, n to dots.
func (g *generator) dotFlips(yield nameFunc) bool {
	left := g.seed.Label
	if g.seed.Subdomain != "" {
		left = displayName(g.seed.Subdomain) + "." + left
	}
	for i := range len(left) {
		if left[i] == '.' && !g.named(yield, g.seed.PublicSuffix, left[:i], "n", left[i+1:]) {
			return false
		}
		if left[i] == 'n' && i > 0 && i < len(left)-1 && !g.named(yield, g.seed.PublicSuffix, left[:i], ".", left[i+1:]) {
			return false
		}
	}
	own, last, several := cutLast(g.seed.PublicSuffix)
	if !several {
		return true
	}
	// example.co.uk → examplenco.uk
	return g.named(yield, last, left, "n", displayName(own))
}

//go:embed lists/giveaway.txt
var giveAwayText string

var giveAwayHosts = sync.OnceValue(func() []string {
	list, _, _ := ReadSuffixes(strings.NewReader(giveAwayText))
	return list
})

// GiveAwayHosts returns the embedded hosts under which anybody gets a name for
// little or nothing (web.app, us.com), most abused first. Each is a public
// suffix of the private section. The slice is the caller's.
func GiveAwayHosts() []string { return slices.Clone(giveAwayHosts()) }

// giveAway: see [GiveAway]. The seed's suffix joins the label as well: paypal-com.web.app.
func (g *generator) giveAway(yield nameFunc) bool {
	dashed := g.seed.Label + "-" + strings.ReplaceAll(displayName(g.seed.PublicSuffix), ".", "-")
	for _, host := range giveAwayHosts() {
		if host == g.seed.PublicSuffix {
			continue
		}
		if !g.emit("", g.label, host, yield) || !g.named(yield, host, dashed) {
			return false
		}
	}
	return true
}
