//go:build linux

package main

import (
	"strings"
	"testing"
)

// What is true of these: zone_test.go.
var checked = []string{"amazonaaaa.app", "fedexaaaa.co.uk", "dropboxpsla.in"}

func TestToolsAnswersAreChecked(t *testing.T) {
	const dnsxFull = `{"host":"amazonaaaa.app","status_code":"NXDOMAIN"}
{"host":"fedexaaaa.co.uk","a":["198.18.146.125","198.18.146.124"],"aaaa":["2001:2::2577:a927"],"mx":["mx.mail2268.example"],"ns":["ns2.dns2268.example","ns1.dns2268.example"],"status_code":"NOERROR"}
`
	const oursFull = `{"name":"amazonaaaa.app","state":"absent","rcode":"NXDOMAIN"}
{"name":"dropboxpsla.in","state":"registered","ns":["ns1.dns3010.example","ns2.dns3010.example"],"a":["198.18.211.2"],"mx":["mx.mail3010.example"]}
`
	for _, tt := range []struct {
		name   string
		tool   tool
		single bool
		seed   string
		output string
		want   verdict
	}{
		{"nothing", typostreamTool("", "t"), false, "", "", verdict{Lost: 3}},
		{"typostream", typostreamTool("", "t"), false, "", oursFull + `{"name":"fedexaaaa.co.uk","state":"unknown"}`, verdict{Right: 2, Unknown: 1}},
		{"typostream, wrong state", typostreamTool("", "t"), false, "", `{"name":"dropboxpsla.in","state":"absent"}`, verdict{Wrong: 1, Lost: 2}},
		{"typostream, a record missing", typostreamTool("", "t"), false, "", strings.Replace(oursFull, `"198.18.211.2"`, "", 1), verdict{Right: 1, Wrong: 1, Lost: 1}},
		{"typostream, another's record", typostreamTool("", "t"), false, "", strings.Replace(oursFull, "198.18.211.2", "198.18.211.3", 1), verdict{Right: 1, Wrong: 1, Lost: 1}},
		{"typostream, incomplete", typostreamTool("", "t"), false, "", `{"name":"dropboxpsla.in","state":"registered","ns":["ns1.dns3010.example","ns2.dns3010.example"],"mx":["mx.mail3010.example"],"incomplete":["A"]}`, verdict{Unknown: 1, Lost: 2}},
		{"typostream, incomplete and wrong", typostreamTool("", "t"), false, "", `{"name":"dropboxpsla.in","state":"registered","ns":["ns9.dns3010.example"],"incomplete":["A"]}`, verdict{Wrong: 1, Lost: 2}},
		{"typostream, twice", typostreamTool("", "t"), false, "", oursFull + oursFull, verdict{Right: 2, Wrong: 2, Lost: 1}},
		{"typostream, never asked for", typostreamTool("", "t"), false, "", `{"name":"example.com","state":"absent"}`, verdict{Wrong: 1, Lost: 3}},
		{"typostream, NS only", typostreamTool("", "t"), true, "", `{"name":"dropboxpsla.in","state":"registered","ns":["ns2.dns3010.example","ns1.dns3010.example"]}`, verdict{Right: 1, Lost: 2}},
		{
			"typostream, scan", typostreamTool("", "t"), false, "example.com", `[{"fuzzer":"x","domain":"amazonaaaa.app","state":"absent"},
{"fuzzer":"y","domain":"dropboxpsla.in","state":"registered","dns_ns":["ns1.dns3010.example","ns2.dns3010.example"],"dns_a":["198.18.211.2"],"dns_mx":["mx.mail3010.example"]},
{"fuzzer":"z","domain":"fedexaaaa.co.uk","state":"registered","dns_ns":["ns1.dns2268.example"]}]`,
			verdict{Right: 2, Wrong: 1},
		},
		{"dnsx", dnsxTool("d"), false, "", dnsxFull, verdict{Right: 2, Lost: 1}},
		{"dnsx, SERVFAIL", dnsxTool("d"), false, "", `{"host":"amazonaaaa.app","status_code":"SERVFAIL"}`, verdict{Unknown: 1, Lost: 2}},
		{
			"massdns", massdnsTool("m"), true, "", `{"name":"amazonaaaa.app.","type":"NS","status":"NXDOMAIN","data":{}}
{"name":"dropboxpsla.in.","status":"NOERROR","data":{"answers":[{"type":"NS","data":"ns1.dns3010.example."},{"type":"NS","data":"ns2.dns3010.example."}]}}
{"name":"fedexaaaa.co.uk.","error":"MAXRETRIES"}`,
			verdict{Right: 2, Unknown: 1},
		},
		{
			"dnstwist", dnstwistTool("p"), false, "example.com", `[{"fuzzer":"x","domain":"amazonaaaa.app"},
{"fuzzer":"y","domain":"dropboxpsla.in","dns_ns":["ns1.dns3010.example","ns2.dns3010.example"],"dns_a":["198.18.211.2"],"dns_mx":["mx.mail3010.example"]},
{"fuzzer":"z","domain":"fedexaaaa.co.uk","dns_ns":["!ServFail"]}]`,
			verdict{Right: 2, Unknown: 1},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &work{names: checked, single: tt.single, seed: tt.seed}
			got, err := tt.tool.check(w, strings.NewReader(tt.output))
			if err != nil {
				t.Fatal(err)
			}
			if (got.Example == "") != (tt.want.Wrong == 0) {
				t.Errorf("%d wrong, for example %q", got.Wrong, got.Example)
			}
			if got.Example = ""; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestBrokenOutputIsAnError(t *testing.T) {
	w := &work{names: checked}
	for _, tool := range []tool{typostreamTool("", "t"), dnsxTool("d"), massdnsTool("m"), dnstwistTool("p"), dnsperfTool("d")} {
		if _, err := tool.check(w, strings.NewReader(`{"name":`)); err == nil {
			t.Errorf("%s: no error", tool.name)
		}
	}
}

func TestDNSPerfsCodesAreChecked(t *testing.T) {
	w := &work{names: checked, needed: neededQueries(checked, false)} // 1 absent, 2 registered: 9 queries
	const head = "Statistics:\n\n  Queries sent:         %S\n  Queries completed:    %C (88.89%)\n  Queries lost:         %L (11.11%)\n\n  Response codes:       "
	for _, tt := range []struct {
		sent, lost, codes string
		want              verdict
	}{
		{"9", "0", "NOERROR 8 (88.89%), NXDOMAIN 1 (11.11%)", verdict{Right: 9}},
		{"9", "2", "NOERROR 6 (85.71%), NXDOMAIN 1 (14.29%)", verdict{Right: 7, Lost: 2}},
		{"8", "0", "NOERROR 7 (87.50%), NXDOMAIN 1 (12.50%)", verdict{Right: 8, Lost: 1}},
		{"9", "0", "NOERROR 7 (77.78%), NXDOMAIN 1 (11.11%), SERVFAIL 1 (11.11%)", verdict{Right: 8, Unknown: 1}},
		{"9", "0", "NOERROR 6 (66.67%), NXDOMAIN 3 (33.33%)", verdict{Right: 7, Wrong: 2}},
	} {
		text := strings.NewReplacer("%S", tt.sent, "%L", tt.lost).Replace(head) + tt.codes + "\n"
		if got, err := dnsperfVerdict(w, text); err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.codes, got, err, tt.want)
		}
	}
}
