package fuzzer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestMoreAlgorithms shows each algorithm beyond dnstwist's on a small seed.
// want lists all names, or with … some; a name behind ! must not come out.
func TestMoreAlgorithms(t *testing.T) {
	suffixes := []string{"net", "co.uk"}
	for _, c := range []struct {
		domain    string
		algorithm Algorithm
		want      string
	}{
		{"example.com", Edit, "… xample.com xeample.com exampel.com axample.com exampble.com examplex.com !example.com !xn--exmple-qta.com"},
		{"google.com", DoubleReplacement, "… giigle.com gppgle.com g00gle.com !giogle.com"},
		{"example.com", DoubleReplacement, ""},
		{"example.com", Prefix, "… aexample.com 0example.com !examplea.com"},
		{"facebook.com", Prefix, "… xfacebook.com facexbook.com !faxcebook.com"},
		{"my-bank.com", Prefix, "… xmy-bank.com my-xbank.com !myx-bank.com"},
		{"example.com", Leet, "… ex4mple.com 3xampl3.com 3x4mpl3.com"},
		{"abc.com", Leet, "4bc.com 48c.com a8c.com"},
		{"google.com", AllOccurrences, "… g00gle.com ggle.com gaagle.com !g0ogle.com"},
		{"abc.com", AllOccurrences, ""},
		{"google.com", VowelShuffle, "goeglo.com geoglo.com"},
		{"pixel.com", VowelShuffle, "pexil.com"},
		{"xyz.com", VowelShuffle, ""},
		{"facebook.com", Sound, "… phacebook.com facebouk.com !facebook.com"},
		{"flickr.com", Sound, "… phlickr.com flikr.com flicr.com"},
		{"mailchimp.com", Sound, "… malechimp.com"},
		{"believe.com", Sound, "… beleive.com"},
		{"businessbank.com", Misspelling, "… buisnessbank.com bussinessbank.com !businessbank.com"},
		{"acme.com", Misspelling, ""},
		{"4chan.org", NumberWord, "fourchan.org forchan.org"},
		{"fourchan.org", NumberWord, "4chan.org"},
		{"14chan.org", NumberWord, "fourteenchan.org"},
		{"facebook.com", WordOrder, "bookface.com book-face.com"},
		{"hdfcbank.com", WordOrder, "bankhdfc.com bank-hdfc.com"},
		{"my-new-bank.com", WordOrder, "… mybanknew.com bank-new-my.com newmybank.com"},
		{"acme.com", WordOrder, ""},
		{"citybank.com", SingularPlural, "citiesbank.com citybanks.com"},
		{"box.com", SingularPlural, "boxes.com"},
		{"boxes.com", SingularPlural, "box.com"},
		{"companies.com", SingularPlural, "company.com"},
		{"walletmen.com", SingularPlural, "walletsmen.com walletman.com"},
		{"example.com", Combosquat, "… example-login.com examplelogin.com login-example.com loginexample.com example-airdrop.com example-giris.com !login.com"},
		{"my-new-bank.com", Dehyphenation, "mynew-bank.com my-newbank.com mynewbank.com m-ynew-bank.com myn-ew-bank.com myne-w-bank.com mynew--bank.com mynew-b-ank.com mynew-ba-nk.com mynew-ban-k.com m-y-newbank.com my-n-ewbank.com my-ne-wbank.com my-newb-ank.com my-newba-nk.com my-newban-k.com"},
		{"acme.com", Dehyphenation, ""},
		{"example.com", HostDot, "… wwwexample.com www-example.com mailexample.com m-example.com autodiscoverexample.com !www.example.com"},
		{"www.example.co.uk", DotHyphen, "www-example.co.uk www-example-co.uk www.example-co.uk"},
		{"example.com", DotHyphen, ""},
		{"google.com", TLDInLabel, "googlecom.com googlecom.net googlecom.co.uk google-com.com google-com.net google-com.co.uk " +
			"googlenet.com google-net.com googlecouk.com google-couk.com googleco-uk.com google-co-uk.com"},
		{"sbi.bank.in", BoundaryHyphen, "sbi-bank.in sbi-bank.com"},
		{"hdfcbank.com", BoundaryHyphen, "hdfc-bank.com"},
		{"acme.com", BoundaryHyphen, ""},
		{"mybankcard.com", BoundaryHyphen, "my-bankcard.com mybank-card.com my-bank-card.com"},
		{"sbi.co.in", WrongSecondLevel, "… sbi.in sbi.net.in sbi.org.in sbi.bank.in !sbi.co.in !sbi.co.uk"},
		{"example.co.uk", WrongSecondLevel, "… example.org.uk example.uk example.ac.uk example.gov.uk"},
		{"example.com", WrongSecondLevel, ""},
		{"google.com", TLDAppend, "… google.com.co google.com.de google.com.br !google.com.net !google.com.com"},
		{"example.co.uk", TLDAppend, "… example.uk.com example.uk.net"},
		{"example.co", TLDBitflip, "… example.so example.cn !example.bo.co"},
		{"windows.com", TLDBitflip, "windows.bom wi.dows.com"},
		{"www.acme.co.uk", TLDBitflip, "… wwwnacme.co.uk !www.acme.co.uj"},
		{"paypal.com", GiveAway, "… paypal.web.app paypal.us.com paypal-com.web.app paypal.github.io"},
		{"paypal.web.app", GiveAway, "… paypal.github.io paypal-web-app.github.io !paypal.web.app"},
	} {
		got := alone(t, c.domain, c.algorithm, nil, suffixes)
		exact, some, open := strings.Cut(c.want, "…")
		for _, name := range strings.Fields(some) {
			unwanted, isUnwanted := strings.CutPrefix(name, "!")
			if slices.Contains(got, unwanted) == isUnwanted {
				t.Errorf("%s of %s: %s, of %d names", c.algorithm, c.domain, name, len(got))
			}
		}
		if want := strings.Fields(exact); !open && !sameNames(got, want) {
			t.Errorf("%s of %s:\n%v, want\n%v", c.algorithm, c.domain, got, want)
		}
	}
}

