package fuzzer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustLookAlike(t *testing.T, name string) string {
	t.Helper()
	fqdn, err := ParseLookAlike(name)
	if err != nil {
		t.Fatal(err)
	}
	return fqdn
}

func TestExplain(t *testing.T) {
	tests := []struct {
		seed, name string
		relation   Relation
		host       string
		marked     string
		algorithm  Algorithm // one of those that lead to the name
		dnstwist   string
	}{
		{"example.com", "examqle.com", IsGenerated, "", "exam[p→q]le.com", Bitsquatting, "bitsquatting"},
		{"example.com", "exmple.com", IsGenerated, "", "ex[−a]mple.com", Omission, "omission"},
		{"example.com", "exxample.com", IsGenerated, "", "ex[+x]ample.com", Repetition, "repetition"},
		{"example.com", "exmaple.com", IsGenerated, "", "ex[am⇄ma]ple.com", Transposition, "transposition"},
		{"example.com", "exarnple.com", IsGenerated, "", "exa[m→rn]ple.com", Homoglyph, "homoglyph"},
		{"example.com", "exámple.com", IsGenerated, "", "ex[a→á]mple.com", Homoglyph, "homoglyph"},
		{"apple.com", "xn--80ak6aa92e.com", IsGenerated, "", "[a→а][p→р][p→р][l→ӏ][e→е].com", WholeScript, "cyrillic"},
		{"example.com", "example.net", IsGenerated, "", "example.[com→net]", TLDSwap, "tld-swap"},
		{"example.com", "example-login.com", IsGenerated, "", "example[+-login].com", Dictionary, "dictionary"},
		{"example.com", "secureexample.com", IsGenerated, "", "[+secure]example.com", Combosquat, "dictionary"},
		{"example.com", "examplecom.com", IsGenerated, "", "example[+com].com", TLDInLabel, "various"},
		{"example.com", "ex.ample.com", IsGenerated, "", "ex[+.]ample.com", Subdomain, "subdomain"},
		{"windows.com", "wi.dows.com", IsGenerated, "", "wi[n→.]dows.com", TLDBitflip, ""},
		{"paypal.com", "paypal.web.app", IsGenerated, "", "paypal.[com→web.app]", GiveAway, ""},
		{"sbi.bank.in", "sbi-bank.in", IsGenerated, "", "sbi[.→-]bank.in", BoundaryHyphen, ""},
		{"sbi.bank.in", "sbi.in", IsGenerated, "", "sbi.[bank.in→in]", Various, "various"},
		{"www.example.com", "www.exmple.com", IsGenerated, "", "www.ex[−a]mple.com", Omission, "omission"},
		{"www.example.com", "exmple.com", IsGenerated, "", "ex[−a]mple.com", Omission, "omission"},
		{"aab.com", "a.ab.com", IsGenerated, "", "a[+.]ab.com", Subdomain, "subdomain"}, // ab.com is one as well
		{"example.com", "login.examp1e.com", IsGenerated, "login", "examp[l→1]e.com", Homoglyph, "homoglyph"},
		{"müller.de", "muller.de", IsGenerated, "", "m[ü→u]ller.de", Edit, ""},
		{"example.com", "example.com", IsSeed, "", "", 0, ""},
		{"example.com", "mail.example.com", IsOwn, "", "", 0, ""},
		{"www.example.com", "example.com", IsOwn, "", "", 0, ""},
		{"shop.github.io", "sh0p.github.io", IsGenerated, "", "sh[o→0]p.github.io", Homoglyph, "homoglyph"},
		{"example.com", "secure-example-pay-verify.com", NotGenerated, "", "[+secure-]example[+-pay-verify].com", 0, ""},
		{"example.com", "exaqqqle.com", NotGenerated, "", "exa[+q][m→q][p→q]le.com", 0, ""},
		{"example.com", "zzzz.com", NotGenerated, "", "", 0, ""},
		{"example.com", "example.com.stranger.co.za", NotGenerated, "example.com", "", 0, ""},
	}
	names := map[string][]string{} // by seed: all names of one cost one generation
	for _, test := range tests {
		names[test.seed] = append(names[test.seed], mustLookAlike(t, test.name))
	}
	explained := map[string]Explanation{}
	for seed, names := range names {
		for _, e := range Explain(mustSeed(t, seed), names, ExplainOptions{}) {
			explained[seed+" "+e.Name] = e
		}
	}
	for _, test := range tests {
		e := explained[test.seed+" "+mustLookAlike(t, test.name)]
		if e.Relation != test.relation || e.Host != test.host || e.Marked != test.marked || e.DNSTwist != test.dnstwist {
			t.Errorf("%s of %s: %s, host %q, marked %q, dnstwist %q; want %+v", test.name, test.seed, e.Relation, e.Host, e.Marked, e.DNSTwist, test)
		}
		if made := e.Relation == IsGenerated; made != slices.Contains(e.Algorithms, test.algorithm) || made != (len(e.Algorithms) > 0) {
			t.Errorf("%s of %s: algorithms %v, want %v", test.name, test.seed, e.Algorithms, test.algorithm)
		}
		if missed := e.Relation == NotGenerated; missed != (e.Nearest != nil) || missed != (len(e.Reasons) > 0) {
			t.Errorf("%s of %s: nearest %v, reasons %q", test.name, test.seed, e.Nearest, e.Reasons)
		}
		if e.Relation != IsGenerated && (e.Rank != 0 || e.Profiles != nil) {
			t.Errorf("%s of %s: rank %d in %v", test.name, test.seed, e.Rank, e.Profiles)
		}
	}
}

