package main

import (
	"errors"

	"github.com/typostream/typostream/internal/geoip"
)

// This file holds where names are in the world: dnstwist's --geoip and its
// variable.

func geoipOption() option {
	return option{
		name: "geolite2-mmdb", env: []string{"GEOLITE2_MMDB"},
		usage: "country database in MaxMind's format, `FILE`; with it results and events have the country of the first IPv4 address", set: text(func(s *settings) *string { return &s.GeoDatabase }),
	}
}

// geoipSwitch is dnstwist's -g. The file alone is enough here.
func geoipSwitch(wanted *bool) option {
	return option{
		name: "geoip", short: "g", value: "false", toggle: true,
		usage: "end with an error unless --geolite2-mmdb or GEOLITE2_MMDB names a country database", set: toggle(func(*settings) *bool { return wanted }),
	}
}

var errNoDatabase = errors.New("--geoip: no country database is named")

// openCountries returns what tells the country of an address; nil if no database
// is named, which is an error if one is wanted.
func openCountries(s *settings, wanted bool) (func(address string) string, error) {
	if s.GeoDatabase == "" {
		if wanted {
			return nil, usagef("name one with --geolite2-mmdb or GEOLITE2_MMDB", "%w", errNoDatabase)
		}
		return nil, nil
	}
	db, err := geoip.Open(s.GeoDatabase)
	if err != nil {
		return nil, usagef("", "%s: %w", s.sources["geolite2-mmdb"].name, err)
	}
	return db.Country, nil
}
