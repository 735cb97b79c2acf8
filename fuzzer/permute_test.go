package fuzzer

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func mustSeed(t testing.TB, input string) Seed {
	t.Helper()
	seed, err := ParseSeed(input)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

func names(p *Permutations) []string {
	var list []string
	for v := range p.All() {
		list = append(list, v.FQDN)
	}
	return list
}

// alone runs one algorithm under our own rules.
func alone(t testing.TB, domain string, a Algorithm, words, suffixes []string) []string {
	t.Helper()
	return names(Permute(mustSeed(t, domain), Pass{
		Name: "p", Algorithms: []Algorithm{a}, Words: words, Suffixes: suffixes,
	}))
}

// TestAlgorithms shows each algorithm on a seed small enough to write out, and
// that the examples of the doc comments hold.
func TestAlgorithms(t *testing.T) {
	words, suffixes := []string{"login"}, []string{"net", "co.uk", "xn--p1ai"}
	for _, c := range []struct {
		domain    string
		algorithm Algorithm
		want      string // all names, or with … some of them
	}{
		{"example.com", Addition, "… examples.com example0.com"},
		{"my-bank.co.uk", Addition, "… myx-bank.co.uk my-bankx.co.uk"},
		{"example.com", Bitsquatting, "… ezample.com"},
		{"a.io", Bitsquatting, "c.io e.io i.io q.io"},
		{"example.com", Cyrillic, "xn--80ajb1au1a38g.com"},
		{"bank.com", Cyrillic, ""},
		{"example.com", Homoglyph, "… exarnple.com xn--exmple-qta.com"},
		{"xoo.uk", Homoglyph, "x0o.uk xo0.uk x00.uk"},
		{"clo.uk", Homoglyph, "elo.uk c1o.uk cio.uk cl0.uk do.uk e1o.uk eio.uk el0.uk c10.uk ci0.uk d0.uk bo.uk dlo.uk"},
		{"abc.com", Hyphenation, "a-bc.com ab-c.com"},
		{"example.com", Insertion, "… exqample.com"},
		{"m.com", Insertion, ""},
		{"abc.com", Omission, "bc.com ac.com ab.com"},
		{"facebookpay.com", Plural, "… facebookspay.com"},
		{"boxer.com", Plural, "boxeser.com"},
		{"abb.com", Repetition, "aabb.com abbb.com"},
		{"p.com", Replacement, "l.com o.com 0.com m.com"},
		{"example.com", Subdomain, "e.xample.com ex.ample.com exa.mple.com exam.ple.com examp.le.com"},
		{"a-bc.com", Subdomain, ""},
		{"abb.com", Transposition, "bab.com"},
		{"pep.com", VowelSwap, "pap.com pip.com pop.com pup.com"},
		{"abc.com", Dictionary, "abc-login.com abclogin.com login-abc.com loginabc.com"},
		{"a-b.com", Dictionary, "a-b-login.com a-blogin.com login-a-b.com logina-b.com a-login.com login-b.com"},
		{"abc.com", TLDSwap, "abc.net abc.co.uk abc.xn--p1ai"},
		{"sub.abc.net", TLDSwap, "sub.abc.co.uk sub.abc.xn--p1ai"},
		{"example.com", Various, "examplecom.com"},
		{"example.org", Various, "exampleorg.org example-org.com exampleorg.com"},
		{"sbi.bank.in", Various, "sbi.in sbibank.in"},
		{"www.example.com", Various, "www.examplecom.com wwwexample.com www-example.com"},
		{"a.b.ccc.com", Various, "a.b.ccccom.com a.bccc.com abccc.com a.b-ccc.com a-b-ccc.com"},
	} {
		got := alone(t, c.domain, c.algorithm, words, suffixes)
		exact, some, open := strings.Cut(c.want, "…")
		for _, name := range append(strings.Fields(exact), strings.Fields(some)...) {
			if name != c.domain && !slices.Contains(got, name) {
				t.Errorf("%s of %s lacks %s: %v", c.algorithm, c.domain, name, got)
			}
		}
		if !open && !slices.Equal(got, strings.Fields(exact)) {
			t.Errorf("%s of %s: %v, want %s", c.algorithm, c.domain, got, exact)
		}
	}
}

// Words in A-label form join the label as the U-labels they stand for; only
// dnstwist joins them as they are.
func TestInternationalWords(t *testing.T) {
	words, _, _ := ReadWords(strings.NewReader("müller"))
	got := alone(t, "abc.com", Dictionary, words, nil)
	if want := []string{"xn--abc-mller-v9a.com", "xn--abcmller-q2a.com", "xn--mller-abc-9db.com", "xn--mllerabc-b6a.com"}; len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, name := range got {
		if text, err := registration.ToUnicode(name); err != nil || !strings.Contains(text, "müller") {
			t.Errorf("%s reads %s, %v", name, text, err)
		}
	}
}

// A name keeps every algorithm and every pass that reaches it.
func TestEveryWayIsKept(t *testing.T) {
	seed := mustSeed(t, "example.com")
	// Out of canonical order: the label is canonical all the same.
	a := Pass{Name: "A", Algorithms: []Algorithm{VowelSwap, Replacement, Dictionary}, Words: []string{"s"}}
	b := Pass{Name: "B", Algorithms: []Algorithm{Addition, VowelSwap}}
	want := map[string]struct{ algorithms, passes string }{
		"exzmple.com":   {"replacement", "A"},
		"examples.com":  {"addition dictionary", "A B"},
		"exemple.com":   {"vowel-swap", "A B"},
		"examplez.com":  {"addition", "B"},
		"s-example.com": {"dictionary", "A"},
	}
	found := 0
	for v := range Permute(seed, a, b).All() {
		if v.Algorithm != v.Algorithms()[0] || !slices.IsSorted(v.Algorithms()) {
			t.Errorf("%s: label %s of %v", v.FQDN, v.Algorithm, v.Algorithms())
		}
		w, ok := want[v.FQDN]
		if !ok {
			continue
		}
		found++
		if got := joinNames(v.Algorithms()); got != w.algorithms || strings.Join(v.Passes, " ") != w.passes {
			t.Errorf("%s: %s by %v, want %+v", v.FQDN, got, v.Passes, w)
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d names", found, len(want))
	}
}

func joinNames(algorithms []Algorithm) string {
	var list []string
	for _, a := range algorithms {
		list = append(list, a.String())
	}
	return strings.Join(list, " ")
}

// The union of the contract's passes is what they make one by one.
func TestContractPassesUnion(t *testing.T) {
	for _, domain := range []string{"sbi.co.in", "hdfcbank.com", "münchen.de", "a-b.io"} {
		seed := mustSeed(t, domain)
		passes := ContractPasses(seed, Lists{})
		type reach struct {
			algorithms algorithmSet
			passes     []string
		}
		want := map[string]reach{}
		generated := 0
		for _, pass := range passes {
			for v := range Permute(seed, pass).All() {
				generated++
				r := want[v.FQDN]
				for _, a := range v.Algorithms() {
					r.algorithms = r.algorithms.with(a)
				}
				r.passes = append(r.passes, pass.Name)
				want[v.FQDN] = r
			}
		}
		union := Permute(seed, passes...)
		if union.Len() != len(want) {
			t.Errorf("%s: %d names, want %d", domain, union.Len(), len(want))
		}
		for v := range union.All() {
			r := want[v.FQDN]
			if !slices.Equal(v.Passes, r.passes) || !slices.Equal(v.Algorithms(), r.algorithms.slice()) {
				t.Errorf("%s: %v %v, want %v %v", v.FQDN, v.Algorithms(), v.Passes, r.algorithms.slice(), r.passes)
			}
		}
		t.Logf("%s: %d generated, %d unique", domain, generated, len(want))
	}
}

func TestContractPassesTable(t *testing.T) {
	seed := mustSeed(t, "sbi.co.in")
	passes := ContractPasses(seed, Lists{})
	var lines []string
	for _, p := range passes {
		lines = append(lines, p.Name+": "+strings.ReplaceAll(joinNames(p.Algorithms), " ", ", "))
	}
	want := []string{
		"PASS_A: addition, bitsquatting, homoglyph, hyphenation, insertion, omission, repetition, replacement, subdomain, transposition, vowel-swap, dictionary, tld-swap",
		"PASS_B: homoglyph, transposition, insertion, omission, replacement, addition, dictionary, tld-swap",
		"PASS_C: dictionary, tld-swap, addition, replacement",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("passes\n%s", strings.Join(lines, "\n"))
	}
	if !slices.Equal(passes[0].Words, GeneralWords()) || !slices.Equal(passes[1].Words, GeneralWords()) ||
		!slices.Equal(passes[2].Words, HighRiskWords()) || !slices.Equal(passes[0].Suffixes, CommonSuffixes()) ||
		!slices.Equal(passes[1].Suffixes, HomeSuffixes("IN")) || !slices.Equal(passes[2].Suffixes, CommonSuffixes()) {
		t.Error("lists are not the table's")
	}
	own := ContractPasses(seed, Lists{Common: []string{"xyz"}, Home: []string{}, Words: []string{"w"}, HighRisk: []string{"h"}})
	if own[0].Suffixes[0] != "xyz" || len(own[1].Suffixes) != 0 || own[1].Words[0] != "w" || own[2].Words[0] != "h" {
		t.Error("lists are not replaced")
	}
	if ContractPasses(mustSeed(t, "example.com"), Lists{})[1].Suffixes != nil {
		t.Error("a generic seed has a home")
	}
}

// What is refused as a seed must not come out as a variant, and nothing may
// point back at the brand.
func TestNeverOwnNames(t *testing.T) {
	if got := alone(t, "x.co.uk", Omission, nil, nil); len(got) != 0 {
		t.Errorf("a bare suffix comes out: %v", got)
	}
	if got := names(PermuteDNSTwist(mustSeed(t, "x.co.uk"), Pass{Algorithms: []Algorithm{Omission}})); !slices.Equal(got, []string{"co.uk"}) {
		t.Errorf("dnstwist's does not: %v", got)
	}
	// A homoglyph of a homoglyph is the seed again; a sister under a private suffix is another's.
	for _, domain := range []string{"myshop.github.io", "blogspot.com", "mail.google.com", "clo.uk"} {
		seed := mustSeed(t, domain)
		own := site(seed.FQDN)
		n := 0
		for v := range Permute(seed, Standard(nil, []string{"com", "github.io", seed.PublicSuffix})).All() {
			n++
			if v.FQDN == seed.FQDN || v.FQDN == own || strings.HasSuffix(v.FQDN, "."+own) {
				t.Errorf("%s: %s is its own (%s)", domain, v.FQDN, v.Algorithm)
			}
		}
		if n < 50 {
			t.Errorf("%s: %d names", domain, n)
		}
	}
}

func TestDNSTwistOriginal(t *testing.T) {
	seed := mustSeed(t, "example.com")
	first := func(p *Permutations) Variant {
		for v := range p.All() {
			return v
		}
		return Variant{}
	}
	if v := first(PermuteDNSTwist(seed, DNSTwist(nil, nil))); v.Algorithm != Original || v.FQDN != "example.com" {
		t.Errorf("first is %+v", v)
	}
	if v := first(PermuteDNSTwist(seed, Pass{})); v.Algorithm != Original {
		t.Errorf("nil algorithms: first is %+v", v)
	}
	if v := first(Permute(seed, Pass{Algorithms: []Algorithm{Original}})); v.FQDN != "" {
		t.Errorf("our own rules yield the seed: %+v", v)
	}
}

// Bad lists make no bad names, and a caller may reuse its slices.
func TestHostilePass(t *testing.T) {
	pass := Standard([]string{"", "UPPER", "a.b", "ü", "xn--", "\x00", "-", "xn--zz"}, []string{"", ".", "COM", "a b", "рф", "-x", "1.2.3.4", "net"})
	p := Permute(mustSeed(t, "abc.com"), pass)
	before := names(p)
	for i := range pass.Words {
		pass.Words[i] = "changed"
	}
	for i := range pass.Suffixes {
		pass.Suffixes[i] = "org"
	}
	pass.Algorithms[0] = Various
	if after := names(p); !slices.Equal(before, after) || len(before) != p.Len() {
		t.Error("the caller's slices leak in")
	}
	for _, name := range before {
		if checked, bad := normalize(name, true); bad != nil || checked != name {
			t.Errorf("%q is not valid: %v", name, bad)
		}
	}
	if Permute(Seed{}, Standard([]string{"a"}, []string{"com"})) == nil || Permute(mustSeed(t, "a.io")).Len() != 0 {
		t.Error("no seed, no pass")
	}
}

func TestParseAlgorithms(t *testing.T) {
	got, err := ParseAlgorithms(" Homoglyph,addition,,tld-swap,addition ")
	if err != nil || !slices.Equal(got, []Algorithm{Homoglyph, Addition, TLDSwap}) {
		t.Errorf("%v, %v", got, err)
	}
	for input, want := range map[string]string{
		"addition,nope": `"nope" is no algorithm`, "": "no algorithm is named", " , ": "no algorithm is named",
	} {
		_, err := ParseAlgorithms(input)
		var refused *AlgorithmError
		if !errors.As(err, &refused) || err.Error() != want || !strings.Contains(refused.Hint(), "vowel-swap, dictionary") {
			t.Errorf("%q: %v", input, err)
		}
	}
	if len(DNSTwistAlgorithms()) != 16 || !slices.Equal(Algorithms()[:16], DNSTwistAlgorithms()) {
		t.Errorf("%d algorithms, of them dnstwist's %v", len(Algorithms()), DNSTwistAlgorithms())
	}
	text, err := json.Marshal(map[string]any{"fuzzers": Algorithms()[:2]})
	if err != nil || string(text) != `{"fuzzers":["addition","bitsquatting"]}` {
		t.Errorf("%s, %v", text, err)
	}
	var back struct{ Fuzzers []Algorithm }
	if err := json.Unmarshal(text, &back); err != nil || back.Fuzzers[1] != Bitsquatting {
		t.Errorf("%v, %v", back, err)
	}
	if Algorithm(200).String() != "algorithm(200)" {
		t.Error("an unknown value has a name")
	}
}

// Of a label of one character nothing is left when it is taken out: the suffix,
// private or not, is no look-alike.
func TestNoBareSuffix(t *testing.T) {
	for _, domain := range []string{"a.github.io", "a.co.uk", "a.com"} {
		seed := mustSeed(t, domain)
		for _, p := range []*Permutations{
			Permute(seed, Pass{Name: "edits", Algorithms: []Algorithm{Edit, Omission}}),
			Rank(seed, RankOptions{Limit: 20000}),
		} {
			for v := range p.All() {
				if v.FQDN == seed.PublicSuffix {
					t.Errorf("%s of %s", v.FQDN, domain)
				}
			}
		}
	}
}
