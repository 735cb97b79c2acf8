package fuzzer

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParseSeed(t *testing.T) {
	example := Seed{"example.com", "", "example", "com"}
	for input, want := range map[string]Seed{
		"example.com":                          example,
		" EXAMPLE.Com. ":                       example,
		"https://user:p@ss@example.com:8443/a": example,
		"//example.com/x":                      example,
		"ftp://example.com?q=http://x.org":     example,
		"example.com/login?next=https://a.b":   example,
		"example.com#top":                      example,
		"example.com:443":                      example,
		"someone@example.com":                  example,
		"https:\\\\example.com":                {},
		"example。com":                          example,
		"www.shop.example.co.jp":               {"www.shop.example.co.jp", "www.shop", "example", "co.jp"},
		"MÜNCHEN.de":                           {"xn--mnchen-3ya.de", "", "münchen", "de"},
		"xn--mnchen-3ya.de":                    {"xn--mnchen-3ya.de", "", "münchen", "de"},
		"mu\u0308nchen.de":                     {"xn--mnchen-3ya.de", "", "münchen", "de"},
		"bücher.münchen.de":                    {"xn--bcher-kva.xn--mnchen-3ya.de", "xn--bcher-kva", "münchen", "de"},
		"банк.рф":                              {"xn--80ab2al.xn--p1ai", "", "банк", "xn--p1ai"},
		"sbi.bank.in":                          {"sbi.bank.in", "", "sbi", "bank.in"},
		"host.internal":                        {"host.internal", "", "host", "internal"},
		"foo.bar.github.io":                    {"foo.bar.github.io", "foo", "bar", "github.io"},
		"blogspot.com":                         {"blogspot.com", "", "blogspot", "com"},
		"web.app":                              {"web.app", "", "web", "app"},
		"github.io":                            {"github.io", "", "github", "io"},
		"www.ck":                               {"www.ck", "", "www", "ck"},
		"0x.com":                               {"0x.com", "", "0x", "com"},
	} {
		seed, err := ParseSeed(input)
		if want == (Seed{}) {
			if err == nil {
				t.Errorf("%q: accepted as %+v", input, seed)
			}
			continue
		}
		if err != nil || seed != want {
			t.Errorf("%q: %+v, %v; want %+v", input, seed, err, want)
		}
	}
}

