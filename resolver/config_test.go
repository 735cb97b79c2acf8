package resolver

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestUpstreamForms(t *testing.T) {
	tests := map[string]string{ // "" is refused
		"192.0.2.1":                 "192.0.2.1:53",
		"192.0.2.1:5335":            "192.0.2.1:5335",
		"2001:DB8::1":               "[2001:db8::1]:53",
		"[2001:db8::1]":             "[2001:db8::1]:53",
		"[2001:db8::1]:5335":        "[2001:db8::1]:5335",
		"fe80::1%eth0":              "[fe80::1%eth0]:53",
		"::ffff:192.0.2.1":          "192.0.2.1:53",
		"Unbound":                   "unbound:53",
		"unbound:5335":              "unbound:5335",
		"ns1.example.com.":          "ns1.example.com:53",
		"docker_dns:53":             "docker_dns:53",
		"a, b,,a:53 192.0.2.1\tb":   "a:53 b:53 192.0.2.1:53",
		"":                          "-",
		"tls://1.1.1.1":             "tls://1.1.1.1:853",
		"TLS://Dns.Test:8853":       "tls://dns.test:8853",
		"tls://192.0.2.1#dns.test":  "tls://192.0.2.1:853",
		"https://dns.test/query":    "https://dns.test:443/query",
		"https://[::1]:8443/a/b":    "https://[::1]:8443/a/b",
		"tls://":                    "",
		"tls://a#":                  "",
		"tls://a/b":                 "",
		"https://dns.test":          "",
		"https://dns.test/":         "",
		"https://a/dns-query{?dns}": "",
		"https://u@a/dns-query":     "",
		"http://a/dns-query":        "",
		"udp://192.0.2.1":           "",
		"192.0.2.256":               "",
		"192.0.2":                   "",
		"192.0.2.1:":                "",
		"192.0.2.1:0":               "",
		"192.0.2.1:65536":           "",
		"192.0.2.1:dns":             "",
		"[192.0.2.1":                "",
		"[unbound]:53":              "",
		"2001:db8::1:2:3:4:5:6:7":   "",
		":53":                       "",
		"a..b":                      "",
		"bücher.example":            "",
		strings.Repeat("a", 64):     "",
		"good, udp://a, a:0":        "",
	}
	for in, want := range tests {
		got, err := parseUpstreams([]string{in})
		var fault *ConfigError
		switch {
		case want == "":
			if !errors.As(err, &fault) || fault.Field != "Upstreams" || fault.Hint() == "" || !strings.Contains(in, fault.Value) {
				t.Errorf("%q: %v, want a ConfigError that names it", in, err)
			}
		case err != nil:
			t.Errorf("%q: %v", in, err)
		default:
			var words []string
			for _, e := range got {
				words = append(words, e.String())
			}
			if s := strings.Join(words, " "); s != strings.Trim(want, "-") {
				t.Errorf("%q: got %q, want %q", in, s, want)
			}
		}
	}
}

func TestEveryFaultIsReported(t *testing.T) {
	err := Config{
		Upstreams: []string{"a:0,b..c"}, Concurrency: -1, Attempts: 21, Timeout: -time.Second,
		Types: []Type{TypeA, TypeA},
	}.Validate()
	want := `Concurrency: "-1" is not between 1 and 65536
Attempts: "21" is not between 1 and 20
Timeout: "-1s" is not between 1ms and 1m
Types: "A" is named twice
Upstreams: "a:0" has a port that is not between 1 and 65535
Upstreams: "b..c" is neither an address nor a host name`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestSystemNameservers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# comment\nsearch in\nnameserver 192.0.2.1\nnameserver not-an-address\nnameserver 2001:db8::1\nnameserver 192.0.2.1\n")
	set, err := Config{ResolvConf: path}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if len(set.endpoints) != 2 || set.endpoints[0].String() != "192.0.2.1:53" || set.endpoints[1].String() != "[2001:db8::1]:53" {
		t.Errorf("got %v", set.endpoints)
	}
	for name, prepare := range map[string]func(){
		"names no nameserver":                      func() { write("search in\n") },
		"cannot tell the system's nameservers: no": func() { os.Remove(path) },
	} {
		prepare()
		err := Config{ResolvConf: path}.Validate()
		var fault *ConfigError
		if !errors.As(err, &fault) || !strings.Contains(fault.Rule, name) || fault.Value != path || fault.Hint() == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParseTypes(t *testing.T) {
	got, err := ParseTypes("a, NS,Mx")
	if want := []Type{TypeA, TypeNS, TypeMX}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, in := range []string{"", ",", "TXT", "A,a", "A,SRV"} {
		if got, err := ParseTypes(in); err == nil {
			t.Errorf("ParseTypes(%q) = %v", in, got)
		}
	}
}

func TestStateText(t *testing.T) {
	for s, want := range map[State]string{Unknown: "unknown", Registered: "registered", Absent: "absent"} {
		text, err := s.MarshalText()
		if err != nil || string(text) != want || s.String() != want {
			t.Errorf("%d: %q, %q, %v", s, text, s, err)
		}
		var back State
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%q reads back as %v, %v", text, back, err)
		}
	}
	if _, err := State(9).MarshalText(); err == nil {
		t.Error("a state outside the set was written")
	}
	if err := new(State).UnmarshalText([]byte("maybe")); err == nil {
		t.Error("a state outside the set was read")
	}
}
