package fuzzer

import (
	"maps"
	"math"
	"slices"
	"strings"
)

// Pair is a known squat of a seed.
type Pair struct {
	Seed  Seed
	Squat string // FQDN, A-labels
}

// minBrands is how many brands a key must occur for before it is counted;
// short words, which occur by chance, need one more.
const minBrands = 2

// Evidence is known squats, prepared for counting. It is read-only and safe for
// concurrent use.
type Evidence struct {
	brands []*brandPairs
}

// NewEvidence prepares the pairs.
func NewEvidence(pairs []Pair) *Evidence { return &Evidence{brands: groupPairs(pairs)} }

// Count makes a model of the squats of those seeds that some names; nil is all.
// No brand counts for more than its squats to the power of [Weights.Damp]. A word,
// suffix or pattern that was seen with one brand only is not counted, nor is a word
// that contains a brand.
func (e *Evidence) Count(weights Weights, some func(Seed) bool) *Model {
	brands := slices.Clone(e.brands)
	if some != nil {
		brands = slices.DeleteFunc(brands, func(b *brandPairs) bool { return !some(b.seed) })
	}
	words := learnWords(brands)
	c := counter{model: newModel(weights), brands: map[string]map[string]bool{}, known: knownKeys()}
	hosts := sharedHosts(brands)
	for _, b := range brands {
		all := c.model
		c.model = newModel(weights)
		c.brand(b, words, hosts)
		for _, context := range slices.Sorted(maps.Keys(c.model.tables)) {
			t := c.model.tables[context]
			if c.model.isParent(context) {
				continue
			}
			for _, key := range c.model.keys(context) {
				all.add(context, key, t.counts[key]*math.Pow(t.total, -weights.Damp))
			}
		}
		c.model = all
	}
	c.prune()
	return c.model
}

// brandPairs is what is known of one seed.
type brandPairs struct {
	seed   Seed
	squats []string
	index  *formIndex
	wholes map[string]Algorithm
}

func groupPairs(pairs []Pair) []*brandPairs {
	byName := map[string]*brandPairs{}
	for _, p := range pairs {
		b := byName[p.Seed.FQDN]
		if b == nil {
			b = &brandPairs{seed: p.Seed, index: newFormIndex(p.Seed, rankedAlgorithms()), wholes: wholeNames(p.Seed)}
			byName[p.Seed.FQDN] = b
		}
		b.squats = append(b.squats, p.Squat)
	}
	brands := make([]*brandPairs, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		slices.Sort(byName[name].squats)
		brands = append(brands, byName[name])
	}
	return brands
}

// wholeNames are the names of the algorithms that do not edit the label alone.
func wholeNames(seed Seed) map[string]Algorithm {
	g := newGenerator(seed)
	names := map[string]Algorithm{}
	for _, a := range rankedAlgorithms() {
		if makesNames(a) {
			g.run(a, func(name []byte) bool {
				if text := string(name); names[text] == Original && site(text) != site(seed.FQDN) {
					names[text] = a
				}
				return true
			})
		}
	}
	return names
}

// wholeKey is the model's pattern for an algorithm that makes whole names.
func wholeKey(a Algorithm) string { return "@" + a.String() }

// cuts yields the ways to cut a squat into a label and a suffix: at the public
// suffix, and behind the first label.
func cuts(squat string, yield func(label, suffix string) bool) {
	_, label, suffix, ok := split(squat)
	if ok && !yield(display(label), suffix) {
		return
	}
	if first, rest, found := strings.Cut(squat, "."); found && ok && rest != suffix && strings.Contains(rest, ".") {
		yield(display(first), rest)
	}
}

// display returns an A-label as a U-label.
func display(label string) string {
	if !strings.HasPrefix(label, acePrefix) {
		return label
	}
	text, err := registration.ToUnicode(label)
	if err != nil {
		return label
	}
	return text
}

// learnWords returns the words of the embedded lists and those that stand
// between hyphens, or alone beside the brand, in squats of several brands.
func learnWords(brands []*brandPairs) []string {
	seen := map[string]map[string]bool{}
	for _, b := range brands {
		for _, squat := range b.squats {
			cuts(squat, func(label, _ string) bool {
				i := strings.Index(label, b.seed.Label)
				if i < 0 {
					return true
				}
				for _, side := range []string{label[:i], label[i+len(b.seed.Label):]} {
					for token := range strings.SplitSeq(side, "-") {
						if seen[token] == nil {
							seen[token] = map[string]bool{}
						}
						seen[token][b.seed.FQDN] = true
					}
				}
				return false
			})
		}
	}
	words := slices.Clone(priorWords().list)
	for token, of := range seen {
		need := minBrands
		if len(token) <= 3 {
			need++
		}
		if len(token) >= 2 && len(of) >= need && isASCII(token) && strings.Trim(token, "0123456789") != "" {
			words = append(words, token)
		}
	}
	words = slices.DeleteFunc(words, func(w string) bool {
		return slices.ContainsFunc(brands, func(b *brandPairs) bool { return strings.Contains(w, b.seed.Label) })
	})
	slices.Sort(words)
	return slices.Compact(words)
}

