//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/typostream/typostream/internal/dnsbench/zone"
)

// work is what the tools of a scenario are asked to do.
type work struct {
	names   []string
	needed  int      // queries that it takes when none is lost
	list    string   // file of the names, one a line
	queries string   // file of the queries that a perfect resolver would ask, for dnsperf
	servers []string // addresses
	single  bool     // ask for NS only
	seed    string   // scan the look-alikes of this domain, instead of names
	faulty  bool     // the server is not perfect
	dir     string   // for files of the tool, empty before each run
}

// A tool is a program that is measured.
type tool struct {
	name string
	// settings are tried first; the one with the fewest bad answers, and of
	// these the fastest, is measured.
	settings [][]string
	patient  [][]string // to be tried too when the server is not perfect
	// command is the program and its arguments; its output is checked.
	command func(w *work, setting []string) []string
	check   func(w *work, output io.Reader) (verdict, error)
	exits   []int // besides 0
}

func typostreamTool(name, binary string) tool {
	return tool{
		name: name, settings: [][]string{nil}, exits: []int{3}, // 3: many unknown
		command: func(w *work, _ []string) []string {
			servers := strings.Join(w.servers, ",")
			if w.seed != "" {
				return []string{binary, "scan", "--profile", "dnstwist", "--show", "all", "--all", "-f", "json", "--nameservers", servers, w.seed}
			}
			args := []string{binary, "resolve", "-i", w.list, "--nameservers", servers}
			if w.single {
				args = append(args, "--types", "ns")
			}
			return args
		},
		check: func(w *work, output io.Reader) (verdict, error) {
			if w.seed != "" {
				return checkScan(w, output)
			}
			c := newChecker(w.names, w.single)
			err := eachJSON(output, func(line *struct {
				Name, State     string
				NS, A, AAAA, MX []string
				Incomplete      []string
			},
			) {
				o := opinion{known: line.State != "unknown", registered: line.State == "registered", incomplete: len(line.Incomplete) > 0}
				o.records = zone.Records{NS: line.NS, A: line.A, AAAA: line.AAAA, MX: line.MX}
				c.take(line.Name, o)
			})
			return c.result(), err
		},
	}
}

func checkScan(w *work, output io.Reader) (verdict, error) {
	c := newChecker(w.names, false)
	err := eachJSON(output, func(rows *[]dnstwistRow) {
		for _, row := range *rows {
			c.take(row.Domain, opinion{known: row.State != "unknown", registered: row.State == "registered", records: row.records()})
		}
	})
	return c.result(), err
}

// dnstwistRow is a name in dnstwist's JSON, which typostream writes too, with a
// state.
type dnstwistRow struct {
	Domain string
	State  string   // typostream's
	NS     []string `json:"dns_ns"`
	A      []string `json:"dns_a"`
	AAAA   []string `json:"dns_aaaa"`
	MX     []string `json:"dns_mx"`
}

func (r *dnstwistRow) records() zone.Records {
	return zone.Records{NS: r.NS, A: r.A, AAAA: r.AAAA, MX: r.MX}
}

