package fuzzer

import (
	"slices"
	"strings"
	"testing"
)

func TestAllowList(t *testing.T) {
	list, bad, err := ReadAllowList(strings.NewReader(
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
	for name, want := range map[string]bool{
		"example.com": true, "a.b.example.com": true, "myexample.com": false, "com": false, "example.com.co": false,
		"defensive.co.uk": true, "www.defensive.co.uk": true, "co.uk": false, "xn--mnchen-3ya.de": true, "x.web.app": true, "": false,
	} {
		if got := list.Allows(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
	var none *AllowList
	if none.Allows("example.com") || none.Len() != 0 || (&AllowList{}).Allows("example.com") {
		t.Error("no list allows something")
	}
}

func TestMergeLists(t *testing.T) {
	if got := MergeLists([]string{"b", "a"}, nil, []string{"c", "b"}); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("%v", got)
	}
	if MergeLists() != nil {
		t.Error("nothing gives something")
	}
}
