//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/typostream/typostream/internal/dnsbench/responder"
	"github.com/typostream/typostream/internal/dnsbench/zone"
)

// A scenario is one kind of work in one kind of world.
type scenario struct {
	name    string
	about   string
	names   int    // length of the list
	seed    string // scan this domain instead
	single  bool   // NS only
	servers int
	faults  responder.Faults
	peers   []string
	rounds  int           // 0: as many as were asked for
	sample  time.Duration // of the memory
	goals   []goal
}

// A goal is a bound on a figure of the first typostream that is measured.
type goal struct {
	text  string
	least bool // the figure must not be below the bound; else not above
	bound float64
	// figure is false if what it needs was not measured.
	figure func(r *result) (float64, bool)
}

const (
	small = 20_000
	large = 200_000
	soak  = 1_000_000
)

// scanned has a name long enough for a large set of look-alikes.
const scanned = "microsoftonline.com"

func scenarios() []scenario {
	lossless := goal{"wrong, unknown and lost, of all rounds", false, 0, func(r *result) (float64, bool) { return float64(r.ours().Sum.bad()), true }}
	capacity := 20_000
	return []scenario{
		{
			name: "single", about: "NS of each name", names: small, single: true, servers: 1, peers: []string{"dnsperf", "dnsx", "massdns"},
			goals: []goal{lossless},
		},
		{
			name: "single-200k", about: "NS of each name", names: large, single: true, servers: 1, peers: []string{"dnsperf", "dnsx", "massdns"},
			goals: []goal{faster("dnsperf", 1.6), faster("dnsx", 13), faster("massdns", 2.5), cpuGoal, lossless},
		},
		{
			name: "plain", about: "NS of each name; A, AAAA and MX of those that exist", names: small, servers: 1, peers: []string{"dnsperf", "dnsx"},
			goals: []goal{lossless},
		},
		{
			name: "plain-200k", about: "NS of each name; A, AAAA and MX of those that exist", names: large, servers: 1, peers: []string{"dnsperf"},
			goals: []goal{faster("dnsperf", 1.6), cpuGoal, portableGoal, memoryGoal(40e6 / (1 << 20)), lossless},
		},
		{
			name: "distance", about: "as plain; 20 ms round trip, 1 % loss", names: small, servers: 1, peers: []string{"dnsperf", "dnsx"},
			faults: responder.Faults{Delay: 20 * time.Millisecond, Loss: 0.01},
			goals:  []goal{{"seconds, median", false, 0.5, func(r *result) (float64, bool) { return r.ours().Wall.Median, true }}, lossless},
		},
		{
			name: "capped", about: fmt.Sprintf("as plain; the server drops what is beyond %s a second", grouped(capacity)), names: 2 * small, servers: 1,
			faults: responder.Faults{Cap: capacity},
			goals: []goal{{"time, as a multiple of the ideal", false, 1.2, func(r *result) (float64, bool) {
				return r.ours().Wall.Median * float64(capacity) / float64(r.Needed), true
			}}, lossless},
		},
		{
			name: "servfail", about: "as plain; two servers that each answer 2 % of the queries with SERVFAIL", names: small, servers: 2, peers: []string{"dnsx"},
			faults: responder.Faults{ServFail: 0.02},
			goals:  []goal{{"wrong and lost, of all rounds", false, 0, func(r *result) (float64, bool) { return float64(r.ours().Sum.Wrong + r.ours().Sum.Lost), true }}},
		},
		{
			name: "scan", about: "scan of all of dnstwist's look-alikes of " + scanned, seed: scanned, servers: 1, peers: []string{"dnstwist"},
			goals: []goal{faster("dnstwist", 70), lossless},
		},
		{
			name: "soak", about: "as plain, long; memory over time", names: soak, servers: 1, rounds: 1, sample: 100 * time.Millisecond,
			goals: []goal{memoryGoal(40), {"memory, highest of the last quarter over the second", false, 1.1, func(r *result) (float64, bool) { return r.ours().growth() }}, lossless},
		},
	}
}

func faster(peer string, bound float64) goal {
	return goal{"queries/s, as a multiple of " + peer + "'s", true, bound, func(r *result) (float64, bool) { return r.ratio(peer) }}
}

var (
	cpuGoal      = goal{"CPU in µs a query", false, 6, func(r *result) (float64, bool) { return r.ours().CPU.Median, true }}
	portableGoal = goal{"queries/s of the portable path, as a multiple of ours", true, 1.0 / 3, func(r *result) (float64, bool) {
		ratio, ok := r.ratio(portableName)
		return 1 / ratio, ok
	}}
)

func memoryGoal(mib float64) goal {
	return goal{"peak memory in MiB", false, mib, func(r *result) (float64, bool) { return r.ours().Peak.Median, true }}
}

// portableName is the tool built without the system calls of Linux.
const portableName = "typostream, portable"

// neededQueries is how many queries a resolver asks that loses none.
func neededQueries(names []string, single bool) int {
	if single {
		return len(names)
	}
	n := 0
	for _, name := range names {
		n += zone.Queries(name)
	}
	return n
}
