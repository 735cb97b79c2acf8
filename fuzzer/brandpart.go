package fuzzer

func (b *builder) forms(class string, alone bool) *factor {
	if class == "B" {
		return b.brand
	}
	key := editKey{class, alone}
	if f := b.edits[key]; f != nil {
		return f
	}
	costs := map[string]int{} // by kind
	tokens := make([]token, 0, len(b.list.forms))
	for _, f := range b.list.forms {
		if brandClass(&f) != class {
			continue
		}
		cost, known := costs[f.kind]
		if !known {
			cost = costOf(b.editProb(class, f.kind, alone) / float64(b.list.kinds[f.kind]))
			costs[f.kind] = cost
		}
		if letter := f.letter; letter > 0 {
			cost = costOf(b.editProb(class, f.kind, alone) / float64(b.list.kinds[f.kind]) * b.letter(letter) * 26)
		}
		tokens = append(tokens, token{text: f.text, cost: int32(cost), algorithm: f.algorithm, idn: !f.ascii})
	}
	b.edits[key] = newFactor(tokens)
	return b.edits[key]
}

// typoCost is the most that one of dnstwist's own edits in plain letters costs
// under the seed's own suffix, where the brand stands alone. With it they are
// among the first 5,000 names of any seed that has no more of them, however rare
// the counts of two lists find some: who comes from dnstwist looks for them first.
const typoCost = 14 * costUnit

// typos is the family of these edits.
func (b *builder) typos() (family, bool) {
	var tokens []token
	for _, f := range b.list.forms {
		if f.ascii && (f.algorithm <= Various || f.kind == jointKind) {
			tokens = append(tokens, token{text: f.text, cost: typoCost, algorithm: f.algorithm})
		}
	}
	return newFamily(family{plain: true, factors: []*factor{newFactor(tokens), newFactor([]token{{text: b.seed.PublicSuffix}})}, hyphen: make([]bool, 2)})
}

// oddHyphen is the chance, among typos, of a hyphen more or less between the
// brand's words where nothing was counted: few edits, and the ones that read as
// the brand does.
const oddHyphen = 0.15

func (b *builder) editProb(class, kind string, alone bool) float64 {
	table, place := editTable(class), "/bare"
	if !alone {
		place = "/beside"
	}
	unseen := b.model.weights.Edits
	if kind == jointKind || kind == "delete-hyphen" {
		unseen = oddHyphen
	}
	return b.model.prob(kind, unseen, table, table+place)
}

// unseenWhole is the probability of an algorithm's names when none was seen.
const unseenWhole = 0.004

// makesNames tells the algorithms that make whole names, which no pattern describes.
func makesNames(a Algorithm) bool { return a == Subdomain || a == Various || a == DotHyphen }

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
			p := b.editProb("I", idnMixed, true) + b.editProb("I", Homoglyph.String(), true)
			p *= b.model.prob("I", 0.1, "pattern", "pattern"+b.region)
			p *= b.model.prob("{suffix}", 0.1, "suffix", "suffix/idn", "suffix/idn"+b.region)
			add(a, p, b.list.two/2)
		}
	}
	return list
}
