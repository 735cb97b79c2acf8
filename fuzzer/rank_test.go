package fuzzer

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func checkRanked(t interface{ Fatalf(string, ...any) }, seed Seed, p *Permutations, limit int) []string {
	own := site(seed.FQDN)
	seen := map[string]bool{}
	var list []string
	last := math.Inf(1)
	for v := range p.All() {
		switch {
		case seen[v.FQDN]:
			t.Fatalf("%s: twice", v.FQDN)
		case v.FQDN == seed.FQDN || site(v.FQDN) == own || Registrable(v.FQDN) == "":
			t.Fatalf("%s is the seed's own, or a bare suffix (%s)", v.FQDN, v.Algorithm)
		case len(v.FQDN) > maxNameLen || !validName.MatchString(v.FQDN):
			t.Fatalf("%q is no name", v.FQDN)
		case !(v.Likelihood > 0 && v.Likelihood <= last):
			t.Fatalf("%s: likelihood %g after %g", v.FQDN, v.Likelihood, last)
		case len(v.Passes) != 1 || v.Algorithm == Original:
			t.Fatalf("%+v", v)
		}
		for label := range strings.SplitSeq(v.FQDN, ".") {
			if _, err := registration.ToASCII(label); err != nil {
				t.Fatalf("%s: %v", v.FQDN, err)
			}
		}
		last = v.Likelihood
		seen[v.FQDN] = true
		list = append(list, v.FQDN)
	}
	if limit > 0 && len(list) > limit {
		t.Fatalf("%d names, limit %d", len(list), limit)
	}
	return list
}

// The label as it is is nobody's edit, though some algorithms swap a vowel for
// itself.
func TestRankedSuffixSwapIsNoEdit(t *testing.T) {
	seed := mustSeed(t, "my-bank.co.uk")
	v, _, found := Rank(seed, RankOptions{Limit: StandardLimit}).Find("my-bank.team")
	if algorithms := v.Algorithms(); !found || !slices.Equal(algorithms, []Algorithm{TLDSwap}) {
		t.Errorf("my-bank.team: found %v, reached by %v", found, algorithms)
	}
}

func TestRankProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := drawSeed(t)
		options := RankOptions{
			Limit:    rapid.IntRange(1, 1000).Draw(t, "limit"),
			Words:    rapid.SliceOfN(rapid.SampledFrom([]string{"login", "xn--mller-kva", "zzword", "a.b", "a_b", ""}), 0, 2).Draw(t, "words"),
			Suffixes: rapid.SliceOfN(rapid.SampledFrom([]string{"com", "co.uk", "xn--p1ai", "..", "ck"}), 0, 3).Draw(t, "suffixes"),
		}
		if rapid.Bool().Draw(t, "some algorithms") {
			options.Algorithms = rapid.SliceOfN(rapid.SampledFrom(Algorithms()), 1, 5).Draw(t, "algorithms")
		}
		p := Rank(seed, options)
		list := checkRanked(t, seed, p, options.Limit)
		if p.Len() != len(list) {
			t.Fatalf("Len %d of %d names", p.Len(), len(list))
		}
		if again := names(Rank(seed, options)); !slices.Equal(list, again) {
			t.Fatalf("not deterministic")
		}
		// A smaller limit is the beginning of a greater one, and so is a loop that ends early.
		stop, n := rapid.IntRange(0, len(list)).Draw(t, "stop"), 0
		for v := range p.All() {
			if n == stop {
				break
			}
			if v.FQDN != list[n] {
				t.Fatalf("name %d is %s, then %s", n, list[n], v.FQDN)
			}
			n++
		}
		options.Limit = max(1, stop)
		if shorter := names(Rank(seed, options)); !slices.Equal(shorter, list[:min(len(list), options.Limit)]) {
			t.Fatalf("limit %d is no beginning", options.Limit)
		}
	})
}

