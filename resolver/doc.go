// Package resolver finds out, for many names, whether each is registered and
// with which records. It is the only package that knows DNS.
//
// Each runs a bounded pool over a stream of names. A name is asked for its NS
// records first; NXDOMAIN settles it (RFC 8020), otherwise A, AAAA, MX and SOA
// follow together, or which of them Config.Types says. What comes back is one of
// three states: registered, absent or unknown. Unknown means "could not find out"
// and is never folded into either of the others.
//
// A name that was found is compared with what its parents answer for any name
// (wildcards), and asked about on a second upstream; both mark it at most. A
// name that stays unknown can be settled by its parent zone's own servers
// (Config.AskParent). Answers can be kept for their TTL (Config.CacheEntries).
// Check leaves out upstreams that are silent or lie.
//
// Layers, from the top: Each and Resolver.Resolve (what an answer means),
// ask (tries over several upstreams), upstream (one nameserver: breaker, cost,
// what it makes of EDNS, letter case and TCP), flow (all queries to an address:
// the line, the table of what is in flight, window, time-outs) and carrier
// (connections: TCP, TLS, HTTPS), wire (moves datagrams). The
// codec, miekg/dns, is used in message.go only.
package resolver
