package fuzzer

import (
	"math"
	"slices"
	"strings"
)

// explainer answers for one seed.
type explainer struct {
	seed    Seed
	options ExplainOptions
	own     string
	wanted  map[string][]*inquiry // by the names that answer them
	open    int                   // inquiries that no variant answered yet
}

// inquiry is one name on its way to its explanation.
type inquiry struct {
	Explanation
	site    string // the registrable domain, private suffixes counted
	label   string // of it, as U-label
	suffix  string
	closed  bool         // its rank is found
	itself  bool         // it is made, or its registrable domain
	set     algorithmSet // that make it whole
	parts   algorithmSet // that make a part of its label
	reading alignment
	core    string // what stands for the brand in label
}

// inquire begins with a name: what it is compared as.
func (x *explainer) inquire(name string) *inquiry {
	q := &inquiry{Explanation: Explanation{Seed: x.seed, Name: name, LookAlike: name, Relation: NotGenerated}, site: site(name)}
	switch {
	case name == x.seed.FQDN:
		q.Relation = IsSeed
		return q
	case q.site == x.own:
		q.Relation = IsOwn
		return q
	case q.site == "":
		q.Reasons = []string{"it is a public suffix"}
		return q
	}
	_, label, suffix, _ := split(q.site)
	q.label, q.suffix = display(label), suffix
	text, brand := []rune(q.label), []rune(x.seed.Label)
	q.reading = align(brand, text, newBeside(text))
	q.core = string(text[q.reading.from:q.reading.to])
	q.Distance = distance(brand, text)
	q.LookAlike = q.site
	for _, target := range x.targets(q) {
		x.wanted[target] = append(x.wanted[target], q)
	}
	x.open++
	return q
}

// compared reports whether there is anything to compare with the seed.
func (q *inquiry) compared() bool { return q.site != "" && q.Relation != IsSeed && q.Relation != IsOwn }

// dotted reports whether the name that was made has labels in front of its
// registrable domain that are not the seed's: an algorithm moved a dot.
func (q *inquiry) dotted() bool {
	return q.LookAlike != q.site && q.LookAlike != q.Seed.Subdomain+"."+q.site
}

// targets are the names that would answer an inquiry, in the order of
// preference. Some algorithms keep the seed's subdomain.
func (x *explainer) targets(q *inquiry) []string {
	targets := []string{q.Name}
	if q.site != q.Name {
		targets = append(targets, q.site)
	}
	if sub := x.seed.Subdomain; sub != "" && sub+"."+q.site != q.Name {
		targets = append(targets, sub+"."+q.site)
	}
	return targets
}

// made notes that one of the targets is a made name. What is compared is the
// whole name if that is made itself, else the registrable domain.
func (q *inquiry) made(name string) {
	q.Relation = IsGenerated
	switch {
	case name == q.Name:
		q.LookAlike, q.Made, q.itself = name, "", true
	case name == q.site:
		q.Made, q.itself = "", true
	case !q.itself:
		q.Made = name
	}
}

// answers reports whether a made name is what was asked for: where an algorithm
// moves a dot, the domain above is another look-alike.
func (q *inquiry) answers(name string) bool {
	return q.Relation == NotGenerated || !q.dotted() || name == q.LookAlike
}

// rank looks the names up in the ranked profiles, of which each is the
// beginning of the next.
func (x *explainer) rank() {
	options, _ := RankProfile(FullName)
	options.Words, options.Suffixes = x.options.Words, MergeLists(x.options.Suffixes, HomeSuffixes(x.options.Country))
	place := 0
	if x.open == 0 {
		return
	}
	for v := range Rank(x.seed, options).All() {
		place++
		for _, q := range x.wanted[v.FQDN] {
			exact := v.FQDN == q.Name
			if q.closed || !exact && q.Rank != 0 || !q.answers(v.FQDN) {
				continue
			}
			q.made(v.FQDN)
			q.Rank, q.Likelihood = place, v.Likelihood
			for _, a := range v.Algorithms() {
				q.set = q.set.with(a)
			}
			q.Profiles = nil
			for _, profile := range []string{StandardName, WideName, FullName} {
				if limits, _ := RankProfile(profile); limits.Limit == 0 || place <= limits.Limit {
					q.Profiles = append(q.Profiles, profile)
				}
			}
			if !exact && x.seed.Subdomain != "" {
				continue // some algorithms keep the subdomain, some drop it: the name itself may come yet
			}
			q.closed = true
			if x.open--; x.open == 0 {
				return
			}
		}
	}
}