func TestParseSeedRefuses(t *testing.T) {
	for input, reason := range map[string]string{
		"":                               "is empty",
		"  ":                             "is empty",
		"https://":                       "is empty",
		"https:///path":                  "is empty",
		"192.0.2.1":                      "is an IP address",
		"https://192.0.2.1:80/x":         "is an IP address",
		"2001:db8::1":                    "is an IP address",
		"fe80::1%eth0":                   "is an IP address",
		"[2001:db8::1]":                  "is an IP address",
		"http://[2001:db8::1]:80/":       "is an IP address",
		"127.1":                          "ends in a number",
		"foo.0x7f":                       "ends in a number",
		"example.123":                    "ends in a number",
		"example.c":                      "ends in a single character",
		"localhost":                      "has a single label",
		"sbi":                            "has a single label",
		"com":                            "has a single label",
		"co.uk":                          "is a public suffix",
		"CO.UK.":                         "is a public suffix",
		"https://bank.in/":               "is a public suffix",
		"foo.ck":                         "is a public suffix",
		"a..com":                         "has an empty label",
		".com":                           "has an empty label",
		"example.com..":                  "has an empty label",
		"exa mple.com":                   "has a space inside",
		"exa_mple.com":                   "has a character that domain names cannot have: '_'",
		"*.example.com":                  "has a character that domain names cannot have: '*'",
		"ex%61mple.com":                  "has a character that domain names cannot have: '%'",
		"example.com:http":               "has a colon",
		"-example.com":                   "has a label that begins or ends with a hyphen",
		"example-.com":                   "has a label that begins or ends with a hyphen",
		"my--bank.com":                   "has a label that is not valid",
		"xn--zz.com":                     "has a label that is not valid",
		"xn--example-.com":               "has a label that begins or ends with a hyphen",
		"i❤.ws":                          "has a label that is not valid",
		"a\u200db.com":                   "has a label that is not valid",
		"exam\x00ple.com":                "has a character that domain names cannot have: '\\x00'",
		"\xff\xfe.com":                   "is not valid UTF-8",
		strings.Repeat("a", 64) + ".com": "has a label longer than 63 octets",
		strings.Repeat("ü", 63) + ".com": "has a label that is not valid under IDNA 2008 (RFC 5891) or too long",
		strings.Repeat("abcdefghi.", 25) + "example.com":    "is longer than 253 characters",
		strings.Repeat("x", 10<<20):                         "is longer than 253 characters",
		"https://example.com/" + strings.Repeat("x", 1<<20): "is longer than 253 characters",
	} {
		_, err := ParseSeed(input)
		var refused *SeedError
		if !errors.As(err, &refused) {
			t.Errorf("%.80q: %v, want a SeedError", input, err)
			continue
		}
		if !strings.HasPrefix(refused.Reason, reason) {
			t.Errorf("%.80q: %q, want %q", input, refused.Reason, reason)
		}
		if refused.Hint() == "" || len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\x00\n") || !utf8.ValidString(err.Error()) {
			t.Errorf("%.80q: hint %q, error %q", input, refused.Hint(), err)
		}
	}
	_, err := ParseSeed("co.uk")
	if want := `"co.uk" is a public suffix, under which others register their names`; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestRegistrable(t *testing.T) {
	for name, want := range map[string]string{
		"foo.bar.github.io": "github.io", "example.com": "example.com", "a.b.example.co.uk": "example.co.uk",
		"co.uk": "", "com": "", "": "", "sbi.bank.in": "sbi.bank.in", "www.sbi.bank.in": "sbi.bank.in",
		"blogspot.com": "blogspot.com", "x.blogspot.com": "blogspot.com", "host.internal": "host.internal",
		"a.host.internal": "host.internal", "www.ck": "www.ck", "a.www.ck": "www.ck", "a.b.ck": "a.b.ck",
		"a.s3.us-east-1.amazonaws.com": "amazonaws.com", "xn--80ab2al.xn--p1ai": "xn--80ab2al.xn--p1ai",
	} {
		if got := Registrable(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := (Seed{FQDN: "a.b.github.io"}).Registrable(); got != "github.io" {
		t.Errorf("method: %q", got)
	}
}

func TestNormalizeFQDN(t *testing.T) {
	for input, want := range map[string]string{
		"Example.COM.": "example.com", "münchen.de": "xn--mnchen-3ya.de", "co.uk": "co.uk", "com": "com",
		"рф": "xn--p1ai", "xn--i-7iq.ws": "xn--i-7iq.ws", "my--bank.com": "my--bank.com", " a.example.com ": "a.example.com",
		"localhost": "", "192.0.2.1": "", "": "", "_dmarc.example.com": "", "a..b": "", "-a.com": "", "http://a.com": "",
		"a.com:80": "", "a b.com": "", "i❤.ws": "", "*.example.com": "", strings.Repeat("a", 64) + ".com": "",
		strings.Repeat("abc.", 64) + "com": "", "::1": "", "1.1": "",
	} {
		got, err := NormalizeFQDN(input)
		var refused *NameError
		if got != want || (want == "") != errors.As(err, &refused) {
			t.Errorf("%q: %q, %v; want %q", input, got, err, want)
		}
		if refused != nil && refused.Hint() == "" {
			t.Errorf("%q: no hint", input)
		}
	}
}

// What isNormal lets pass is not looked at again.
func TestIsNormal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9.-]{0,12}\.?[a-z0-9-]{0,66}\.[a-z0-9]{0,4}`).Draw(t, "name")
		whole, bad := normalize(name, false)
		if isNormal(name) && (bad != nil || whole != name) {
			t.Errorf("%q: %q, %v", name, whole, bad)
		}
	})
	if !isNormal("my-bank.co.uk") || !isNormal("xn--mnchen-3ya.de") {
		t.Error("a plain name is not taken for normal")
	}
}
