package fuzzer

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

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

// BenchmarkRank plans and streams a ranked profile. Beside names/s it reports
// allocations and, above what was there before, the greatest heap for each name.
func BenchmarkRank(b *testing.B) {
	for _, domain := range []string{"example.com", "microsoftonline.com", "verylongbrandnamewithmanycharacters.com"} {
		seed := mustSeed(b, domain)
		for _, name := range []string{StandardName, WideName, FullName} {
			b.Run(domain+"/"+name, func(b *testing.B) {
				options, _ := RankProfile(name)
				before := liveHeap()
				n, peak := 0, before
				var start, end runtime.MemStats
				runtime.ReadMemStats(&start)
				for b.Loop() {
					for range Rank(seed, options).All() {
						if n++; n%10_000 == 0 {
							peak = max(peak, heapInUse())
						}
					}
				}
				runtime.ReadMemStats(&end)
				names := float64(n) / float64(b.N)
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "names/s")
				b.ReportMetric(names, "names/op")
				b.ReportMetric(float64(end.Mallocs-start.Mallocs)/float64(n), "allocs/name")
				if name == FullName {
					b.ReportMetric(float64(peak-before)/names, "peak-B/name")
				}
			})
		}
	}
}

func liveHeap() uint64 {
	runtime.GC()
	return heapInUse()
}

// heapInUse is the memory of objects, dead ones included that were not swept,
// and of the rest of the spans that hold them.
func heapInUse() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64()
}
