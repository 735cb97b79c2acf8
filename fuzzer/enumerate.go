package fuzzer

import "strings"

// enumeration streams the names of a ranking by rising cost. It serves one goroutine.
type enumeration struct {
	r     *ranking
	g     *generator
	bare  *generator // without the seed's subdomain
	seen  *nameSet
	left  int // names until the limit, negative for none
	cost  int // of the names at hand
	label []byte
	name  []byte
	runes []rune
	slab  strings.Builder
	yield func(Variant) bool
	own   string

	likely float64 // of the cost
}

func (r *ranking) stream(yield func(Variant) bool) {
	bare := r.seed
	bare.Subdomain = ""
	e := &enumeration{r: r, g: newGenerator(r.seed), bare: newGenerator(bare), seen: newNameSet(), left: r.limit, yield: yield, own: site(r.seed.FQDN)}
	if e.left == 0 {
		e.left = -1
	}
	for e.cost = 0; e.cost <= maxCost; e.cost++ {
		e.likely = likelihood(e.cost)
		for i := range r.wholes {
			if w := &r.wholes[i]; w.cost == e.cost && !e.whole(w) {
				return
			}
		}
		for i := range r.families {
			if f := &r.families[i]; !e.walk(f, 0, e.cost-f.cost, 0, nil) {
				return
			}
		}
	}
}

// whole emits what an algorithm makes by itself.
func (e *enumeration) whole(w *whole) bool {
	g := e.g
	if !makesNames(w.algorithm) {
		g = e.bare
	}
	return g.run(w.algorithm, func(name []byte) bool { return e.emit(name, w.algorithm) })
}

// walk chooses the factors from i on so that their costs sum to rest; size is
// how much of the label's buffer is written.
func (e *enumeration) walk(f *family, i, rest, size int, brand *token) bool {
	if rest < f.least[i] || rest > f.most[i] {
		return true
	}
	if i == len(f.factors)-1 {
		return e.suffixes(f, rest, size, brand)
	}
	part := f.factors[i]
	e.label = e.label[:size]
	if f.hyphen[i] {
		e.label = append(e.label, '-')
		size++
	}
	low, high := rest-f.most[i+1], rest-f.least[i+1]
	for _, cost := range part.costs {
		if cost < low {
			continue
		}
		if cost > high {
			break
		}
		tokens := part.at(cost)
		for j := range tokens {
			e.label = append(e.label[:size], tokens[j].text...)
			if i == f.brand {
				brand = &tokens[j]
			}
			if !e.walk(f, i+1, rest-cost, len(e.label), brand) {
				return false
			}
		}
	}
	return true
}

// suffixes emits the label under every suffix of a cost.
func (e *enumeration) suffixes(f *family, cost, size int, brand *token) bool {
	tokens := f.factors[len(f.factors)-1].at(cost)
	if len(tokens) == 0 {
		return true
	}
	label := e.label[:size]
	var ok bool
	if e.name, ok = e.encode(label); !ok {
		return true
	}
	n := len(e.name)
	for j := range tokens {
		suffix := tokens[j].text
		if n+1+len(suffix) > maxNameLen {
			continue
		}
		e.name = append(append(e.name[:n], '.'), suffix...)
		if !e.emit(e.name, attribute(f, brand)) {
			return false
		}
	}
	return true
}

// encode writes label as an A-label into the name's buffer.
func (e *enumeration) encode(label []byte) ([]byte, bool) {
	for _, c := range label {
		if c >= 0x80 {
			e.runes = e.runes[:0]
			for _, r := range string(label) {
				e.runes = append(e.runes, r)
			}
			return appendLabel(e.name[:0], e.runes)
		}
	}
	n := len(label)
	if n == 0 || n > maxLabelLen || label[0] == '-' || label[n-1] == '-' || n >= 4 && label[2] == '-' && label[3] == '-' {
		return e.name[:0], false
	}
	return append(e.name[:0], label...), true
}

// attribute names the algorithm that a name of a family is known by.
func attribute(f *family, brand *token) Algorithm {
	switch {
	case !f.plain:
		return Dictionary
	case brand.algorithm != Original:
		return brand.algorithm
	}
	return TLDSwap
}

// slabSize is how much of names is allocated at once: a name that is kept keeps
// no more than that in memory.
const slabSize = 512

// text returns name as a string, cut from a slab that several names share.
func (e *enumeration) text(name []byte) string {
	if e.slab.Cap()-e.slab.Len() < len(name) {
		e.slab = strings.Builder{}
		e.slab.Grow(slabSize)
	}
	start := e.slab.Len()
	e.slab.Write(name)
	return e.slab.String()[start:]
}

// emit yields a name unless it came before or is no look-alike. It returns false
// when no more are wanted.
func (e *enumeration) emit(name []byte, a Algorithm) bool {
	if !e.seen.add(name) {
		return true
	}
	text := e.text(name)
	if other := site(text); other == "" || other == e.own {
		return true
	}
	if !e.yield(Variant{FQDN: text, Algorithm: a, Passes: e.r.passes, Likelihood: e.likely, ranked: e.r}) {
		return false
	}
	e.left--
	return e.left != 0
}