// dnstwist looks the names up in dnstwist's profile, first with the lists that
// were given, for the profile, then with ours besides, for the label.
func (x *explainer) dnstwist() {
	if len(x.wanted) == 0 {
		return
	}
	words, suffixes := x.lists()
	for i, pass := range []Pass{DNSTwist(x.options.Words, x.options.Suffixes), DNSTwist(words, suffixes)} {
		for v := range PermuteDNSTwist(x.seed, pass).All() {
			for _, q := range x.wanted[v.FQDN] {
				if q.DNSTwist != "" || !q.answers(v.FQDN) {
					continue
				}
				q.DNSTwist = v.Algorithm.String()
				if i == 0 {
					q.made(v.FQDN)
					q.set = q.set.with(v.Algorithm)
					q.Profiles = append(q.Profiles, DNSTwistName)
				}
			}
		}
	}
}

func (x *explainer) lists() (words, suffixes []string) {
	return MergeLists(x.options.Words, GeneralWords(), HighRiskWords()), MergeLists(x.options.Suffixes, CommonSuffixes())
}

// trace runs every algorithm once and notes those that make a name, or the
// brand's part of one.
func (x *explainer) trace(list []*inquiry) {
	if len(x.wanted) == 0 {
		return
	}
	labels := map[string][]*inquiry{} // by labels under the seed's own suffix
	cores := map[string][]*inquiry{}
	for _, q := range list {
		if !q.compared() {
			continue
		}
		for _, target := range x.targets(q) {
			if rest, found := strings.CutSuffix(target, "."+x.seed.PublicSuffix); found {
				rest = strings.TrimPrefix(rest, x.seed.Subdomain+".")
				labels[displayName(rest)] = append(labels[displayName(rest)], q)
			}
		}
		if q.core != x.seed.Label {
			cores[q.core] = append(cores[q.core], q)
		}
		if q.label != q.core && q.suffix != x.seed.PublicSuffix {
			cores[q.label] = append(cores[q.label], q)
		}
	}
	words, suffixes := x.lists()
	g := newGenerator(x.seed)
	g.suffixes = suffixes
	for _, w := range words {
		g.words = append(g.words, []rune(displayWord(w)))
	}
	for _, a := range Algorithms() {
		if !a.editsLabel() {
			g.run(a, func(name []byte) bool {
				for _, q := range x.wanted[string(name)] {
					q.made(string(name))
					q.set = q.set.with(a)
				}
				return true
			})
			continue
		}
		g.edits(a, func(label []rune) bool {
			for _, q := range labels[string(label)] {
				q.made(x.whole(q, string(label)))
				q.set = q.set.with(a)
			}
			for _, q := range cores[string(label)] {
				q.parts = q.parts.with(a)
			}
			return true
		})
	}
}

// whole is the target of q that stands for a label of the seed's own suffix: the
// one with the seed's subdomain in front, which all that edit the label keep.
func (x *explainer) whole(q *inquiry, label string) string {
	sub, whole := x.seed.withoutWWW().Subdomain, q.site
	for _, target := range slices.Backward(x.targets(q)) {
		rest, found := strings.CutSuffix(target, "."+x.seed.PublicSuffix)
		if found && displayName(strings.TrimPrefix(rest, x.seed.Subdomain+".")) == label {
			whole = target
			if sub != "" && strings.HasPrefix(target, sub+".") {
				break
			}
		}
	}
	return whole
}

// conclude writes what was found out for people.
func (x *explainer) conclude(q *inquiry) {
	if !q.compared() {
		return
	}
	if q.Relation == IsGenerated {
		q.Algorithms = (q.set | q.parts).slice()
	}
	if rest, found := strings.CutSuffix(q.Name, "."+q.LookAlike); found {
		q.Host = rest
	}
	q.likeness = q.reading.cost + x.suffixCost(q.suffix)
	if q.Relation == IsGenerated || q.changedUpTo(2) {
		x.mark(q)
	}
	if q.Relation == NotGenerated {
		q.Nearest = x.nearest(q)
		q.Reasons = x.reasons(q)
	}
}