// eachJSON reads values of type T.
func eachJSON[T any](r io.Reader, take func(*T)) error {
	in := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
	for {
		value := new(T)
		switch err := in.Decode(value); err {
		case nil:
			take(value)
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// dnsperfTool sends the queries that a perfect resolver would. It keeps no
// answers, so only their codes can be checked, and it never asks again.
func dnsperfTool(binary string) tool {
	return tool{
		name: "dnsperf",
		settings: [][]string{
			{"-c", "1", "-q", "1000"}, {"-c", "4", "-q", "500"}, {"-c", "4", "-q", "1000"}, {"-c", "4", "-q", "4000"}, {"-c", "16", "-q", "1000"},
		},
		command: func(w *work, setting []string) []string {
			host, port, _ := strings.Cut(w.servers[0], ":")
			return append([]string{binary, "-s", host, "-p", port, "-d", w.queries, "-n", "1", "-T", "1", "-e", "-t", "1", "-b", "4096"}, setting...)
		},
		check: func(w *work, output io.Reader) (verdict, error) {
			text, err := io.ReadAll(output)
			if err != nil {
				return verdict{}, err
			}
			return dnsperfVerdict(w, string(text))
		},
	}
}

var (
	dnsperfSent  = regexp.MustCompile(`Queries sent: +(\d+)`)
	dnsperfLost  = regexp.MustCompile(`Queries lost: +(\d+)`)
	dnsperfCodes = regexp.MustCompile(`([A-Z]+) (\d+) \(`)
)

func dnsperfVerdict(w *work, text string) (verdict, error) {
	sent, lost := dnsperfSent.FindStringSubmatch(text), dnsperfLost.FindStringSubmatch(text)
	if sent == nil || lost == nil {
		return verdict{}, fmt.Errorf("dnsperf did not say what it sent: %q", text)
	}
	codes := map[string]int{}
	for _, m := range dnsperfCodes.FindAllStringSubmatch(text, -1) {
		codes[m[1]] = atoi(m[2])
	}
	absent := 0
	for _, name := range w.names {
		if _, registered := zone.Of(name); !registered {
			absent++
		}
	}
	v := verdict{Lost: w.needed - atoi(sent[1]) + atoi(lost[1])}
	answered := 0
	for code, n := range codes {
		if answered += n; code != "NOERROR" && code != "NXDOMAIN" {
			v.Unknown += n
		}
	}
	v.Wrong = max(0, codes["NXDOMAIN"]-absent) + max(0, codes["NOERROR"]-(w.needed-absent))
	v.Right = answered - v.Unknown - v.Wrong
	return v, nil
}

// atoi reads digits.
func atoi(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic(err) // a regular expression found them
	}
	return n
}

func dnsxTool(binary string) tool {
	return tool{
		name: "dnsx",
		settings: [][]string{
			{"-t", "50", "-retry", "1"}, {"-t", "100", "-retry", "1"}, {"-t", "300", "-retry", "1"}, {"-t", "100", "-retry", "2"}, // 100 and 2 are its defaults
		},
		patient: [][]string{{"-t", "300", "-retry", "3"}, {"-t", "1000", "-retry", "5"}},
		command: func(w *work, setting []string) []string {
			args := []string{binary, "-l", w.list, "-r", strings.Join(w.servers, ","), "-json", "-omit-raw", "-silent", "-disable-update-check", "-ns"}
			if !w.single {
				args = append(args, "-a", "-aaaa", "-mx")
			}
			return append(args, setting...)
		},
		check: func(w *work, output io.Reader) (verdict, error) {
			c := newChecker(w.names, w.single)
			err := eachJSON(output, func(line *struct {
				Host            string
				Code            string `json:"status_code"`
				NS, A, AAAA, MX []string
			},
			) {
				o := stateOf(line.Code)
				o.records = zone.Records{NS: line.NS, A: line.A, AAAA: line.AAAA, MX: line.MX}
				c.take(line.Host, o)
			})
			return c.result(), err
		},
	}
}

// massdnsTool can ask for one type only.
func massdnsTool(binary string) tool {
	return tool{
		name:     "massdns",
		settings: [][]string{{"-s", "500"}, {"-s", "1000"}, {"-s", "4000"}},
		command: func(w *work, setting []string) []string {
			resolvers := filepath.Join(w.dir, "resolvers")
			// massdns says what is wrong with the file, if it cannot be written.
			_ = os.WriteFile(resolvers, []byte(strings.Join(w.servers, "\n")+"\n"), 0o600)
			return append([]string{binary, "--root", "-r", resolvers, "-t", "NS", "-o", "Je", "-q", "--rcvbuf", "4194304", w.list}, setting...)
		},
		check: func(w *work, output io.Reader) (verdict, error) {
			c := newChecker(w.names, w.single)
			err := eachJSON(output, func(line *struct {
				Name, Status string
				Data         struct {
					Answers []struct{ Type, Data string }
				}
			},
			) {
				o := stateOf(line.Status)
				for _, record := range line.Data.Answers {
					if record.Type == "NS" {
						o.records.NS = append(o.records.NS, strings.TrimSuffix(record.Data, "."))
					}
				}
				c.take(strings.TrimSuffix(line.Name, "."), o)
			})
			return c.result(), err
		},
	}
}

// dnstwist asks on port 53 only; this sets the port and changes nothing else.
const dnstwistOnPort = `
import sys, dns.resolver, dnstwist
port = int(sys.argv.pop(1))
reset = dns.resolver.BaseResolver.reset
def on_port(self):
    reset(self)
    self.port = port
dns.resolver.BaseResolver.reset = on_port
dnstwist.run()
`

// dnstwistTool runs dnstwist in a Python that has it and dnspython.
func dnstwistTool(python string) tool {
	return tool{
		name:     "dnstwist",
		settings: [][]string{{"-t", "6"}, {"-t", "16"}, {"-t", "32"}},
		command: func(w *work, setting []string) []string {
			host, port, _ := strings.Cut(w.servers[0], ":")
			return append([]string{python, "-c", dnstwistOnPort, port, "--nameservers", host, "--all", "-f", "json", w.seed}, setting...)
		},
		check: func(w *work, output io.Reader) (verdict, error) {
			c := newChecker(w.names, false)
			err := eachJSON(output, func(rows *[]dnstwistRow) {
				for _, row := range *rows {
					all := strings.Join(append(append(append(row.NS, row.A...), row.AAAA...), row.MX...), " ")
					// What did not answer is not told from what does not exist.
					c.take(row.Domain, opinion{
						known: !strings.Contains(all, "!ServFail"), registered: all != "",
						records: row.records(),
					})
				}
			})
			return c.result(), err
		},
	}
}
