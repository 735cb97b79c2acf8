package fuzzer

import "testing"

// BenchmarkPermute counts and streams a whole set; names/s counts variants.
func BenchmarkPermute(b *testing.B) {
	for _, domain := range []string{"example.com", "microsoftonline.com", "verylongbrandnamewithmanycharacters.com"} {
		seed := mustSeed(b, domain)
		for name, passes := range map[string][]Pass{
			"standard": {Standard(GeneralWords(), CommonSuffixes())},
			"contract": ContractPasses(seed, Lists{}),
		} {
			b.Run(domain+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					for range Permute(seed, passes...).All() {
						n++
					}
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "names/s")
			})
		}
	}
}

func BenchmarkPermuteDNSTwist(b *testing.B) {
	seed := mustSeed(b, "verylongbrandnamewithmanycharacters.com")
	pass := DNSTwist([]string{"secure", "login"}, []string{"com", "net"})
	b.ReportAllocs()
	for b.Loop() {
		PermuteDNSTwist(seed, pass)
	}
}

// BenchmarkAlgorithms generates the raw names of one algorithm, repeats included.
func BenchmarkAlgorithms(b *testing.B) {
	seed := mustSeed(b, "northwindtraders.com")
	for _, a := range Algorithms() {
		b.Run(a.String(), func(b *testing.B) {
			g := newGenerator(seed)
			g.suffixes = CommonSuffixes()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				g.run(a, func([]byte) bool { n++; return true })
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "names/s")
		})
	}
}

// BenchmarkRank streams a ranked profile; full is cut at four million names.
func BenchmarkRank(b *testing.B) {
	for _, domain := range []string{"example.com", "microsoftonline.com", "verylongbrandnamewithmanycharacters.com"} {
		seed := mustSeed(b, domain)
		for _, profile := range []struct {
			name  string
			limit int
		}{{StandardName, StandardLimit}, {WideName, WideLimit}, {FullName, 4_000_000}} {
			b.Run(domain+"/"+profile.name, func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					for range Rank(seed, RankOptions{Limit: profile.limit}).All() {
						n++
					}
				}
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "names/s")
				b.ReportMetric(float64(n)/float64(b.N), "names/op")
			})
		}
	}
}