// mark fills Marked and Changes: label beside label and suffix beside suffix,
// or, where dots moved, the whole names.
func (x *explainer) mark(q *inquiry) {
	brand, text := []rune(x.seed.Label), []rune(q.label)
	sub := strings.TrimSuffix(strings.TrimSuffix(q.LookAlike, q.site), ".")
	if sub != "" && sub != x.seed.Subdomain || q.reading.cost > 0 && q.suffix != x.seed.PublicSuffix {
		whole, from := []rune(displayName(q.LookAlike)), []rune(displayName(x.own))
		if l := align(from, whole, nothingBeside(len(whole))); sub != "" || l.cost < q.likeness {
			q.Marked, q.Changes = l.mark(from, whole)
			q.likeness = min(q.likeness, l.cost)
			return
		}
	}
	q.Marked, q.Changes = q.reading.mark(brand, text)
	if sub != "" {
		q.Marked = displayName(sub) + "." + q.Marked
	}
	from, to := displayName(x.seed.PublicSuffix), displayName(q.suffix)
	if from == to {
		q.Marked += "." + to
		return
	}
	q.Marked += ".[" + from + "→" + to + "]"
	q.Changes = append(q.Changes, Change{Kind: Suffix, From: from, To: to})
}

// suffixCost is what another suffix costs; a mere tie-break between seeds.
func (x *explainer) suffixCost(suffix string) int {
	switch {
	case suffix == x.seed.PublicSuffix:
		return 0
	case suffix[strings.LastIndexByte(suffix, '.')+1:] == x.seed.PublicSuffix[strings.LastIndexByte(x.seed.PublicSuffix, '.')+1:]:
		return 15
	}
	return 30
}

// nearest is the label that an algorithm makes at the least distance.
func (x *explainer) nearest(q *inquiry) *Nearest {
	var best *Nearest
	text := []rune(q.label)
	words, _ := x.lists()
	g := newGenerator(x.seed)
	for _, w := range words {
		g.words = append(g.words, []rune(displayWord(w)))
	}
	least := math.MaxInt
	for _, a := range Algorithms() {
		if !a.editsLabel() || a == Subdomain {
			continue
		}
		g.edits(a, func(label []rune) bool {
			if gap := len(label) - len(text); gap >= least || -gap >= least || string(label) == x.seed.Label {
				return true
			}
			d := distance(text, label)
			if d >= least {
				return true
			}
			ascii, ok := appendLabel(nil, label)
			if !ok {
				return true
			}
			least, best = d, &Nearest{Algorithm: a, Name: string(ascii) + "." + x.seed.PublicSuffix, Distance: d}
			return true
		})
	}
	return best
}

// changedUpTo reports whether the reading changes no more than the part of the
// brand that the divisor says: 3 for a third, nothing then of two characters.
func (q *inquiry) changedUpTo(divisor int) bool {
	return divisor*q.reading.edits <= costEdit*len([]rune(q.Seed.Label))
}

// reasons say why nothing makes the name.
func (x *explainer) reasons(q *inquiry) (reasons []string) {
	if !q.changedUpTo(2) {
		sub := strings.TrimSuffix(strings.TrimSuffix(q.Name, q.site), ".")
		if strings.Contains("."+displayName(sub)+".", x.seed.Label) {
			return []string{"the brand stands in front of " + displayName(q.site) + ", a domain of somebody else that does not resemble it"}
		}
		return []string{"the name does not resemble " + x.seed.Label}
	}
	if q.core != x.seed.Label && q.parts == 0 {
		reasons = append(reasons, "no algorithm writes "+x.seed.Label+" as "+q.core)
	}
	for _, c := range q.Changes {
		if c.Kind == Word && !listedWords()[c.To] && !slices.Contains(x.options.Words, c.To) {
			reasons = append(reasons, "the lists lack the word "+c.To)
		}
	}
	if q.suffix != x.seed.PublicSuffix && !x.knowsSuffix(q.suffix) {
		reasons = append(reasons, "the lists lack the suffix "+q.suffix)
	}
	if !registryOf(q.suffix).accepts([]rune(q.label)) {
		reasons = append(reasons, "the registry of "+q.suffix+" is not known to take these letters, or not together")
	}
	if reasons == nil {
		reasons = append(reasons, "its parts are known, but together too unlikely for the full profile")
	}
	return reasons
}

func (x *explainer) knowsSuffix(suffix string) bool {
	_, own := x.lists()
	return slices.ContainsFunc([][]string{own, WideSuffixes(), openSuffixes(), GiveAwayHosts(), HomeSuffixes(Country(x.seed))},
		func(list []string) bool { return slices.Contains(list, suffix) })
}
