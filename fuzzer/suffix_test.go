package fuzzer

import (
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
	"pgregory.net/rapid"
)

// The short way to tell whose a name is says what package publicsuffix says,
// for names made of the rules themselves, for names around them, and for any.
func TestShortWayToSuffixes(t *testing.T) {
	if !icannRules().current {
		t.Fatal("another list than package publicsuffix holds: run go generate ./fuzzer")
	}
	rules := strings.Fields(strings.ReplaceAll(icannSuffixesText, "*", "any"))
	label := rapid.StringMatching(`[a-z]{1,3}|[a-z0-9][a-z0-9-]{0,8}[a-z0-9]`)
	tail := rapid.OneOf(rapid.SampledFrom(rules), rapid.SampledFrom(CommonSuffixes()), label,
		rapid.SampledFrom([]string{"ck", "www.ck", "kawasaki.jp", "city.kawasaki.jp", "github.io", "web.app", "us.com", "compute.amazonaws.com", "1", "x.1"}))
	rapid.Check(t, func(t *rapid.T) {
		name := tail.Draw(t, "tail")
		for range rapid.IntRange(0, 2).Draw(t, "labels") {
			name = label.Draw(t, "label") + "." + name
		}
		other := others{own: site(rapid.OneOf(rapid.Just(name), tail).Draw(t, "own")), rules: icannRules()}
		want := site(name) != "" && site(name) != other.own
		if got := other.hold([]byte(name)); got != want {
			t.Fatalf("%s beside %q: %t, want %t", name, other.own, got, want)
		}
	})
	for _, rule := range rules {
		if _, icann := publicsuffix.PublicSuffix(rule); icann && site(rule) == "" && (others{rules: icannRules()}).hold([]byte(rule)) {
			t.Errorf("%s is a bare suffix", rule)
		}
	}
}

// A table of another version than package publicsuffix holds is not trusted.
func TestOldTableIsNotTrusted(t *testing.T) {
	old := readSuffixRules("# an older list\nco.uk\n")
	if old.current || !old.mayBeBare([]byte("example.com")) {
		t.Error("a table of another version is trusted")
	}
	if other := (others{own: "a.com", rules: old}); other.hold([]byte("com.br")) || other.hold([]byte("a.com")) || !other.hold([]byte("b.com")) {
		t.Error("with an old table it says another thing")
	}
}
