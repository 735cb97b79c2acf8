package fuzzer

import (
	"math"
	"slices"
	"strings"
	"sync"
)

// costUnit is how many steps of cost make a bit: a cost is −log2 of a
// probability in eighths of a bit.
const costUnit = 8

// maxCost is where the full profile ends: at most 2^25 names can be likelier.
const maxCost = 25 * costUnit

// costOf turns a probability into a cost. Zero is beyond every limit.
func costOf(p float64) int {
	if p <= 0 {
		return 1 << 20
	}
	return max(0, int(math.Round(-math.Log2(p)*costUnit)))
}

// token is one value of a factor.
type token struct {
	text      string
	cost      int32
	algorithm Algorithm // of a form
	idn       bool      // the text has characters beyond ASCII
}

// factor is a list of tokens by rising cost, with an index by cost.
type factor struct {
	tokens []token
	starts []int32 // of the tokens of cost lowest+i; one entry more at the end
	lowest int
	costs  []int // the distinct costs
}

func newFactor(tokens []token) *factor {
	tokens = slices.DeleteFunc(tokens, func(t token) bool { return t.cost > maxCost })
	slices.SortStableFunc(tokens, func(a, b token) int { return int(a.cost - b.cost) })
	f := &factor{tokens: slices.Clip(tokens)}
	if len(tokens) == 0 {
		return f
	}
	f.lowest = int(tokens[0].cost)
	f.starts = make([]int32, f.highest()-f.lowest+2)
	next := 0
	for i := range f.starts {
		for next < len(tokens) && int(tokens[next].cost) < f.lowest+i {
			next++
		}
		f.starts[i] = int32(next)
	}
	for i := range len(f.starts) - 1 {
		if f.starts[i] < f.starts[i+1] {
			f.costs = append(f.costs, f.lowest+i)
		}
	}
	return f
}

func (f *factor) highest() int { return int(f.tokens[len(f.tokens)-1].cost) }

// at returns the tokens of one cost.
func (f *factor) at(cost int) []token {
	i := cost - f.lowest
	if i < 0 || i >= len(f.starts)-1 {
		return nil
	}
	return f.tokens[f.starts[i]:f.starts[i+1]]
}

// family is a pattern with the factors it is made of, in the order of the text.
// The last factor is the suffix.
type family struct {
	cost    int
	hyphen  []bool // whether a hyphen stands before the factor
	factors []*factor
	brand   int   // which factor is the brand
	plain   bool  // nothing stands beside the brand
	least   []int // the lowest cost of the factors from i on
	most    []int
}

// whole is a family of the names that one algorithm makes by itself.
type whole struct {
	algorithm Algorithm
	cost      int
	names     int // how many it makes, repeats included
}

// builder makes the families of a seed.
type builder struct {
	model   *Model
	seed    Seed
	options RankOptions
	region  string
	words   map[string]*factor // by side
	runs    map[string]*factor // by class
	suffix  map[string]*factor // by group
	brand   *factor
	edits   map[bool]*factor // by whether the brand stands alone
	list    *formList
}

func newBuilder(seed Seed, options RankOptions) *builder {
	b := &builder{
		model: options.Model, seed: seed, options: options, region: "/" + region(seed),
		words: map[string]*factor{}, runs: map[string]*factor{}, suffix: map[string]*factor{}, edits: map[bool]*factor{},
		list: newFormList(seed, options.Algorithms, false),
	}
	b.brand = newFactor([]token{{text: seed.Label, idn: !isASCII(seed.Label)}})
	return b
}

func (b *builder) has(a Algorithm) bool { return slices.Contains(b.options.Algorithms, a) }

// families returns the patterns of the model with their factors.
func (b *builder) families() []family {
	var list []family
	for _, pattern := range b.model.keys("pattern") {
		if pattern[0] == '?' || pattern[0] == '@' {
			continue
		}
		if !b.has(Dictionary) && len(pattern) > 1 || pattern == "B" && !b.has(TLDSwap) {
			continue
		}
		p := b.model.prob(pattern, 0, "pattern", "pattern"+b.region)
		if f, ok := b.family(pattern, costOf(p)); ok {
			list = append(list, f)
		}
	}
	return list
}