// The order does not depend on how many threads there are.
func TestRankOrderIsFixed(t *testing.T) {
	seed := mustSeed(t, "example.com")
	want := names(Rank(seed, RankOptions{Limit: 20000}))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if got := names(Rank(seed, RankOptions{Limit: 20000})); !slices.Equal(got, want) {
		t.Error("another order with one thread")
	}
}

// The seed's subdomain stays in front, as the algorithms and dnstwist keep it.
func TestRankKeepsSubdomain(t *testing.T) {
	seed := mustSeed(t, "login.example.com")
	found := map[string]bool{}
	for v := range Rank(seed, RankOptions{Limit: StandardLimit}).All() {
		found[v.FQDN] = true
		if len(v.Algorithms()) == 0 {
			t.Errorf("%s: reached by nothing", v.FQDN)
		}
	}
	for name, want := range map[string]bool{
		"login.examples.com": true, "login.example.net": true, "login.example-support.com": true,
		"login-example.com": true, "examples.com": false, "login.login.example.com": false,
	} {
		if found[name] != want {
			t.Errorf("%s: %v, want %v", name, found[name], want)
		}
	}
	v, _, ok := Rank(seed, RankOptions{Limit: StandardLimit}).Find("login.exampl.com")
	if !ok || !slices.Contains(v.Algorithms(), Omission) {
		t.Errorf("login.exampl.com: %v, reached by %v", ok, v.Algorithms())
	}
}

// Two steps of look-alikes may touch: w, vv, uv.
func TestRankInverseOfTouchingSteps(t *testing.T) {
	seed := mustSeed(t, "wow.com")
	p := Rank(seed, RankOptions{Algorithms: []Algorithm{Homoglyph, Edit}, Model: tinyModel(t)})
	for name, want := range map[string]bool{"uvow.com": true, "vvovv.com": true, "vvow.com": true, "wowx.com": false} {
		v, _, found := p.Find(name)
		if !found || slices.Contains(v.Algorithms(), Homoglyph) != want {
			t.Errorf("%s: found %v, reached by %v", name, found, v.Algorithms())
		}
	}
}

// A brand of several words is written with hyphens between them, and both readings
// are counted as one kind of edit.
func TestRankJoints(t *testing.T) {
	list := newFormList(mustSeed(t, "mybankcard.com"), rankedAlgorithms(), false)
	if n := list.kinds[jointKind]; n != 3 {
		t.Errorf("%d forms", n)
	}
	v, place, found := Rank(mustSeed(t, "mybankcard.com"), RankOptions{Limit: StandardLimit}).Find("my-bank-card.com")
	if !found || place > 200 || v.Algorithm != BoundaryHyphen {
		t.Errorf("found %v at %d: %s", found, place, v.Algorithm)
	}
}

// Patterns that were not counted follow from their sides.
func TestRankPatternsOfSides(t *testing.T) {
	m, err := ReadModel(strings.NewReader("pattern/generic\tw - B\t3\nbrand/generic\tB\t3\nside/left/generic\tw -\t3\nside/right/generic\t- w\t1\nside/right/generic\t.\t2\n" +
		"word/right/generic\tlogin\t5\nword/left/generic\tmy\t5\nsuffix/word/generic\t{suffix}\t4\n"))
	if err != nil {
		t.Fatal(err)
	}
	b := newBuilder(mustSeed(t, "example.com"), RankOptions{Model: m, Algorithms: rankedAlgorithms()})
	chances := b.patterns()
	if both, one := chances["w - B - w"], chances["w - B"]; both <= 0 || both >= one {
		t.Errorf("%v", chances)
	}
}

