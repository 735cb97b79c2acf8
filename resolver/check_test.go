package resolver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/typostream/typostream/resolver/resolvertest"
)

func serve(t testing.TB, zone string) *resolvertest.Server {
	t.Helper()
	s, err := resolvertest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func port(t testing.TB, addr string) uint16 {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// goneAddr returns an address where nothing listens.
func goneAddr(t testing.TB) string {
	s := serve(t, "")
	s.Close()
	return s.Addr()
}

func newLogged(t testing.TB, cfg Config) (*Resolver, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if cfg.fallbackPort == 0 {
		cfg.fallbackPort = port(t, goneAddr(t))
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, log
}

func TestCheckIsQuietWhenAllIsWell(t *testing.T) {
	one, two := serve(t, ""), serve(t, "")
	r, log := newLogged(t, Config{Upstreams: []string{one.Addr(), two.Addr()}})
	for range 3 {
		if err := r.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged:\n%s", log)
	}
}

func TestCheckLeavesOutWhatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	good, silent, gone := serve(t, "a.in. A 192.0.2.1"), serve(t, ";! * SILENT"), goneAddr(t)
	r, log := newLogged(t, Config{Upstreams: []string{silent.Addr(), gone, good.Addr()}, patience: time.Second})
	for range 2 {
		if err := r.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings, want one for each:\n%s", n, log)
	}
	for _, want := range []string{silent.Addr(), gone, "no answer within 1s", "nothing listens"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
	before := silent.Total()
	for range 10 {
		if a, err := r.Resolve(t.Context(), "a.in"); err != nil || a.State != Registered {
			t.Fatalf("%+v, %v", a, err)
		}
	}
	if silent.Total() != before {
		t.Error("the server that was left out is still asked")
	}
}

func TestCheckFailsWhenNothingAnswers(t *testing.T) {
	t.Parallel()
	silent, gone := serve(t, ";! * SILENT"), goneAddr(t)
	r, _ := newLogged(t, Config{
		Upstreams: []string{silent.Addr(), gone, "nowhere.test:53"}, patience: time.Second,
		lookup: func(context.Context, string) ([]netip.Addr, error) {
			return nil, errors.New("no such host")
		},
	})
	err := r.Check(t.Context())
	var fault *CheckError
	if !errors.As(err, &fault) || len(fault.Upstreams) != 3 || fault.Hint() == "" {
		t.Fatalf("got %#v", err)
	}
	fallback := strconv.Itoa(int(r.cfg.fallbackPort))
	want := "no nameserver answers: " + silent.Addr() + ": no answer within 1s; on port " + fallback + ": unreachable, or nothing listens on that port; " +
		gone + ": unreachable, or nothing listens on that port; on port " + fallback + ": unreachable, or nothing listens on that port; " +
		"nowhere.test:53: its address cannot be looked up: no such host"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func TestCheckFallsBackToPort53(t *testing.T) {
	t.Parallel()
	good := serve(t, "a.in. A 192.0.2.1")
	lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "unbound" {
			t.Errorf("looked up %q", host)
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	for name, addr := range map[string]string{"refused": goneAddr(t), "silent": serve(t, ";! * SILENT").Addr()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := "unbound:" + strconv.Itoa(int(port(t, addr)))
			r, log := newLogged(t, Config{Upstreams: []string{upstream}, lookup: lookup, fallbackPort: port(t, good.Addr()), patience: time.Second})
			for range 2 {
				if err := r.Check(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if a, err := r.Resolve(t.Context(), "a.in"); err != nil || a.Server != good.Addr() || a.State != Registered {
				t.Errorf("%+v, %v", a, err)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=WARN") ||
				!strings.Contains(log.String(), upstream) || !strings.Contains(log.String(), good.Addr()) {
				t.Errorf("want one warning, got:\n%s", log)
			}
		})
	}
}

func TestCheckPrefersThePortThatWasAskedFor(t *testing.T) {
	t.Parallel()
	// Its answer to the first try comes after the second was sent and port 53 has
	// answered, and counts.
	slow, other := serve(t, ";! * DELAY 1700ms"), serve(t, "")
	r, log := newLogged(t, Config{Upstreams: []string{slow.Addr()}, fallbackPort: port(t, other.Addr()), patience: 2 * time.Second})
	if err := r.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 || other.Total() == 0 {
		t.Errorf("port 53 was asked %d times, log:\n%s", other.Total(), log)
	}
}

func TestCheckIsAsPatientAsTheResolver(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: DefaultTimeout, time.Second: canaryTime, 10 * time.Second: 10 * time.Second, time.Minute: maxCanaryTime} {
		r, _ := newLogged(t, Config{Upstreams: []string{"127.0.0.1:9"}, Timeout: timeout})
		if r.cfg.patience != want {
			t.Errorf("timeout %v: waits %v, want %v", timeout, r.cfg.patience, want)
		}
	}
}

func TestCheckKeepsServersThatRefuse(t *testing.T) {
	refuses, good := serve(t, ";! . REFUSED\na.in. A 192.0.2.1"), serve(t, "")
	r, log := newLogged(t, Config{Upstreams: []string{refuses.Addr(), good.Addr()}})
	if err := r.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	trouble := regexp.MustCompile("error|Error|failed|WARN")
	if trouble.MatchString(log.String()) || !strings.Contains(log.String(), "rcode=REFUSED") {
		t.Errorf("with another server, want a line at level info:\n%s", log)
	}
	alone, log := newLogged(t, Config{Upstreams: []string{refuses.Addr()}})
	if err := alone.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("alone, want a warning:\n%s", log)
	}
	if a, err := alone.Resolve(t.Context(), "a.in"); err != nil || a.State != Registered {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestCheckTriesEveryAddressOfAHost(t *testing.T) {
	t.Parallel()
	good := serve(t, "")
	r, log := newLogged(t, Config{
		Upstreams: []string{"ns.test:" + strconv.Itoa(int(port(t, good.Addr())))},
		lookup: func(context.Context, string) ([]netip.Addr, error) {
			// Nothing listens on 127.0.0.2.
			return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::ffff:127.0.0.1")}, nil
		},
	})
	if err := r.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := r.Resolve(t.Context(), "a.in")
	if err != nil || a.State != Absent || a.Server != good.Addr() || log.Len() > 0 {
		t.Errorf("%+v, %v, log %s", a, err, log)
	}
}

func TestHostNameWithoutCheck(t *testing.T) {
	good := serve(t, "")
	address := make(chan []netip.Addr, 1)
	r, _ := newLogged(t, Config{
		Upstreams: []string{"ns.test:" + strconv.Itoa(int(port(t, good.Addr())))},
		Attempts:  1,
		lookup: func(context.Context, string) ([]netip.Addr, error) {
			return <-address, nil
		},
	})
	address <- nil
	if a, err := r.Resolve(t.Context(), "a.in"); err != nil || a.State != Unknown || a.Reason != ReasonUnreachable {
		t.Errorf("no address: %+v, %v", a, err)
	}
	address <- []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	if a, err := r.Resolve(t.Context(), "a.in"); err != nil || a.State != Absent {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestCheckIsCancelled(t *testing.T) {
	silent := serve(t, ";! * SILENT")
	r, _ := newLogged(t, Config{Upstreams: []string{silent.Addr()}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Check(ctx) }()
	for ticker := time.NewTicker(time.Millisecond); silent.Total() == 0; <-ticker.C {
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCheckLeavesOutLiars(t *testing.T) {
	t.Parallel()
	honest := serve(t, "a.in. A 192.0.2.1")
	for name, zone := range map[string]string{
		"has the address 203.0.113.66":                   ";! LIE 203.0.113.66",
		"has the address 203.0.113.67":                   "*.com. A 203.0.113.67",
		"exists, which does not":                         "*.com. TXT none",
		"it says that example.com does not exist":        "com. SOA ns. h. 1 2 3 4 5",
		"it says that example.com does not exist (LIES)": ";! OUTSIDE NXDOMAIN\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := strings.TrimSuffix(name, " (LIES)")
			liar := serve(t, zone)
			cfg := Config{Upstreams: []string{liar.Addr(), honest.Addr()}}
			if strings.Contains(want, "example.com") {
				cfg.CanaryExists = "Example.com"
				cfg.Upstreams[1] = serve(t, "example.com. NS ns.example.com.\na.in. A 192.0.2.1").Addr()
			}
			r, log := newLogged(t, cfg)
			for range 2 {
				if err := r.Check(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "its answers are not true") ||
				!strings.Contains(log.String(), want) || !strings.Contains(log.String(), liar.Addr()) {
				t.Errorf("want one warning with %q, got:\n%s", want, log)
			}
			before := liar.Total()
			for range 5 {
				if a, err := r.Resolve(t.Context(), "a.in"); err != nil || a.State != Registered || a.Disputed != "" {
					t.Errorf("%+v, %v", a, err)
				}
				if a, err := r.Resolve(t.Context(), "none.in"); err != nil || a.State != Absent {
					t.Errorf("%+v, %v", a, err)
				}
			}
			if liar.Total() != before {
				t.Error("the liar is still asked")
			}
			alone, _ := newLogged(t, Config{Upstreams: cfg.Upstreams[:1], CanaryExists: cfg.CanaryExists})
			err := alone.Check(t.Context())
			var fault *CheckError
			if !errors.As(err, &fault) || !fault.Upstreams[0].Lies || !strings.HasPrefix(err.Error(), "no nameserver can be used: "+liar.Addr()+": it says that ") ||
				!strings.Contains(fault.Hint(), "names that do not exist") && !fault.Upstreams[0].Denies ||
				strings.Contains(fault.Hint(), "--canary-exists") != strings.Contains(want, "example.com") {
				t.Errorf("alone: %v", err)
			}
		})
	}
}

func TestCanariesAreConfigured(t *testing.T) {
	// com has a wildcard here, so another domain has to do.
	server := serve(t, "*.com. A 192.0.2.7\nexample.net. NS ns.example.net.\n")
	r, log := newLogged(t, Config{Upstreams: []string{server.Addr()}, CanaryAbsent: "in", CanaryExists: "example.net"})
	if err := r.Check(t.Context()); err != nil || log.Len() > 0 {
		t.Errorf("%v, log %s", err, log)
	}
	if server.Queries("example.net", "NS") != 1 || server.Total() != 2 {
		t.Errorf("%d queries", server.Total())
	}
	for _, bad := range []string{"a..b", "bücher.example", strings.Repeat("a.", 101) + "b"} {
		if err := (Config{Upstreams: []string{"127.0.0.1"}, CanaryAbsent: bad}).Validate(); err == nil {
			t.Errorf("%q was taken for a canary", bad)
		}
	}
}