func (b *builder) family(pattern string, cost int) (f family, ok bool) {
	f = family{cost: cost, brand: -1, plain: len(pattern) == 1}
	side, hyphen := "left", false
	for class := range strings.FieldsSeq(pattern) {
		var part *factor
		switch class {
		case "-":
			hyphen = true
			continue
		case "B", "E":
			part = b.forms(class, f.plain)
			f.brand, side = len(f.factors), "right"
		case "w":
			part = b.wordsOf(side)
		default:
			part = b.runsOf(class)
		}
		if part == nil || len(part.tokens) == 0 {
			return f, false
		}
		f.factors, f.hyphen = append(f.factors, part), append(f.hyphen, hyphen)
		hyphen = false
	}
	f.factors, f.hyphen = append(f.factors, b.suffixesOf(group(pattern))), append(f.hyphen, false)
	if f.brand < 0 || hyphen || len(f.factors[len(f.factors)-1].tokens) == 0 {
		return f, false
	}
	f.least, f.most = make([]int, len(f.factors)+1), make([]int, len(f.factors)+1)
	for i := len(f.factors) - 1; i >= 0; i-- {
		f.least[i] = f.least[i+1] + f.factors[i].lowest
		f.most[i] = f.most[i+1] + f.factors[i].highest()
	}
	return f, true
}

func (b *builder) forms(class string, alone bool) *factor {
	if class == "B" {
		return b.brand
	}
	if f := b.edits[alone]; f != nil {
		return f
	}
	costs := map[string]int{}
	for kind, n := range b.list.kinds {
		costs[kind] = costOf(b.editProb(kind, alone) / float64(n))
	}
	tokens := make([]token, 0, len(b.list.forms))
	for _, f := range b.list.forms {
		cost := costs[f.kind]
		if letter := f.letter; letter > 0 {
			cost = costOf(b.editProb(f.kind, alone) / float64(b.list.kinds[f.kind]) * b.letter(letter) * 26)
		}
		if alone && f.ascii && f.algorithm <= Various {
			cost = min(cost, typoCost)
		}
		tokens = append(tokens, token{text: f.text, cost: int32(cost), algorithm: f.algorithm, idn: !f.ascii})
	}
	b.edits[alone] = newFactor(tokens)
	return b.edits[alone]
}

// typoCost is the most that one of dnstwist's own edits in plain letters costs
// where the brand stands alone. With it they are among the first 5,000 names of
// any seed that has no more of them, however rare the counts of two lists find
// some: who comes from dnstwist looks for them first.
const typoCost = 21 * costUnit / 2

// unseenEdit is the probability, among edits, of a kind that was never seen.
const unseenEdit = 0.002

func (b *builder) editProb(kind string, alone bool) float64 {
	place := "edit/bare"
	if !alone {
		place = "edit/beside"
	}
	return b.model.prob(kind, unseenEdit, "edit", place)
}

// unseenWhole is the probability of an algorithm's names when none was seen.
const unseenWhole = 0.004

// makesNames tells the algorithms that make whole names, which no pattern describes.
func makesNames(a Algorithm) bool { return a == Subdomain || a == Various }

// wholes returns the algorithms that make whole names, and that of pairs of
// look-alikes, with the cost of each of their names.
func (b *builder) wholes() []whole {
	var list []whole
	add := func(a Algorithm, p float64, n int) {
		if n > 0 {
			list = append(list, whole{a, min(maxCost, costOf(p/float64(n))), n})
		}
	}
	g := newGenerator(b.seed)
	for _, a := range b.options.Algorithms {
		switch {
		case makesNames(a):
			n := 0
			g.run(a, func([]byte) bool { n++; return true })
			add(a, b.model.prob(wholeKey(a), unseenWhole, "pattern", "pattern"+b.region), n)
		case a == Homoglyph:
			p := b.editProb(idnMixed, true) + b.editProb(Homoglyph.String(), true)
			p *= b.model.prob("E", 0.1, "pattern", "pattern"+b.region)
			p *= b.model.prob("{suffix}", 0.1, "suffix", "suffix/edit", "suffix/edit"+b.region)
			add(a, p, b.list.two/2)
		}
	}
	return list
}

// unseenWords weighs the words of the embedded lists against the unknown words
// that were counted. It is above one: a list has fewer words than squatters,
// but each is likelier than its share of what the counts leave.
const unseenWords = 3

// userChance is the least probability of a word or suffix that the user asks for.
const userChance = 0.002

// wordsOf returns the words that may stand on one side of the brand.
func (b *builder) wordsOf(side string) *factor {
	if f := b.words[side]; f != nil {
		return f
	}
	prior := priorWords()
	themes := map[string]float64{}
	for _, theme := range prior.themes {
		themes[theme] = b.model.prob(theme, 1/float64(len(prior.themes)), "theme", "theme"+b.region)
	}
	chances := map[string]float64{}
	contexts := []string{"word", "word/" + side, "word/" + side + b.region}
	prob := func(key string) float64 {
		unseen := 1.0 / 5000
		if known, found := prior.byText[key]; found {
			unseen = unseenWords * themes[known.theme] * known.share
		}
		return b.model.prob(key, unseen, contexts...)
	}
	for _, w := range prior.list {
		chances[w] = prob(w)
	}
	for _, w := range b.options.Words {
		chances[displayWord(w)] = max(prob(displayWord(w)), userChance)
	}
	for _, key := range b.model.keys("word") {
		if key != "?" && key[0] != '{' {
			chances[key] = prob(key)
		}
	}
	own := ownWords(b.seed)
	same := map[string]int{}
	for _, pair := range own {
		same[pair[0]]++
	}
	for _, pair := range own {
		chances[pair[1]] += prob(pair[0]) / float64(same[pair[0]])
	}
	b.words[side] = newFactor(tokensOf(chances))
	return b.words[side]
}

