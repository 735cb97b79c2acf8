package fuzzer

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// validName is dnstwist's VALID_FQDN_REGEX without what Go's regexp lacks.
var validName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)

// drawSeed makes seeds of letters, digits, hyphens and accented or foreign
// letters, under suffixes of all kinds.
func drawSeed(t *rapid.T) Seed {
	label := rapid.StringOfN(rapid.RuneFrom([]rune("abcdefghilmnorstuvwxyz0189-üßéøаеоλ日ب")), 1, 14, -1)
	suffix := rapid.SampledFrom([]string{
		"com", "co.uk", "de", "fr", "xn--p1ai", "github.io", "bank.in", "internal", "jp", "web.app", "com.br",
	}).Draw(t, "suffix")
	name := label.Draw(t, "label") + "." + suffix
	if sub := rapid.SampledFrom([]string{"", "www.", "xn--bcher-kva.", "a.b-c."}).Draw(t, "sub"); sub != "" {
		name = sub + name
	}
	seed, err := ParseSeed(name)
	if err != nil {
		t.Skip("no seed")
	}
	return seed
}

func drawPasses(t *rapid.T) []Pass {
	words := []string{"login", "xn--mller-kva", "a", "-", "s"}
	suffixes := []string{"com", "net", "co.uk", "xn--p1ai", "github.io"}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Pass {
		return Pass{
			Name:       rapid.StringMatching(`[A-C]`).Draw(t, "name"),
			Algorithms: rapid.SliceOfN(rapid.SampledFrom(append(Algorithms(), Original)), 1, 40).Draw(t, "algorithms"),
			Words:      rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, "words"),
			Suffixes:   rapid.SliceOfN(rapid.SampledFrom(suffixes), 0, 3).Draw(t, "suffixes"),
		}
	}), 0, 3).Draw(t, "passes")
}

func TestVariantProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, passes := drawSeed(t), drawPasses(t)
		p := Permute(seed, passes...)
		checkVariants(t, seed, p)
		if again := Permute(seed, passes...); !slices.Equal(names(p), names(again)) {
			t.Fatal("not deterministic")
		}
		// Stopping early shows the beginning of the same list and does no more.
		all, stop := names(p), rapid.IntRange(0, p.Len()).Draw(t, "stop")
		n := 0
		for v := range p.All() {
			if n == stop {
				break
			}
			if v.FQDN != all[n] {
				t.Fatalf("name %d is %s, then %s", n, all[n], v.FQDN)
			}
			n++
		}
	})
}

// Each algorithm by itself keeps the package's promises, and an algorithm that
// edits the label leaves the rest of the name alone.
func TestAlgorithmProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := drawSeed(t)
		a := rapid.SampledFrom(Algorithms()).Draw(t, "algorithm")
		pass := Pass{Name: "p", Algorithms: []Algorithm{a}, Words: []string{"login"}, Suffixes: []string{"com", "co.uk"}}
		p := Permute(seed, pass)
		checkVariants(t, seed, p)
		if !slices.Equal(names(p), names(Permute(seed, pass))) {
			t.Fatalf("%s is not deterministic", a)
		}
		g := newGenerator(seed)
		before := string(g.label)
		edited := 0
		g.edits(a, func([]rune) bool { edited++; return true })
		if a.editsLabel() != (labelEdits[a] != nil) || !a.editsLabel() && edited > 0 {
			t.Fatalf("%s: %d edits", a, edited)
		}
		if string(g.label) != before {
			t.Fatalf("%s changes the generator's label to %q", a, string(g.label))
		}
		for stop := range min(edited, 5) {
			n := 0
			if g.edits(a, func([]rune) bool { n++; return n <= stop }) || n != stop+1 {
				t.Fatalf("%s: stopped after %d, %d came", a, stop+1, n)
			}
		}
		for v := range p.All() {
			if a.editsLabel() && !(strings.HasSuffix(v.FQDN, "."+seed.PublicSuffix) && strings.HasPrefix(v.FQDN, seed.Subdomain)) {
				t.Fatalf("%s: %s", a, v.FQDN)
			}
		}
	})
}

func TestDNSTwistProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := drawSeed(t)
		p := PermuteDNSTwist(seed, DNSTwist([]string{"login"}, []string{"com", "co.uk"}))
		seen := map[string]bool{}
		for v := range p.All() {
			if seen[v.FQDN] || !validName.MatchString(v.FQDN) {
				t.Fatalf("%s: twice or invalid", v.FQDN)
			}
			seen[v.FQDN] = true
		}
		if !seen[seed.FQDN] || len(seen) != p.Len() {
			t.Fatalf("%d names, Len %d, the seed among them: %t", len(seen), p.Len(), seen[seed.FQDN])
		}
		// Our own rules leave out, and add only flips in A-labels.
		for v := range Permute(seed, Standard([]string{"login"}, []string{"com", "co.uk"})).All() {
			if !seen[v.FQDN] && (isASCII(seed.Label) || v.Algorithm != Bitsquatting) {
				t.Fatalf("%s is not dnstwist's", v.FQDN)
			}
		}
	})
}

