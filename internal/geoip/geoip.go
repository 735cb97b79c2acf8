// Package geoip tells the country of an address from a database in MaxMind's
// format, such as GeoLite2 Country.
package geoip

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Database is read once and stays in memory whole. Its methods are safe for
// concurrent use.
type Database struct{ reader *maxminddb.Reader }

// Error says which file is of no use, and why.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("cannot use %s: %v", e.Path, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *Error) Hint() string {
	return "name a country database in MaxMind's format, whole, such as GeoLite2-Country.mmdb; or none"
}

var errNoCountry = errors.New("no address in it has a country")

// Open reads a database that knows countries: GeoLite2 and GeoIP2 Country and
// City, and others with their fields. Every network and record is looked at, so
// that damage shows now. The error is an *Error.
//
// The file is not mapped: one that is overwritten in place would end the
// process (SIGBUS).
func Open(path string) (*Database, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		var system *os.PathError
		if errors.As(err, &system) {
			err = system.Err
		}
		return nil, &Error{path, err}
	}
	reader, err := maxminddb.OpenBytes(bytes)
	if err != nil {
		return nil, &Error{path, err}
	}
	if err := check(reader); err != nil {
		return nil, &Error{path, err}
	}
	return &Database{reader}, nil
}

// Built is when the database was made.
func (d *Database) Built() time.Time { return d.reader.Metadata.BuildTime() }

// check looks at every network and every record, as far as Country does: the
// reader's own Verify refuses files that lack what nobody reads.
func check(reader *maxminddb.Reader) error {
	found := false
	seen := map[uintptr]bool{}
	for network := range reader.Networks() {
		if err := network.Err(); err != nil {
			return err
		}
		if seen[network.Offset()] {
			continue
		}
		seen[network.Offset()] = true
		name, err := nameOf(network)
		if err != nil {
			return err
		}
		found = found || name != ""
	}
	if !found {
		return errNoCountry
	}
	return nil
}

// Country is the English name of the country that the address is used in, cut
// at the first comma as dnstwist does ("Taiwan, Province of China"); "" if it is
// no address or nothing is known of it.
func (d *Database) Country(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	// What the database has was read once when it was opened.
	name, _ := nameOf(d.reader.Lookup(ip))
	name, _, _ = strings.Cut(name, ",")
	return name
}

// nameOf is what geoip2's country.name is; a record may have none.
func nameOf(r maxminddb.Result) (name string, err error) {
	err = r.DecodePath(&name, "country", "names", "en")
	return name, err
}