// runsOf returns the runs of letters (x1 to x3) or digits (n1 to n4) of one length.
func (b *builder) runsOf(class string) *factor {
	if f := b.runs[class]; f != nil {
		return f
	}
	if len(class) != 2 || class[0] != 'x' && class[0] != 'n' || class[1] < '1' || class[1] > '4' {
		return nil
	}
	alphabet := "abcdefghijklmnopqrstuvwxyz"
	if class[0] == 'n' {
		alphabet = "0123456789"
	}
	n, count := int(class[1]-'0'), 1
	for range n {
		count *= len(alphabet)
	}
	var all strings.Builder // of which the tokens are parts
	all.Grow(count * n)
	tokens := make([]token, 0, count)
	for i := range count {
		p, start, place := 1.0, all.Len(), count
		for range n {
			place /= len(alphabet)
			c := alphabet[i/place%len(alphabet)]
			all.WriteByte(c)
			if class[0] == 'x' {
				p *= b.letter(rune(c))
			} else {
				p /= 10
			}
		}
		tokens = append(tokens, token{text: all.String()[start:], cost: int32(costOf(p))})
	}
	b.runs[class] = newFactor(tokens)
	return b.runs[class]
}

// letter is the probability of a letter where no word explains it.
func (b *builder) letter(r rune) float64 {
	if r < 'a' || r > 'z' {
		return 1.0 / 26
	}
	return b.model.prob(string(r), 1.0/26, "letter")
}

// leastOwn is the least probability of the seed's own suffix after an edited
// brand. Under the closed suffixes that the counts of countries come from (co.jp)
// there is next to none; under open ones (co.uk) typos are.
const leastOwn = 0.5

// suffixesOf returns the suffixes under which names of a group are registered.
func (b *builder) suffixesOf(group string) *factor {
	if f := b.suffix[group]; f != nil {
		return f
	}
	if !b.has(TLDSwap) {
		b.suffix[group] = newFactor([]token{{text: b.seed.PublicSuffix}})
		return b.suffix[group]
	}
	prior := priorSuffixes()
	contexts := []string{"suffix", "suffix/" + group, "suffix/" + group + b.region}
	prob := func(key string) float64 {
		return b.model.prob(key, prior[key], contexts...)
	}
	chances := make(map[string]float64, len(prior))
	for s := range prior {
		chances[s] = prob(s)
	}
	for _, s := range b.options.Suffixes {
		chances[s] = max(prob(s), userChance)
	}
	for _, key := range b.model.keys("suffix") {
		if key[0] != '?' && key[0] != '{' {
			chances[key] = prob(key)
		}
	}
	own := ownSuffixes(b.seed)
	same := map[string]int{}
	for _, pair := range own {
		same[pair[0]]++
	}
	for _, pair := range own {
		chances[pair[1]] += prob(pair[0]) / float64(same[pair[0]])
	}
	if group == "edit" {
		chances[b.seed.PublicSuffix] = max(chances[b.seed.PublicSuffix], leastOwn)
	}
	b.suffix[group] = newFactor(tokensOf(chances))
	return b.suffix[group]
}

// Weights of the embedded lists among the suffixes that were not counted.
const (
	shareCommon = 0.5
	shareOpen   = 2.0
	shareHome   = 0.1
)

// priorSuffixes are the suffixes of the embedded lists with their chances
// before anything is counted.
var priorSuffixes = sync.OnceValue(func() map[string]float64 {
	prior := map[string]float64{}
	spread := func(list []string, share float64) {
		for _, s := range list {
			prior[s] += share / float64(len(list))
		}
	}
	spread(commonSuffixes(), shareCommon)
	spread(openSuffixes(), shareOpen)
	var homes []string
	for _, list := range home().suffixes {
		homes = append(homes, list...)
	}
	spread(homes, shareHome)
	return prior
})

// tokensOf turns chances into tokens in the order of their texts.
func tokensOf(chances map[string]float64) []token {
	tokens := make([]token, 0, len(chances))
	for text, p := range chances {
		tokens = append(tokens, token{text: text, cost: int32(costOf(p)), idn: !isASCII(text)})
	}
	slices.SortFunc(tokens, func(a, b token) int { return strings.Compare(a.text, b.text) })
	return tokens
}