// What is said of a name that nothing makes: how far it is, what is nearest, why.
func TestExplainWhyNot(t *testing.T) {
	tests := []struct {
		name     string
		distance int
		nearest  string
		reason   string
	}{
		{"microsoftonlinezqxw.com", 4, "", "the lists lack the word zqxw"},
		{"rnicros0ft-online.com", 4, "rnicros0ftonline.com", "no algorithm writes microsoftonline as rnicros0ft-online"},
		{"microsoftonlinе.com", 1, "", "the registry of com is not known to take these letters, or not together"}, // a Cyrillic е
		{"microsoftonline.com.stranger.co.za", 15, "", "the brand stands in front of stranger.co.za, a domain of somebody else that does not resemble it"},
		{"zz.com", 15, "", "the name does not resemble microsoftonline"},
	}
	var names []string
	for _, test := range tests {
		names = append(names, mustLookAlike(t, test.name))
	}
	explained := Explain(mustSeed(t, "microsoftonline.com"), names, ExplainOptions{})
	for i, test := range tests {
		e := explained[i]
		if e.Relation != NotGenerated || !slices.Contains(e.Reasons, test.reason) || e.Nearest == nil {
			t.Errorf("%s: %s, nearest %v, reasons %q", test.name, e.Relation, e.Nearest, e.Reasons)
			continue
		}
		if test.nearest != "" && (e.Distance != test.distance || e.Nearest.Name != test.nearest) {
			t.Errorf("%s: distance %d, nearest %+v; want %+v", test.name, e.Distance, e.Nearest, test)
		}
	}
}

// Lists that are brought make names that nothing made without them.
func TestExplainWithLists(t *testing.T) {
	seed, name := mustSeed(t, "example.com"), []string{"example-qqzzy.nosuchtld", "example-qqzzy.com", "example.nosuchtld"}
	for _, e := range Explain(seed, name, ExplainOptions{}) {
		if e.Relation != NotGenerated {
			t.Errorf("%s without lists: %s", e.Name, e.Relation)
		}
	}
	for _, e := range Explain(seed, name[1:], ExplainOptions{Words: []string{"qqzzy"}, Suffixes: []string{"nosuchtld"}}) {
		if e.Relation != IsGenerated || e.Rank == 0 || !slices.Contains(e.Profiles, DNSTwistName) {
			t.Errorf("%s with lists: %s, rank %d, profiles %v", e.Name, e.Relation, e.Rank, e.Profiles)
		}
	}
}

// Every name of the standard profile is explained by at least the algorithms
// that its variant knows, with its place, and within the profile; the brackets
// of what is marked add up to the name.
func TestExplainProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := drawSeed(t)
		options, _ := RankProfile(StandardName)
		options.Limit = 300 // a beginning of the profile, for the test's time
		from := rapid.IntRange(0, options.Limit-1).Draw(t, "from")
		var names []string
		var variants []Variant
		place := 0
		for v := range Rank(seed, options).All() {
			if place++; place > from && len(names) < 20 {
				names, variants = append(names, v.FQDN), append(variants, v)
			}
		}
		for i, e := range Explain(seed, names, ExplainOptions{}) {
			v := variants[i]
			if e.Relation != IsGenerated || e.LookAlike != v.FQDN || e.Rank != from+i+1 || e.Likelihood != v.Likelihood || !slices.Contains(e.Profiles, StandardName) {
				t.Fatalf("%s of %s: %+v", v.FQDN, seed.FQDN, e)
			}
			for _, a := range v.Algorithms() {
				if !slices.Contains(e.Algorithms, a) {
					t.Fatalf("%s of %s: %v lacks %s", v.FQDN, seed.FQDN, e.Algorithms, a)
				}
			}
			if from, to := readMarks(e.Marked); to != displayName(v.FQDN) || from != displayName(seed.FQDN) && from != displayName(site(seed.FQDN)) {
				t.Fatalf("%s of %s: %s reads %s → %s", v.FQDN, seed.FQDN, e.Marked, from, to)
			}
		}
	})
}

