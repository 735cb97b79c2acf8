package fuzzer

import (
	"slices"
	"strings"
)

// named yields the parts together, which may hold dots, under suffix.
func (g *generator) named(yield nameFunc, suffix string, parts ...string) bool {
	g.joined = g.joined[:0]
	for _, part := range parts {
		for _, r := range part {
			g.joined = append(g.joined, r)
		}
	}
	return g.emit("", g.joined, suffix, yield)
}

// dotHyphen: see [DotHyphen].
func (g *generator) dotHyphen(yield nameFunc) bool {
	suffix := g.seed.PublicSuffix
	own, last, several := cutLast(suffix)
	left := g.seed.Label
	if g.seed.Subdomain != "" {
		left = displayName(g.seed.Subdomain) + "." + left
	}
	// Dots inside subdomain and label: the suffix stays.
	if !g.hyphenDots(yield, left, suffix) {
		return false
	}
	if !several {
		return true
	}
	// Dots of the suffix become hyphens too; its last label stays.
	return g.hyphenDots(yield, left+"."+own, last)
}

// hyphenDots yields left with one of its dots, and with all, as hyphens.
func (g *generator) hyphenDots(yield nameFunc, left, suffix string) bool {
	for i, c := range left {
		if c == '.' && !g.named(yield, suffix, left[:i], "-", left[i+1:]) {
			return false
		}
	}
	if strings.Contains(left, ".") {
		return g.named(yield, suffix, strings.ReplaceAll(left, ".", "-"))
	}
	return true
}

// cutLast cuts the last label off a suffix.
func cutLast(suffix string) (own, last string, several bool) {
	if i := strings.LastIndexByte(suffix, '.'); i >= 0 {
		return suffix[:i], suffix[i+1:], true
	}
	return "", suffix, false
}

// displayName turns the A-labels of a name into U-labels, where it can.
func displayName(name string) string {
	labels := strings.Split(name, ".")
	for i, label := range labels {
		labels[i] = displayWord(label)
	}
	return strings.Join(labels, ".")
}

// boundaryHyphen: see [BoundaryHyphen].
func (g *generator) boundaryHyphen(yield nameFunc) bool {
	own, last, several := cutLast(g.seed.PublicSuffix)
	if several {
		dashed := g.seed.Label + "-" + strings.ReplaceAll(displayName(own), ".", "-")
		if !g.named(yield, last, dashed) {
			return false
		}
		if last != "com" && !g.named(yield, "com", dashed) {
			return false
		}
	}
	return g.joints(func(label []rune) bool { return g.emit("", label, g.seed.PublicSuffix, yield) })
}

// joints yields the label with a hyphen between two of its words, for each
// place that has none, then between all of them if there are several.
func (g *generator) joints(yield editFunc) bool {
	var places []int
	starts := g.wordStarts()
	for i := 1; i < len(starts); i++ {
		if g.label[starts[i]-1] != '-' {
			places = append(places, starts[i])
		}
	}
	for _, at := range places {
		g.edited = appendSplice(g.edited[:0], g.label, at, at, hyphen)
		if !yield(g.edited) {
			return false
		}
	}
	if len(places) < 2 {
		return true
	}
	g.edited = g.edited[:0]
	for i, r := range g.label {
		if slices.Contains(places, i) {
			g.edited = append(g.edited, '-')
		}
		g.edited = append(g.edited, r)
	}
	return yield(g.edited)
}

// targets are the suffixes of the pass, or the embedded common ones.
func (g *generator) targets() []string {
	if len(g.suffixes) > 0 {
		return g.suffixes
	}
	return commonSuffixes()
}

// tldInLabel: see [TLDInLabel].
func (g *generator) tldInLabel(yield nameFunc) bool {
	suffix := g.seed.PublicSuffix
	for _, own := range tldSpellings(suffix) {
		for _, glue := range []string{"", "-"} {
			if !g.named(yield, suffix, g.seed.Label, glue, own) {
				return false
			}
			for _, target := range g.targets() {
				if target != suffix && !g.named(yield, target, g.seed.Label, glue, own) {
					return false
				}
			}
		}
	}
	for _, target := range g.targets() {
		if target == suffix {
			continue
		}
		for _, spelling := range tldSpellings(target) {
			if !g.named(yield, suffix, g.seed.Label, spelling) ||
				!g.named(yield, suffix, g.seed.Label, "-", spelling) {
				return false
			}
		}
	}
	return true
}

// tldSpellings are the ways in which a suffix stands inside a label: co.uk as
// couk and co-uk.
func tldSpellings(suffix string) []string {
	if strings.Contains(suffix, acePrefix) {
		suffix = displayName(suffix)
	}
	if !strings.Contains(suffix, ".") {
		return []string{suffix}
	}
	return []string{strings.ReplaceAll(suffix, ".", ""), strings.ReplaceAll(suffix, ".", "-")}
}
