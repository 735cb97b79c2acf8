package geoip_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/typostream/typostream/internal/geoip"
	"github.com/typostream/typostream/internal/geoip/geoiptest"
)

var networks = map[netip.Prefix]string{
	netip.MustParsePrefix("192.0.2.0/25"):    "United States",
	netip.MustParsePrefix("198.51.100.0/24"): "Taiwan, Province of China",
	netip.MustParsePrefix("2001:db8::/32"):   "Germany",
}

func database(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "country.mmdb")
	if err := geoiptest.Write(path, networks); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCountry(t *testing.T) {
	db, err := geoip.Open(database(t))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"192.0.2.1": "United States", "192.0.2.127": "United States", "192.0.2.128": "", "198.51.100.9": "Taiwan", "2001:db8::1": "Germany",
		"::ffff:192.0.2.1": "United States", "203.0.113.1": "", "": "", "acme.com": "", "192.0.2": "",
	} {
		if got := db.Country(address); got != want {
			t.Errorf("%q is in %q, want %q", address, got, want)
		}
	}
}

// A file that is overwritten in place, as cp does it, changes nothing for who
// has read it.
func TestFileMayChange(t *testing.T) {
	path := database(t)
	db, err := geoip.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if got := db.Country("192.0.2.1"); got != "United States" {
		t.Errorf("192.0.2.1 is in %q", got)
	}
}

// What cannot be used is told when it is opened, with the file and a hint.
func TestOpenRefuses(t *testing.T) {
	good, err := os.ReadFile(database(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	other := filepath.Join(dir, "asn.mmdb")
	if err := geoiptest.WriteWithoutCountries(other, networks); err != nil {
		t.Fatal(err)
	}
	without, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	// The separator of the search tree and the data is sixteen zero bytes.
	broken := bytes.Clone(good)
	if i := bytes.Index(broken, make([]byte, 16)); i < 0 {
		t.Fatal("no separator")
	} else {
		broken[i+16] ^= 0xff
	}
	for name, content := range map[string][]byte{
		"empty": {}, "text": []byte("Germany\n"), "half": good[:len(good)/2], "headless": good[100:], "broken": broken, "without": without,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		expectRefusal(t, path)
	}
	if err := expectRefusal(t, filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	expectRefusal(t, dir)
}

func expectRefusal(t *testing.T, path string) error {
	t.Helper()
	_, err := geoip.Open(path)
	var told *geoip.Error
	if !errors.As(err, &told) || told.Hint() == "" || told.Path != path || strings.Count(err.Error(), path) != 1 {
		t.Errorf("%s: %v", path, err)
	}
	return err
}

// Whatever stands in a file, nothing panics.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "country.mmdb")
	if err := geoiptest.Write(path, networks); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "x.mmdb")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if db, err := geoip.Open(path); err == nil {
			db.Country("192.0.2.1")
			db.Country("2001:db8::1")
		}
	})
}
