package main

import (
	"net/netip"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/typostream/typostream/internal/geoip/geoiptest"
)

// cmdCountries makes a country database of the networks.
func cmdCountries(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "countries FILE NETWORK=COUNTRY...")
	networks := map[netip.Prefix]string{}
	for _, arg := range args[1:] {
		network, country, _ := strings.Cut(arg, "=")
		prefix, err := netip.ParsePrefix(network)
		ts.Check(err)
		networks[prefix] = country
	}
	ts.Check(geoiptest.Write(ts.MkAbs(args[0]), networks))
}
