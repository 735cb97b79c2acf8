// Package fuzzer turns a brand's domain (a [Seed]) into the look-alike names
// ([Variant]) that a squatter could register.
//
// It is pure: no network, no files, no clock, no randomness that shows. The
// same seed, passes and version give the same variants in the same order.
//
//	ParseSeed ─▶ Seed ─┬─▶ Permute          own rules: the union of passes, streamed
//	                   └─▶ PermuteDNSTwist  dnstwist's set, labels and order
//
// The algorithms, dnstwist's sixteen and more, edit the label below the public
// suffix or change what stands around it; each has its definition and an example at its constant. Every name
// that leaves the package is a valid lower-case A-label FQDN (labels of at most
// 63 octets, RFC 1035 section 2.3.4 and RFC 5891; at most 253 in all).
//
// Values of the package are safe for concurrent use once made. Slices inside
// a [Variant] are shared between variants and must not be changed.
package fuzzer