func tinyModel(t testing.TB) *Model {
	t.Helper()
	m, err := ReadModel(strings.NewReader("pattern/generic\tB - w\t3\npattern/generic\tE\t2\nword/right/generic\tlogin\t5\nsuffix/word/generic\t{suffix}\t4\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRankExamples(t *testing.T) {
	seed := mustSeed(t, "example.co.jp")
	found := map[string]Variant{}
	for v := range Rank(seed, RankOptions{Limit: WideLimit}).All() {
		found[v.FQDN] = v
	}
	for name, want := range map[string]Algorithm{
		"example.com": TLDSwap, "example-login.com": Dictionary, "my-example.com": Dictionary,
		"example-co-jp.com": Dictionary, "examplejp.com": Dictionary, "exampl.co.jp": Omission, "exmaple.co.jp": Transposition,
	} {
		v, ok := found[name]
		if !ok {
			t.Errorf("%s: not there", name)
		} else if v.Algorithm != want && !slices.Contains(v.Algorithms(), want) {
			t.Errorf("%s: %s of %v, want %s", name, v.Algorithm, v.Algorithms(), want)
		}
	}
}

// The inverse tests find what the sixteen algorithms generate.
func TestRankInverse(t *testing.T) {
	for _, domain := range []string{"google.com", "my-bank.de", "sbi.bank.in"} {
		seed := mustSeed(t, domain)
		options := RankOptions{Algorithms: []Algorithm{
			Addition, Bitsquatting, Homoglyph, Hyphenation, Insertion, Omission, Plural, Repetition, Replacement, Subdomain, Transposition, VowelSwap, Various,
		}, Limit: 20000}
		reach := map[string]algorithmSet{}
		for _, a := range options.Algorithms {
			for v := range Permute(seed, Pass{Name: "x", Algorithms: []Algorithm{a}}).All() {
				reach[v.FQDN] = reach[v.FQDN].with(a)
			}
		}
		n := 0
		for v := range Rank(seed, options).All() {
			got, want := algorithmSet(0), reach[v.FQDN]
			for _, a := range v.Algorithms() {
				got = got.with(a)
			}
			// Two look-alikes where one continues the other are taken for none.
			if got|1<<Homoglyph != want|1<<Homoglyph || got.has(Homoglyph) && !want.has(Homoglyph) {
				t.Fatalf("%s: %v, want %v", v.FQDN, got.slice(), want.slice())
			}
			n++
		}
		if n < 500 {
			t.Errorf("%s: %d names", domain, n)
		}
	}
}

func TestRankFind(t *testing.T) {
	p := Rank(mustSeed(t, "example.com"), RankOptions{Limit: 500})
	n := 0
	for v := range p.All() {
		if n++; n == 77 {
			if got, place, found := p.Find(strings.ToUpper(v.FQDN) + "."); !found || place != 77 || got.FQDN != v.FQDN {
				t.Errorf("%s: place %d, %t", v.FQDN, place, found)
			}
		}
	}
	if _, _, found := p.Find("unrelated.org"); found {
		t.Error("found what is not there")
	}
}

func TestRankProfile(t *testing.T) {
	for name, limit := range map[string]int{StandardName: 5000, WideName: 50000, FullName: 0} {
		if o, ok := RankProfile(name); !ok || o.Limit != limit || o.Name != name {
			t.Errorf("%s: %+v, %t", name, o, ok)
		}
	}
	if _, ok := RankProfile(DNSTwistName); ok {
		t.Error("dnstwist is not ranked")
	}
}

// The embedded model can be read, says what it is, and names no brand it was counted from.
func TestEmbeddedModel(t *testing.T) {
	m, err := ReadModel(strings.NewReader(rankingText))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(rankingText, "# Counts behind") {
		t.Error("no header")
	}
	for _, context := range []string{"pattern", "word/left", "word/right", "suffix/bare", "suffix/edit", "suffix/word", "edit-E/bare", "edit-A/bare", "edit-I/bare", "side/left", "side/right", "letter", "theme"} {
		if len(m.keys(context)) == 0 {
			t.Errorf("nothing of %s", context)
		}
	}
	for _, key := range append(m.keys("word"), m.keys("suffix")...) {
		if strings.ContainsAny(key, " \t_") {
			t.Errorf("%q is neither word nor suffix", key)
		}
	}
	var text bytes.Buffer
	if _, err := m.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	for line := range strings.Lines(rankingText) {
		if line[0] != '#' {
			body.WriteString(line)
		}
	}
	if text.String() != body.String() {
		t.Error("written anew it is another")
	}
}

func TestReadModelErrors(t *testing.T) {
	for _, text := range []string{"a\tb", "a\tb\tc", "a\tb\t-1", "a\tb\tNaN", "a/b/c/d/e\tk\t1", "\tk\t1", "a\t\t1", "weight\tnone\t1"} {
		_, err := ReadModel(strings.NewReader("# x\n" + text))
		var bad *ModelError
		if !errors.As(err, &bad) || bad.Line != 2 || bad.Hint() == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestOpenSuffixes(t *testing.T) {
	list, bad, err := ReadSuffixes(strings.NewReader(openSuffixesText))
	if err != nil || len(bad) > 0 || len(list) < 500 {
		t.Fatalf("%d suffixes, %v, %v", len(list), bad, err)
	}
}

func TestKindOf(t *testing.T) {
	for form, want := range map[string]string{
		"examples": "append-s", "exampple": "double", "exmple": "delete", "xample": "delete-first", "exampel": "transpose-last",
		"ex-ample": "insert-hyphen", "examp1e": "replace-alike", "exarnple": "replace-pair", "exámple": "idn1-accent",
		"ẹxamplẹ": "idn2-dot-below", "éxamplẹ": "idn2-mixed", "exemple": "replace-vowel", "exqample": "insert-key", "example9": "append-digit",
		"exexample": "repeat-start", "something": "",
	} {
		if got := kindOf([]rune("example"), []rune(form)); got != want {
			t.Errorf("%s: %q, want %q", form, got, want)
		}
	}
}

func TestNameSet(t *testing.T) {
	s := newNameSet()
	for range 2 {
		for i := range 5000 {
			s.add(s.key([]byte{byte(i), byte(i >> 8)}))
		}
	}
	if s.n != 5000 {
		t.Errorf("%d names", s.n)
	}
	slots := 0
	for i := range s.shards {
		slots += len(s.shards[i].slots)
	}
	if slots*16 > 5000*40 {
		t.Errorf("%d octets a name", slots*16/5000)
	}
}

// Whoever comes from dnstwist finds its single edits in plain letters in standard.
func TestStandardHoldsTypos(t *testing.T) {
	for _, domain := range []string{"example.com", "microsoftonline.com", "my-bank.co.uk", "kuroneko.co.jp", "shop.io"} {
		seed := mustSeed(t, domain)
		standard := map[string]bool{}
		for v := range Rank(seed, RankOptions{Limit: StandardLimit}).All() {
			standard[v.FQDN] = true
		}
		for _, a := range []Algorithm{Addition, Bitsquatting, Hyphenation, Insertion, Omission, Repetition, Replacement, Transposition, VowelSwap} {
			for _, name := range names(Permute(seed, Pass{Name: "alone", Algorithms: []Algorithm{a}})) {
				if !standard[name] {
					t.Errorf("%s of %s: %s is not in standard", a, domain, name)
				}
			}
		}
	}
}

// Whoever types an address means the brand, not its www.
func TestRankWithoutWWW(t *testing.T) {
	options := RankOptions{Limit: 500}
	names := func(domain string) (names []string) {
		for v := range Rank(mustSeed(t, domain), options).All() {
			names = append(names, v.FQDN)
		}
		return names
	}
	if with, without := names("www.example.com"), names("example.com"); !slices.Equal(with, without) {
		t.Errorf("with www %v, without %v", with[:5], without[:5])
	}
	for _, name := range names("login.example.com") {
		if name == "examples.com" {
			t.Errorf("another subdomain did not stay in front: %s", name)
		}
	}
}
