package main

import (
	"slices"

	"github.com/typostream/typostream/fuzzer"
)

// passOf is the one pass that the fuzzer options describe.
func (t *terminal) passOf(s *settings) (fuzzer.Pass, error) {
	dnstwist := s.Profile == fuzzer.DNSTwistName
	var pass fuzzer.Pass
	if dnstwist {
		pass = fuzzer.DNSTwist(nil, nil)
	} else {
		pass = fuzzer.Standard(fuzzer.GeneralWords(), fuzzer.CommonSuffixes())
	}
	if s.Fuzzers != "" {
		algorithms, err := fuzzer.ParseAlgorithms(s.Fuzzers)
		if err != nil {
			return pass, usagef("", "--fuzzers: %w", err)
		}
		pass.Algorithms = algorithms
		if dnstwist {
			for _, a := range algorithms {
				if a != fuzzer.Original && !slices.Contains(fuzzer.DNSTwistAlgorithms(), a) {
					return pass, usagef("leave out --profile dnstwist", "dnstwist has no algorithm %s", a)
				}
			}
			pass.Algorithms = append([]fuzzer.Algorithm{fuzzer.Original}, algorithms...)
		}
	}
	var err error
	if len(s.Dictionary) > 0 {
		if err := needs(pass, fuzzer.Dictionary, "--dictionary"); err != nil {
			return pass, err
		}
		if pass.Words, err = t.readWords(s.Dictionary...); err != nil {
			return pass, err
		}
	}
	if len(s.TLD) > 0 {
		if err := needs(pass, fuzzer.TLDSwap, "--tld"); err != nil {
			return pass, err
		}
		if pass.Suffixes, err = t.readSuffixes(s.TLD...); err != nil {
			return pass, err
		}
	}
	if s.Country != "" {
		if dnstwist {
			return pass, usagef("leave out one of them", "--country has no effect with --profile dnstwist")
		}
		if err := needs(pass, fuzzer.TLDSwap, "--country"); err != nil {
			return pass, err
		}
		pass.Suffixes = fuzzer.MergeLists(pass.Suffixes, fuzzer.HomeSuffixes(s.Country))
	}
	return pass, nil
}

func needs(pass fuzzer.Pass, algorithm fuzzer.Algorithm, flag string) error {
	if slices.Contains(pass.Algorithms, algorithm) {
		return nil
	}
	return usagef("add it to --fuzzers", "%s has no effect without the algorithm %s", flag, algorithm)
}

// permuter is the generation that the fuzzer options describe.
func (t *terminal) permuter(s *settings) (permuteFunc, error) {
	pass, err := t.passOf(s)
	if err != nil {
		return nil, err
	}
	options, ranked := fuzzer.RankProfile(s.Profile)
	if err := s.checkLimits(options.Limit); err != nil {
		return nil, err
	}
	if s.Profile == fuzzer.DNSTwistName {
		return func(seed fuzzer.Seed, _ int) *fuzzer.Permutations { return fuzzer.PermuteDNSTwist(seed, pass) }, nil
	}
	if len(s.Dictionary) > 0 {
		options.Words = pass.Words
	}
	if len(s.TLD) > 0 {
		options.Suffixes = pass.Suffixes
	}
	options.Suffixes = fuzzer.MergeLists(options.Suffixes, fuzzer.HomeSuffixes(s.Country))
	if !ranked || s.Fuzzers != "" { // algorithms that are named run to their ends, in order
		return func(seed fuzzer.Seed, limit int) *fuzzer.Permutations {
			return fuzzer.Likeliest(fuzzer.Permute(seed, pass), limit, options)
		}, nil
	}
	return func(seed fuzzer.Seed, limit int) *fuzzer.Permutations {
		options := options
		if limit > 0 && (options.Limit == 0 || limit < options.Limit) {
			options.Limit = limit
		}
		return fuzzer.Rank(seed, options)
	}, nil
}

// checkLimits refuses limits that would have no effect, or spoil what the
// profile promises. size is the profile's own limit, 0 for none.
func (s *settings) checkLimits(size int) error {
	if s.Profile == fuzzer.DNSTwistName && s.Limit+s.Budget > 0 {
		from := s.sources["limit"]
		if s.Limit == 0 {
			from = s.sources["budget"]
		}
		return usagef("choose another profile", "%s: the profile dnstwist gives exactly dnstwist's names", from.name)
	}
	if s.Fuzzers == "" && size > 0 && s.Limit > size {
		return usagef("--profile wide has 50,000 names, full has all", "%s: the profile %s ends at %d names a seed (got %d)",
			s.sources["limit"].name, s.Profile, size, s.Limit)
	}
	return nil
}
