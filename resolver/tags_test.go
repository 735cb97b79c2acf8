package resolver

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	for name, tt := range map[string]struct {
		answer Answer
		want   []string
	}{
		"nothing":              {Answer{NS: []string{"ns1.brand.example"}, A: []string{"9.9.9.9"}, AAAA: []string{"2620:fe::fe"}}, nil},
		"parked by NS":         {Answer{NS: []string{"ns1.sedoparking.com"}}, []string{TagParked}},
		"the suffix itself":    {Answer{CNAME: []string{"sedoparking.com"}}, []string{TagParked}},
		"no suffix":            {Answer{NS: []string{"ns1.notsedoparking.com"}}, nil},
		"parked by MX":         {Answer{MX: []string{"mx.parkingcrew.net"}}, []string{TagParked}},
		"parked by A":          {Answer{A: []string{"9.9.9.9", "199.59.243.228"}}, []string{TagParked}},
		"sinkholed by NS":      {Answer{NS: []string{"ns102a.microsoftinternetsafety.net"}}, []string{TagSinkholed}},
		"sinkholed by A":       {Answer{A: []string{"199.2.137.20"}}, []string{TagSinkholed}},
		"null MX":              {Answer{NullMX: true}, []string{TagNullMX}},
		"private":              {Answer{A: []string{"9.9.9.9", "10.1.2.3"}}, []string{TagSpecialAddress}},
		"loopback":             {Answer{AAAA: []string{"::1"}}, []string{TagSpecialAddress}},
		"mapped":               {Answer{AAAA: []string{"::ffff:9.9.9.9"}}, []string{TagSpecialAddress}},
		"all at a time":        {Answer{NullMX: true, NS: []string{"ns1.bodis.com", "x.sinkhole.cert.pl"}, A: []string{"0.0.0.0"}}, []string{TagNullMX, TagParked, TagSinkholed, TagSpecialAddress}},
		"a name and no number": {Answer{A: []string{"10.1.2.3.example"}}, nil},
	} {
		if got := tt.answer.Tags(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestSpecialAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0.0.0": true, "10.255.255.255": true, "11.0.0.0": false, "100.64.0.1": true, "100.128.0.1": false, "127.0.0.1": true,
		"169.254.169.254": true, "172.31.0.1": true, "172.32.0.1": false, "192.0.2.1": true, "192.168.1.1": true, "198.19.0.1": true,
		"203.0.113.9": true, "224.0.0.1": true, "255.255.255.255": true, "1.1.1.1": false, "8.8.8.8": false,
		"::": true, "::1": true, "64:ff9b::808:808": false, "64:ff9b:1::1": true, "100::1": true, "2001:db8::1": true, "2001:4860::1": false,
		"fc00::1": true, "fdff::1": true, "fe80::1": true, "ff02::1": true, "2606:4700::1": false, "3fff::1": true,
	} {
		if got := specialAddress(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestLikelyOwned(t *testing.T) {
	seed := &Answer{
		NS: []string{"ns1.brand.example", "ns2.brand.example"}, MX: []string{"mx.brand.example"},
		SOA: []string{"ns1.brand.example hostmaster.brand.example"},
	}
	for name, tt := range map[string]struct {
		seed, answer *Answer
		want         bool
	}{
		"the same nameservers":         {seed, &Answer{NS: seed.NS}, true},
		"one of them":                  {seed, &Answer{NS: seed.NS[:1]}, false},
		"the same SOA":                 {seed, &Answer{SOA: seed.SOA}, true},
		"the same mail hosts":          {seed, &Answer{MX: seed.MX}, true},
		"nothing in common":            {seed, &Answer{NS: []string{"ns1.other.example"}}, false},
		"nothing known":                {&Answer{}, &Answer{}, false},
		"a provider of many":           {&Answer{NS: []string{"ns01.domaincontrol.com"}}, &Answer{NS: []string{"ns01.domaincontrol.com"}}, false},
		"mail of many":                 {&Answer{MX: []string{"aspmx.l.google.com"}}, &Answer{MX: []string{"aspmx.l.google.com"}}, false},
		"a SOA of many":                {&Answer{SOA: []string{"ns1.brand.example dns.cloudflare.com"}}, &Answer{SOA: []string{"ns1.brand.example dns.cloudflare.com"}}, false},
		"parked at the same service":   {&Answer{NS: []string{"ns1.bodis.com"}}, &Answer{NS: []string{"ns1.bodis.com"}}, false},
		"a zone's own hosts in common": {&Answer{NS: []string{"ns-1.awsdns-01.com"}}, &Answer{NS: []string{"ns-1.awsdns-01.com"}}, true},
	} {
		if got := LikelyOwned(tt.seed, tt.answer); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// A line that is neither a host name nor a range would never match anything.
func TestListsAreWellFormed(t *testing.T) {
	for file, text := range map[string]string{"parked": parkedText, "sinkholes": sinkholesText, "shared": sharedText} {
		list := parseHostList(text)
		for suffix := range list.suffixes {
			if name, ok := canonicalName(suffix); !ok || name != suffix+"." || !strings.Contains(suffix, ".") || looksNumeric(suffix) {
				t.Errorf("%s: %q is no host name", file, suffix)
			}
		}
		for i, prefix := range list.ranges {
			if prefix.Masked() != prefix || slices.Contains(list.ranges[:i], prefix) {
				t.Errorf("%s: %v is no range, or twice", file, prefix)
			}
		}
		if !strings.Contains(text, "Compiled 20") {
			t.Errorf("%s has no date", file)
		}
	}
}