func sameNames(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// unicodeNames runs an algorithm and returns the registrable labels as U-labels.
func unicodeNames(t *testing.T, domain string, a Algorithm) []string {
	t.Helper()
	var labels []string
	for _, name := range alone(t, domain, a, nil, nil) {
		label, _, _ := strings.Cut(name, ".")
		labels = append(labels, displayWord(label))
	}
	return labels
}

// What comes out depends on what the registry takes.
func TestConfusables(t *testing.T) {
	for _, c := range []struct {
		domain    string
		algorithm Algorithm
		want      string // U-labels; as in TestMoreAlgorithms
	}{
		{"example.com", Confusable, "… exɑmple !exаmple !exαmple"}, // Latin; no mixture with Cyrillic or Greek
		{"example.ws", Confusable, "… exɑmple exаmple exαmple"},
		{"paypal.de", Confusable, ""},
		{"phishing.fr", Confusable, ""},
		{"oeuvre.fr", Confusable, "œuvre"},
		{"paypal.co.uk", Confusable, ""},
		{"paypal.org.uk", Confusable, ""}, // by the last label
		{"paypal.web.app", Confusable, ""},
		{"paypal.shop", Confusable, "þaypal payþal"}, // unknown: European letters
		{"пример.xn--p1ai", Confusable, ""},
		{"apple.com", WholeScript, "… аррӏе"},
		{"apple.ru", WholeScript, ""},
		{"apple.org", WholeScript, "… аррӏе"},
		{"apple.xn--p1ai", WholeScript, "… аррӏе"},
		{"apple.gr", WholeScript, "… αρριε"},
		{"bank24.com", WholeScript, "… ьапк24"},
		{"hougp.com", WholeScript, "… հօսցք"},
		{"example.com", Diacritic, "… exȧmple exấmple exaṃple"},
		{"example.shop", Diacritic, "… exāmple exấmple !exȧmple"}, // unknown: European letters
		{"example.de", Diacritic, "… exāmple !exấmple"},
		{"example.co.jp", Diacritic, ""},
	} {
		got := unicodeNames(t, c.domain, c.algorithm)
		exact, some, open := strings.Cut(c.want, "…")
		for _, name := range strings.Fields(some) {
			unwanted, isUnwanted := strings.CutPrefix(name, "!")
			if slices.Contains(got, unwanted) == isUnwanted {
				t.Errorf("%s of %s: %s; %v", c.algorithm, c.domain, name, got)
			}
		}
		if want := strings.Fields(exact); !open && !sameNames(got, want) {
			t.Errorf("%s of %s: %v, want %v", c.algorithm, c.domain, got, want)
		}
	}
}

func TestRegistries(t *testing.T) {
	for suffix, entry := range registries() {
		if !isSuffix(suffix) && !slices.Contains(tlds(), suffix) {
			t.Errorf("%s is no suffix", suffix)
		}
		if entry.scripts == 0 && entry.mixed {
			t.Errorf("%s mixes no scripts", suffix)
		}
	}
	for _, c := range []struct {
		suffix, label string
		want          bool
	}{
		{"com", "exɑmple", true},
		{"com", "exаmple", false},
		{"com", "пример", true},
		{"com", "plain", true},
		{"tk", "exаmple", true},
		{"eu", "пример", false},
		{"eu", "müller", true},
		{"de", "ꝏ", false},
		{"co.uk", "müller", false},
		{"ac.uk", "müller", false},
		{"co.uk", "plain", true},
		{"jp", "café", false},
		{"xn--p1ai", "пример", true},
		{"xn--p1ai", "café", false},
		{"xn--qxam", "αβγ", true},
		{"xn--fiqs8s", "café", false},
		{"github.io", "café", false},
		{"shop", "café", true},
		{"se", "ɑ", false},
		{"com", "日本", false},
		{"pl", "пример", true},
		{"com.ua", "пример", true},
		{"com.ua", "café", false},
		{"gr", "αβγ", true},
		{"biz", "пример", false},
		{"co.nz", "māori", true},
		{"co.nz", "café", false},
		{"es", "españa", true},
		{"es", "måne", false},
		{"me", "café", false},
		{"org.au", "café", false},
		{"app", "άβγ", true},
	} {
		if got := registryOf(c.suffix).accepts([]rune(c.label)); got != c.want {
			t.Errorf("%s under %s: %t, want %t", c.label, c.suffix, got, c.want)
		}
	}
}

// The tables of confusables.txt hold single letters of their script.
func TestConfusableTables(t *testing.T) {
	for script, tables := range map[scripts][]glyphTable{
		latin: {confusablesLatin}, cyrillic: {confusablesCyrillic, resemblingCyrillic},
		greek: {confusablesGreek, resemblingGreek}, armenian: {confusablesArmenian, resemblingArmenian},
	} {
		for _, table := range tables {
			for key, glyphs := range table {
				if len(key) > 2 || strings.Trim(key, alnum) != "" {
					t.Errorf("key %q", key)
				}
				for glyph := range strings.FieldsSeq(glyphs) {
					r, size := utf8.DecodeRuneInString(glyph)
					if size != len(glyph) || scriptOf(r) != script {
						t.Errorf("%s → %s: not one letter of the script", key, glyph)
					}
					if _, ok := appendLabel(nil, []rune(glyph)); !ok {
						t.Errorf("%s: IDNA does not allow it", glyph)
					}
				}
			}
		}
	}
}

func TestSegments(t *testing.T) {
	for label, want := range map[string]string{
		"facebook": "face book", "hdfcbank": "hdfc bank", "paypal": "pay pal", "microsoftonline": "micro soft online",
		"bankofamerica": "bank of america", "example": "example", "acme": "acme", "my-new-bank": "my new bank",
		"americanexpress": "american express", "a": "a", "x-": "x", "wellsfargo": "wells fargo", "mailchimp": "mail chimp",
		"amazon": "amazon", "sbi": "sbi", "google": "google", "муляж": "муляж", "zzbankzz": "zzbankzz", "mastercard": "master card", "apple": "apple", "target": "target",
	} {
		g := newGenerator(Seed{Label: label})
		var parts []string
		for _, part := range g.segments() {
			parts = append(parts, string(part))
		}
		if got := strings.Join(parts, " "); got != want {
			t.Errorf("%s: %s, want %s", label, got, want)
		}
		for i, start := range g.wordStarts() {
			if !hasPrefix(g.label[start:], g.segments()[i]) {
				t.Errorf("%s: word %d does not begin at %d", label, i, start)
			}
		}
	}
}

func TestOtherNumber(t *testing.T) {
	for word, want := range map[string]string{
		"bank": "banks", "banks": "bank bankses", "box": "boxes", "boxes": "box", "city": "cities", "cities": "city",
		"day": "days", "class": "classes", "classes": "class", "church": "churches", "churches": "church",
		"man": "men", "people": "person", "bus": "buses", "photo": "photos photoes", "shoe": "shoes", "s": "", "a1": "", "tie": "ties",
	} {
		if got := strings.Join(otherNumber(word), " "); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}
