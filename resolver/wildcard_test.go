package resolver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/typostream/typostream/resolver"
	"github.com/typostream/typostream/resolver/resolvertest"
)

// slow is for servers that answer: no time-out of its own may end a test.
func slow(t testing.TB, servers ...*resolvertest.Server) *resolver.Resolver {
	t.Helper()
	cfg := resolver.Config{Timeout: time.Minute}
	for _, s := range servers {
		cfg.Upstreams = append(cfg.Upstreams, s.Addr())
	}
	return quick(t, resolver.Unhurried(cfg))
}

func TestWildcardOfAPublicSuffix(t *testing.T) {
	server := serve(t, `
*.ph.            A  192.0.2.7
taken.ph.        SOA ns.host.example. h.host.example. 1 2 3 4 300
taken.ph.        NS ns.host.example.
taken.ph.        A  192.0.2.7
other.ph.        A  192.0.2.8
bare.ph.         TXT "no address"
*.taken.ph.      A  192.0.2.9
shop.taken.ph.   A  192.0.2.10
*.com.ph.        A  192.0.2.11
`)
	r := slow(t, server)
	for name, want := range map[string]string{
		"nobody.ph":      "ph",
		"nobody.com.ph":  "com.ph", // a suffix of its own
		"taken.ph":       "",
		"other.ph":       "",
		"bare.ph":        "", // the wildcard has an address, this has none
		"login.taken.ph": "taken.ph",
		"shop.taken.ph":  "",
	} {
		if a := resolve(t, r, name); a.State != resolver.Registered || a.Wildcard != want {
			t.Errorf("%s: %+v, want wildcard %v", name, a, want)
		}
	}
}

func TestWildcardOfAParent(t *testing.T) {
	server := serve(t, `
*.shop.example.in. CNAME gone.example.
example.in.        A     192.0.2.1
*.in.net.          CNAME all.example.
all.example.       A     192.0.2.2
*.github.io.       A     192.0.2.3
tree.              DNAME all.example.
`)
	r := slow(t, server)
	long := strings.TrimSuffix(strings.Repeat(strings.Repeat("x", 61)+".", 4), ".")[:253-len(".in.net")] + ".in.net"
	for name, want := range map[string]string{
		"a.b.shop.example.in": "shop.example.in",
		"a.shop.example.in":   "shop.example.in",
		"example.in":          "",
		"a.in.net":            "in.net",
		"a.b.in.net":          "in.net",    // the highest: below one that nobody registered either
		"a.github.io":         "github.io", // private, but a suffix to whoever registers there
		"a.b.github.io":       "github.io",
		"a.b.tree":            "tree",
		long:                  "in.net",
	} {
		if a := resolve(t, r, name); a.State != resolver.Registered || a.Wildcard != want {
			t.Errorf("%s: %+v, want wildcard of %q", name, a, want)
		}
	}
}