// checkVariants holds a set against what the package promises of every variant.
func checkVariants(t interface{ Fatalf(string, ...any) }, seed Seed, p *Permutations) {
	own := site(seed.FQDN)
	seen := make(map[string]bool, p.Len())
	for v := range p.All() {
		if seen[v.FQDN] {
			t.Fatalf("%s: twice", v.FQDN)
		}
		seen[v.FQDN] = true
		if v.FQDN == seed.FQDN || site(v.FQDN) == own || Registrable(v.FQDN) == "" {
			t.Fatalf("%s is the seed's own, or a bare suffix (%s)", v.FQDN, v.Algorithm)
		}
		if len(v.FQDN) > maxNameLen || !validName.MatchString(v.FQDN) {
			t.Fatalf("%q is no name", v.FQDN)
		}
		for label := range strings.SplitSeq(v.FQDN, ".") {
			// Without package idna's rule on hyphens, which counts octets where
			// RFC 5891 counts characters: it refuses ß--k, and takes éa--b.
			if _, err := registration.ToASCII(label); err != nil {
				t.Fatalf("%s: %v", v.FQDN, err)
			}
		}
		if len(v.Algorithms()) == 0 || len(v.Passes) == 0 || !slices.Contains(v.Algorithms(), v.Algorithm) || v.Algorithm == Original {
			t.Fatalf("%+v", v)
		}
	}
	if len(seen) != p.Len() {
		t.Fatalf("%d names, Len %d", len(seen), p.Len())
	}
}

// The short way through appendLabel says what package idna says.
func TestLabelShortcut(t *testing.T) {
	alphabet := []rune("abcxn019--üßéøåñłаеоћλώςⱨꞑ")
	rapid.Check(t, func(t *rapid.T) {
		label := rapid.SliceOfN(rapid.SampledFrom(alphabet), 1, 70).Draw(t, "label")
		fast, fastOK := appendLabel(nil, label)
		slow, slowOK := []byte(nil), false
		n := len(label)
		bare := label[0] != '-' && label[n-1] != '-' && (n < 4 || label[2] != '-' || label[3] != '-' || label[0] == 'x' && label[1] == 'n')
		if bare {
			slow, slowOK = appendLabelSlow(nil, label)
		}
		if fastOK != slowOK || string(fast) != string(slow) {
			t.Fatalf("%q: %q %t, package idna says %q %t", string(label), fast, fastOK, slow, slowOK)
		}
	})
}

func TestGlyphsAreInert(t *testing.T) {
	tables := []glyphTable{
		glyphsUnicode, confusablesLatin, confusablesCyrillic, confusablesGreek, confusablesArmenian,
		resemblingCyrillic, resemblingGreek, resemblingArmenian,
	}
	for _, table := range glyphsBySuffix {
		tables = append(tables, table)
	}
	for _, table := range tables {
		for _, list := range table {
			for _, r := range strings.ReplaceAll(list, " ", "") {
				if !isInert(r) {
					t.Errorf("%c takes the slow way", r)
				}
			}
		}
	}
	for _, r := range cyrillicOf {
		if !isInert(r) {
			t.Errorf("%c takes the slow way", r)
		}
	}
}

// The contextual rules of RFC 5892, appendix A, and letters against symbols.
func TestIDNA2008(t *testing.T) {
	for label, want := range map[string]bool{
		"l·l": true, "l·a": false, "·l": false, "͵α": true, "͵a": false, "א׳": true, "׳א": false,
		"ア・ア": true, "a・a": false, "ب٠": true, "ب۰": true, "ب٠۰": false, "❤": false, "a€": false, "〇": true,
		"ß": true, "ς": true, "क्\u200dष": true, "a\u200d": false, "日本": true, "é--b": true, "ß--k": true, "éa--b": false, "Ü": false,
		"xn--mnchen-3ya": true, "xn--mnchen": false, "xn--abc-": false, "xn--": false, "a。b": false, "a.b": false,
	} {
		if _, ok := appendLabel(nil, []rune(label)); ok != want {
			t.Errorf("%q: %t, want %t", label, ok, want)
		}
	}
}

// Several goroutines may range over one set at once.
func TestConcurrentStreams(t *testing.T) {
	seed := mustSeed(t, "münchen-bank.de")
	p := Permute(seed, ContractPasses(seed, Lists{})...)
	want := names(p)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if !slices.Equal(names(p), want) {
				t.Error("another list")
			}
		})
	}
	group.Wait()
}

