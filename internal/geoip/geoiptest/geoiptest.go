// Package geoiptest makes country databases for tests.
package geoiptest

import (
	"io"
	"net/netip"
	"os"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"go4.org/netipx"
)

// Write makes a database in which each network has the fields of GeoLite2
// Country, with its value as the country's name. Networks may be reserved ones.
func Write(path string, countries map[netip.Prefix]string) error {
	return write(path, "GeoLite2-Country", countries, func(name string) mmdbtype.DataType {
		return mmdbtype.Map{
			"country":            mmdbtype.Map{"iso_code": mmdbtype.String("XX"), "names": mmdbtype.Map{"de": mmdbtype.String("anders"), "en": mmdbtype.String(name)}},
			"registered_country": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Elsewhere")}},
		}
	})
}

// WriteWithoutCountries makes one of which the networks have an organisation and
// a registered country, which is not where they are.
func WriteWithoutCountries(path string, organisations map[netip.Prefix]string) error {
	return write(path, "GeoLite2-ASN", organisations, func(name string) mmdbtype.DataType {
		return mmdbtype.Map{
			"autonomous_system_organization": mmdbtype.String(name),
			"registered_country":             mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Elsewhere")}},
		}
	})
}

func write(path, kind string, values map[netip.Prefix]string, record func(string) mmdbtype.DataType) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, Languages: []string{"de", "en"}, IncludeReservedNetworks: true})
	if err != nil {
		return err
	}
	for network, value := range values {
		if err := tree.Insert(netipx.PrefixIPNet(network), record(value)); err != nil {
			return err
		}
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := tree.WriteTo(io.Writer(file)); err != nil {
		return err
	}
	return file.Close()
}