func TestParentsAreProbedOnce(t *testing.T) {
	var zone strings.Builder
	for i := range 50 {
		fmt.Fprintf(&zone, "n%d.in. A 192.0.2.%d\n", i, i)
	}
	server := serve(t, zone.String())
	r := slow(t, server)
	err := resolver.Each(t.Context(), r, countTo(100), func(i int) string { return fmt.Sprintf("n%d.in", i) },
		func(i int, a resolver.Answer) error {
			if (a.State == resolver.Registered) != (i < 50) || a.Wildcard != "" {
				t.Errorf("%+v", a)
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	// One for each name, four more for each that exists, three random ones.
	if n := server.Total(); n != 100+4*50+3 {
		t.Errorf("%d queries", n)
	}
}

func TestNothingIsProbedForAbsentNames(t *testing.T) {
	server := serve(t, "")
	r := slow(t, server)
	resolve(t, r, "a.in")
	if n := server.Total(); n != 1 {
		t.Errorf("%d queries for a name that does not exist", n)
	}
}

// A large host answers with some of its addresses, other ones each time.
func TestRotatingWildcard(t *testing.T) {
	zone := "real.in. A 198.51.100.1\n;! *.in. ROTATE 2 A\n"
	for i := range 12 {
		zone += fmt.Sprintf("*.in. A 192.0.2.%d\n", i)
	}
	server := serve(t, zone)
	r := slow(t, server)
	marked := 0
	for i := range 40 {
		a := resolve(t, r, fmt.Sprintf("n%d.in", i))
		if a.State != resolver.Registered {
			t.Fatalf("%+v", a)
		}
		if a.Wildcard != "" {
			marked++
		}
	}
	// While the union grows a name may be let go: of twelve addresses one that
	// is left is not drawn in nine draws of two in 19 of 100 cases.
	if marked < 30 {
		t.Errorf("%d of 40 names are marked", marked)
	}
	for range 32 { // uses up all probes
		if a := resolve(t, r, "real.in"); a.Wildcard != "" {
			t.Errorf("a name with an address of its own is marked: %+v", a)
		}
	}
	for i := range 40 {
		if a := resolve(t, r, fmt.Sprintf("m%d.in", i)); a.Wildcard == "" {
			t.Errorf("after all the probes: %+v", a)
		}
	}
	before := server.Total()
	for range 20 {
		resolve(t, r, "real.in")
	}
	if n := server.Total() - before; n != 20*5 {
		t.Errorf("%d queries for 20 names whose parent is known by now, want 5 each", n)
	}
}

func TestUnansweredProbesMarkNothing(t *testing.T) {
	server := serve(t, "a.in. A 192.0.2.1\n;! * SERVFAIL\n;! a.in. DELAY 1ms\n")
	r := slow(t, server)
	if a := resolve(t, r, "a.in"); a.State != resolver.Registered || a.Wildcard != "" {
		t.Errorf("got %+v", a)
	}
}

// longName is a name of so many characters below suffix.
func longName(length int, suffix string) string {
	name := suffix
	for rest := length - len(name); rest > 1; rest = length - len(name) {
		label := min(rest-1, 63)
		if rest-1-label == 1 {
			label-- // leave two, for a dot and a letter
		}
		name = strings.Repeat("y", label) + "." + name
	}
	return name
}

func TestLongNamesBelowAWildcard(t *testing.T) {
	server := serve(t, "*.ph. A 192.0.2.7\n*."+longName(250, "own.ph")+". A 192.0.2.8\n")
	r := slow(t, server)
	rapid.Check(t, func(t *rapid.T) {
		first := strings.Repeat("a", rapid.IntRange(1, 30).Draw(t, "first")) + "."
		suffix := rapid.SampledFrom([]string{"ph", "example.ph"}).Draw(t, "suffix")
		name := first + longName(rapid.IntRange(200, 253).Draw(t, "length")-len(first), suffix)
		a, err := r.Resolve(context.Background(), name)
		if err != nil || a.State != resolver.Registered || a.Wildcard == "" {
			t.Errorf("%d characters: %+v, %v", len(name), a, err)
		}
	})
	// Only names of one or two characters fit below that parent.
	for name, want := range map[string]resolver.State{"ab." + longName(250, "own.ph"): resolver.Registered, "abc." + longName(250, "own.ph"): resolver.Unknown} {
		if a := resolve(t, r, name); a.State != want || a.Wildcard != "" {
			t.Errorf("%d characters: %+v", len(name), a)
		}
	}
	names := []string{"a." + longName(251, "ph"), "a." + longName(229, "ph"), "a.ph"}
	n := 0
	err := resolver.Each(t.Context(), r, slices.Values(names), strings.Clone, func(_ string, a resolver.Answer) error {
		n++
		return nil
	})
	if err != nil || n != len(names) {
		t.Errorf("%d of %d names were answered, %v", n, len(names), err)
	}
}