func FuzzParseSeed(f *testing.F) {
	for _, input := range []string{"example.com", "https://u:p@münchen.de:8080/x?y#z", "[::1]:80", "xn--zz.com", "a..b", "co.uk", "1.2.3.4", "web.app", "\xff", "a-b.com", "-a.com", "a.0xab", "1.2.com", "a.c0m", "A.com", "a..com"} {
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input string) {
		if whole, bad := normalize(input, false); isNormal(input) && (bad != nil || whole != input) {
			t.Fatalf("%q: taken for normal, but it is %q, %v", input, whole, bad)
		}
		if name, err := NormalizeFQDN(input); err == nil {
			if again, err := NormalizeFQDN(name); err != nil || again != name {
				t.Fatalf("%q: %q, then %q, %v", input, name, again, err)
			}
		}
		seed, err := ParseSeed(input)
		if err != nil {
			if err.Error() == "" || err.(*SeedError).Hint() == "" {
				t.Fatalf("%q: no sentence or no hint", input)
			}
			return
		}
		again, err := ParseSeed(seed.FQDN)
		if err != nil || again != seed {
			t.Fatalf("%q: %+v, then %+v, %v", input, seed, again, err)
		}
		parts := []string{string(mustLabel(t, seed.Label)), seed.PublicSuffix}
		if seed.Subdomain != "" {
			parts = slices.Insert(parts, 0, seed.Subdomain)
		}
		if strings.Join(parts, ".") != seed.FQDN || !strings.HasSuffix(seed.FQDN, seed.Registrable()) || seed.Registrable() == "" {
			t.Fatalf("%q: %+v, registrable %q", input, seed, seed.Registrable())
		}
	})
}

func mustLabel(t *testing.T, label string) []byte {
	t.Helper()
	ascii, ok := appendLabel(nil, []rune(label))
	if !ok {
		t.Fatalf("label %q is not valid", label)
	}
	return ascii
}

func FuzzVariants(f *testing.F) {
	f.Add("example.com", "login\nmüller", "net\nco.uk")
	f.Add("www.straße-bank.co.uk", "-\nxn--zz", "рф\n.in\nfoo")
	f.Add("a.b.ck", "\x00", "\xff")
	f.Fuzz(func(t *testing.T, input, words, suffixes string) {
		if len(input)+len(words)+len(suffixes) > 400 {
			return // long labels are slow, not different
		}
		seed, err := ParseSeed(input)
		if err != nil || len(seed.Label) > 24 {
			return
		}
		read, bad, err := ReadWords(strings.NewReader(words))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range bad {
			if b.Line < 1 || b.Reason == "" || len(b.Text) > 6*maxQuoted+8 {
				t.Fatalf("%+v", b)
			}
		}
		targets, _, err := ReadSuffixes(strings.NewReader(suffixes))
		if err != nil {
			t.Fatal(err)
		}
		checkVariants(t, seed, Permute(seed, Standard(read, targets), Pass{
			Name: "raw", Words: strings.Fields(words), Suffixes: strings.Fields(suffixes),
		}))
		// Some of the others at a time: together they are slow.
		var more []Algorithm
		for i, a := range Algorithms()[numDNSTwist-1:] {
			if i%4 == len(input)%4 {
				more = append(more, a)
			}
		}
		checkVariants(t, seed, Permute(seed, Pass{
			Name: "more", Algorithms: more, Words: strings.Fields(words), Suffixes: strings.Fields(suffixes),
		}))
		// Ranked: the likeliest names with everything, then the algorithms one by
		// one in turn, with fewer of the likely ones before their own.
		own := RankOptions{Limit: 300, Words: strings.Fields(words), Suffixes: strings.Fields(suffixes)}
		checkRanked(t, seed, Rank(seed, own), own.Limit)
		own.Algorithms = []Algorithm{Algorithms()[len(words)%len(Algorithms())]}
		checkRanked(t, seed, Rank(seed, own), own.Limit)
		PermuteDNSTwist(seed, DNSTwist(strings.Fields(words), strings.Fields(suffixes)))
	})
}

func FuzzReadLists(f *testing.F) {
	f.Add("login\r\n# x\n\uFEFFa")
	f.Add(strings.Repeat("x", maxLineLen) + "\nb")
	f.Fuzz(func(t *testing.T, text string) {
		words, bad, _ := ReadWords(strings.NewReader(text))
		if len(words)+len(bad) > strings.Count(text, "\n")+1 {
			t.Fatalf("%d words and %d bad lines of %q", len(words), len(bad), text)
		}
		again, bad, err := ReadWords(strings.NewReader(strings.Join(words, "\n")))
		if err != nil || len(bad) > 0 || !slices.Equal(words, again) {
			t.Fatalf("%q, then %q, %v, %v", words, again, bad, err)
		}
	})
}
