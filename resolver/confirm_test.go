package resolver_test

import (
	"testing"
	"time"

	"github.com/typostream/typostream/resolver"
)

func TestPositivesAreAskedOnASecondServer(t *testing.T) {
	const zone = "a.in. NS ns.host.example.\na.in. A 192.0.2.1\n"
	one, two := serve(t, zone), serve(t, zone)
	r := slow(t, one, two)
	for range 4 {
		if a := resolve(t, r, "a.in"); a.State != resolver.Registered || a.Disputed != "" {
			t.Errorf("got %+v", a)
		}
	}
	if n1, n2 := one.Queries("a.in", "NS"), two.Queries("a.in", "NS"); n1 != 4 || n2 != 4 {
		t.Errorf("asked %d and %d times, want each once for each of four", n1, n2)
	}
	before := one.Total() + two.Total()
	resolve(t, r, "none.in")
	if n := one.Total() + two.Total() - before; n != 1 {
		t.Errorf("%d queries for a name that does not exist", n)
	}
}

// A filtering resolver says of a bad name that it does not exist. Whoever is
// asked first, a name that was found stays found.
func TestDisputedNamesStayRegistered(t *testing.T) {
	knows, filters := serve(t, "a.in. A 192.0.2.1"), serve(t, "")
	r := slow(t, knows, filters)
	seen := 0
	for range 20 {
		a := resolve(t, r, "a.in")
		if a.State == resolver.Absent {
			continue // the filter was asked first, and a negative is not asked again
		}
		seen++
		if a.State != resolver.Registered || a.Disputed != filters.Addr() || a.Server != knows.Addr() {
			t.Errorf("got %+v", a)
		}
	}
	if seen == 0 {
		t.Error("the first server was never asked first")
	}
}

func TestConfirmationThatFailsChangesNothing(t *testing.T) {
	knows, broken := serve(t, "a.in. A 192.0.2.1"), serve(t, ";! * SERVFAIL")
	r := quick(t, resolver.Config{Upstreams: []string{knows.Addr(), broken.Addr()}, Timeout: time.Minute})
	for range 4 {
		if a := resolve(t, r, "a.in"); a.State != resolver.Registered || a.Disputed != "" {
			t.Errorf("got %+v", a)
		}
	}
}
