package fuzzer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDomainList(t *testing.T) {
	list, bad, err := ReadDomainList(strings.NewReader(
		"\uFEFF# ours\r\nExample.com\r\n*.defensive.co.uk # parked\r\n.münchen.de.\r\nexample.com\r\nco.uk\r\ncom\r\nno good\r\nweb.app\r\n192.0.2.1\r\n*\r\n"))
	if err != nil || list.Len() != 4 {
		t.Fatalf("%d domains, %v", list.Len(), err)
	}
	var lines []int
	for _, b := range bad {
		lines = append(lines, b.Line)
	}
	if !slices.Equal(lines, []int{6, 7, 8, 10, 11}) {
		t.Errorf("bad lines %v", bad)
	}
	lists := &DomainLists{Allow: []*DomainList{nil, list}}
	for name, want := range map[string]bool{
		"example.com": true, "a.b.example.com": true, "myexample.com": false, "com": false, "example.com.co": false,
		"defensive.co.uk": true, "www.defensive.co.uk": true, "co.uk": false, "xn--mnchen-3ya.de": true, "x.web.app": true, "": false,
	} {
		if got := lists.Allows(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
	var none *DomainLists
	if none.Allows("example.com") || none.Denies("example.com") || none.Allowing() || (&DomainLists{Allow: []*DomainList{nil, {}}}).Allowing() {
		t.Error("no list says something")
	}
}

func TestParseListed(t *testing.T) {
	for input, want := range map[string]string{
		"Example.COM.": "example.com", "*.münchen.de": "xn--mnchen-3ya.de", ".a.b.co.uk": "a.b.co.uk", "github.io": "github.io",
		"": "", "com": "", "co.uk": "", "a b.com": "", "192.0.2.1": "", "example.com # ours": "", "https://example.com/": "", "*": "",
	} {
		got, err := ParseListed(input)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v, want %q", input, got, err, want)
		}
		if bad, ok := errors.AsType[*SeedError](err); err != nil && (!ok || bad.Hint() == "" || bad.Input == "") {
			t.Errorf("%q: %v has no cause or hint", input, err)
		}
	}
}

func TestDomainListsMostSpecific(t *testing.T) {
	lists := &DomainLists{
		Allow: []*DomainList{NewDomainList([]string{"ours.com", "deep.bad.com"}), NewDomainList([]string{"both.com", "a.evil.ours.com"})},
		Deny:  NewDomainList([]string{"evil.ours.com", "bad.com", "both.com"}),
	}
	for name, want := range map[string]string{
		"ours.com": "allowed", "x.ours.com": "allowed", "evil.ours.com": "denied", "x.evil.ours.com": "denied", "a.evil.ours.com": "allowed",
		"b.a.evil.ours.com": "allowed", "bad.com": "denied", "deep.bad.com": "allowed", "both.com": "denied", "x.both.com": "denied", "other.com": "", "com": "",
	} {
		got := ""
		if lists.Allows(name) {
			got += "allowed"
		}
		if lists.Denies(name) {
			got += "denied"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// What decides is the longest listed name that the name is or ends with, whatever
// the lists hold.
func TestDomainListsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`([ab]\.){0,3}[ab]\.com`)
		some := rapid.SliceOfN(name, 0, 6)
		first, second, deny, asked := some.Draw(t, "first"), some.Draw(t, "second"), some.Draw(t, "deny"), name.Draw(t, "asked")
		lists := &DomainLists{Allow: []*DomainList{NewDomainList(first), NewDomainList(second)}, Deny: NewDomainList(deny)}
		longest := func(of []string) int {
			n := 0
			for _, domain := range of {
				if asked == domain || strings.HasSuffix(asked, "."+domain) {
					n = max(n, len(domain))
				}
			}
			return n
		}
		allow, refuse := longest(append(first, second...)), longest(deny)
		if got := lists.Allows(asked); got != (allow > refuse) {
			t.Errorf("%s allowed: %t", asked, got)
		}
		if got := lists.Denies(asked); got != (refuse > 0 && refuse >= allow) {
			t.Errorf("%s denied: %t", asked, got)
		}
	})
}

func TestMergeLists(t *testing.T) {
	if got := MergeLists([]string{"b", "a"}, nil, []string{"c", "b"}); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("%v", got)
	}
	if MergeLists() != nil {
		t.Error("nothing gives something")
	}
}