// readMarks undoes the brackets: what the name was made from, and the name.
func readMarks(marked string) (from, to string) {
	for marked != "" {
		plain, rest, found := strings.Cut(marked, "[")
		from, to = from+plain, to+plain
		if !found {
			break
		}
		var change string
		change, marked, _ = strings.Cut(rest, "]")
		if added, ok := strings.CutPrefix(change, "+"); ok {
			to += added
		} else if lost, ok := strings.CutPrefix(change, "−"); ok {
			from += lost
		} else {
			a, b, _ := strings.Cut(strings.ReplaceAll(change, "⇄", "→"), "→")
			from, to = from+a, to+b
		}
	}
	return from, to
}

// Whatever the name, it is explained without a panic, and deterministically.
func TestExplainAnyName(t *testing.T) {
	seed := mustSeed(t, "my-bank.co.uk")
	rapid.Check(t, func(t *rapid.T) {
		input := rapid.StringOfN(rapid.RuneFrom([]rune("abkmny019-.üаβ日")), 1, 40, -1).Draw(t, "name") +
			rapid.SampledFrom([]string{".com", ".co.uk", ".nosuchtld", ".github.io"}).Draw(t, "suffix")
		name, err := ParseLookAlike(input)
		if err != nil {
			return
		}
		q := (&explainer{seed: seed, own: site(seed.FQDN), wanted: map[string][]*inquiry{}}).inquire(name)
		again := (&explainer{seed: seed, own: site(seed.FQDN), wanted: map[string][]*inquiry{}}).inquire(name)
		if fmt.Sprint(q.Explanation, q.reading) != fmt.Sprint(again.Explanation, again.reading) {
			t.Fatalf("%s: %+v, then %+v", name, q, again)
		}
		x := &explainer{seed: seed, own: site(seed.FQDN)}
		if q.compared() {
			x.mark(q)
			if _, to := readMarks(q.Marked); to != displayName(q.site) {
				t.Fatalf("%s: %s reads %s", name, q.Marked, to)
			}
		}
	})
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"a", "", 1},
		{"", "ab", 2},
		{"example", "example", 0},
		{"example", "exampel", 1},
		{"ca", "abc", 2}, // transposed, with an insertion between: 3 for the restricted distance
		{"kitten", "sitting", 3},
		{"paypal", "аураl", 5},
	} {
		if got := distance([]rune(test.a), []rune(test.b)); got != test.want {
			t.Errorf("%s, %s: %d, want %d", test.a, test.b, got, test.want)
		}
		if got := distance([]rune(test.b), []rune(test.a)); got != test.want {
			t.Errorf("%s, %s: %d, want %d", test.b, test.a, got, test.want)
		}
	}
}

func TestImitated(t *testing.T) {
	var seeds []Seed
	for i := range 1000 {
		words := slices.DeleteFunc(GeneralWords(), func(w string) bool { return strings.Contains(w, "-") })
		seeds = append(seeds, mustSeed(t, fmt.Sprintf("%s%s%d.com", words[i%len(words)], words[(7*i+3)%len(words)], i)))
	}
	for _, own := range []string{"example.de", "example.com", "paypal.com", "example.com"} {
		seeds = append(seeds, mustSeed(t, own))
	}
	tests := []struct {
		name string
		want []string // the first, and what follows
	}{
		{"examp1e.com", []string{"example.com generated", "example.de generated"}},
		{"paypa1.xyz", []string{"paypal.com generated"}},
		{"login.paypal-secure.com", []string{"paypal.com generated"}},
		{"paypal.com", []string{"paypal.com seed"}},
		{"www.paypal.com", []string{"paypal.com own"}},
		{"xkqzwvjy.com", nil},
	}
	for _, test := range tests {
		var got []string
		for _, e := range Imitated(mustLookAlike(t, test.name), seeds, ExplainOptions{}) {
			got = append(got, e.Seed.FQDN+" "+string(e.Relation))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s imitates %q, want %q", test.name, got, test.want)
		}
	}
	if Imitated("co.uk", seeds, ExplainOptions{}) != nil {
		t.Error("a public suffix imitates a seed")
	}
}

func TestParseLookAlike(t *testing.T) {
	for input, want := range map[string]string{
		"HTTPS://Login.Examp1e.com:443/x?y": "login.examp1e.com",
		"exámple.com.":                      "xn--exmple-qta.com",
		"xn--i-7iq.ws":                      "xn--i-7iq.ws", // an emoji: IDNA 2008 would not register it, but it exists
	} {
		if got, err := ParseLookAlike(input); got != want || err != nil {
			t.Errorf("%s: %q, %v", input, got, err)
		}
	}
	for _, input := range []string{"", "co.uk", "gar bage", "1.2.3.4", "single", "a..b", "under_score.com", "a--b.", "-a.com"} {
		if got, err := ParseLookAlike(input); err == nil {
			t.Errorf("%q: %q", input, got)
		}
	}
}