// sharedHosts are names under which squats of several brands are hosts, though
// the public suffix list does not know them for suffixes.
func sharedHosts(brands []*brandPairs) map[string]bool {
	seen := map[string]map[string]bool{}
	for _, b := range brands {
		for _, squat := range b.squats {
			cuts(squat, func(_, suffix string) bool {
				if seen[suffix] == nil {
					seen[suffix] = map[string]bool{}
				}
				seen[suffix][b.seed.FQDN] = true
				return true
			})
		}
	}
	shared := map[string]bool{}
	for suffix, of := range seen {
		if len(of) >= minBrands {
			shared[suffix] = true
		}
	}
	return shared
}

// counter fills a model.
type counter struct {
	model  *Model
	brands map[string]map[string]bool // which brands a key was seen with, by context and key
	known  map[string]map[string]bool // keys of the embedded lists, by context
}

func (c *counter) add(context, key, brand string, n float64) {
	c.model.add(context, key, n)
	root, _, _ := strings.Cut(context, "/")
	id := root + "\t" + key
	if c.brands[id] == nil {
		c.brands[id] = map[string]bool{}
	}
	c.brands[id][brand] = true
}

func (c *counter) brand(b *brandPairs, words []string, hosts map[string]bool) {
	lexicon := newLexicon(words, ownWords(b.seed))
	suffixKeys := map[string]string{}
	for _, pair := range ownSuffixes(b.seed) {
		suffixKeys[pair[1]] = pair[0]
	}
	n := 1.0
	where := region(b.seed)
	for _, squat := range b.squats {
		if a, found := b.wholes[squat]; found {
			c.add("pattern/"+where, wholeKey(a), b.seed.FQDN, n)
			continue
		}
		var best reading
		found, under := false, ""
		cuts(squat, func(label, suffix string) bool {
			if _, known := suffixKeys[suffix]; !known && !hosts[suffix] && !c.known["suffix"][suffix] && icannSuffix(squat) != suffix {
				return true
			}
			best, found = b.index.read(label, lexicon)
			under = suffix
			return !found
		})
		if !found {
			c.model.add("pattern/"+where, unreadKey, n)
			continue
		}
		c.reading(b.seed, &best, under, suffixKeys, n)
	}
}

func (c *counter) reading(seed Seed, r *reading, suffix string, suffixKeys map[string]string, n float64) {
	where, name := "/"+region(seed), seed.FQDN
	pattern := r.pattern()
	c.add("pattern"+where, pattern, name, n)
	c.add("brand"+where, brandClass(&r.form), name, n)
	c.add("side/left"+where, sideKey(r.left), name, n)
	c.add("side/right"+where, sideKey(r.right), name, n)
	key, known := suffixKeys[suffix]
	if !known {
		key = suffix
	}
	c.add("suffix/"+group(pattern)+where, key, name, n)
	if r.form.kind != "" {
		place := "/bare"
		if len(pattern) > 1 {
			place = "/beside"
		}
		c.add(editTable(brandClass(&r.form))+place+where, r.form.kind, name, n)
	}
	for _, u := range append(slices.Clone(r.left), r.right...) {
		if u.class[0] == 'x' {
			for i := range u.text {
				c.add("letter", u.text[i:i+1], name, n)
			}
		}
	}
	for _, u := range append(slices.Clone(r.left), r.right...) {
		if known, found := priorWords().byText[u.key]; found && u.class == "w" {
			c.add("theme"+where, known.theme, name, n)
		}
	}
	for side, units := range map[string][]unit{"left": r.left, "right": r.right} {
		for _, u := range units {
			if u.class == "w" {
				c.add("word/"+side+where, u.key, name, n)
			}
		}
	}
}

// onceShare is how much of the count of a key that one brand alone has is
// taken for a sign of keys not seen yet.
var onceShare = map[string]float64{"word": 0.5, "suffix": 0.8}

// prune moves what was seen with too few brands to the key "?".
func (c *counter) prune() {
	for context, t := range c.model.tables {
		root, _, _ := strings.Cut(context, "/")
		if strings.HasPrefix(root, "edit-") {
			continue
		}
		for _, key := range c.model.keys(context) {
			if key[0] == '?' || key[0] == '{' || key[0] == '@' || key == unreadKey || len(c.brands[root+"\t"+key]) >= minBrands {
				continue
			}
			unseen := t.counts[key] // all of it, but for keys that the embedded lists have
			if c.known[root][key] {
				unseen *= onceShare[root]
			}
			t.counts["?"] += unseen
			if t.counts[key] -= unseen; t.counts[key] <= 0 {
				delete(t.counts, key)
			}
		}
	}
}

// knownKeys are the words and suffixes of the embedded lists: to count them
// fits no single name.
func knownKeys() map[string]map[string]bool {
	words, suffixes := map[string]bool{}, map[string]bool{}
	for _, w := range priorWords().list {
		words[w] = true
	}
	weights := DefaultWeights()
	for s := range priorSuffixes(&weights) {
		suffixes[s] = true
	}
	return map[string]map[string]bool{"word": words, "suffix": suffixes}
}
