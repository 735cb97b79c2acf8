package fuzzer

// enumeration streams the names of a ranking by rising cost. It serves one goroutine.
type enumeration struct {
	r     *ranking
	g     *generator
	seen  *nameSet
	batch batch
	left  int // names until the limit, negative for none
	cost  int // of the names at hand
	label []byte
	name  []byte
	runes []rune
	slab  slab
	yield func(Variant) bool
	other others

	prefix int // of the name: the seed's subdomain and its dot

	likely float64 // of the cost
}

func (r *ranking) stream(yield func(Variant) bool) {
	e := &enumeration{
		r: r, g: newGenerator(r.seed), seen: newNameSet(), left: r.limit, yield: yield, other: othersThan(r.seed),
		name: []byte(subdomainPrefix(r.seed)), prefix: len(subdomainPrefix(r.seed)),
	}
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
		if !e.flush() {
			return
		}
	}
	e.likely = likelihood(maxCost + 1)
	if r.remainder(e.g, func(a Algorithm, name []byte) bool { return e.emit(name, a) }) {
		e.flush()
	}
}

// subdomainPrefix is what stands before the label in all look-alikes of a seed.
func subdomainPrefix(seed Seed) string {
	if seed.Subdomain == "" {
		return ""
	}
	return seed.Subdomain + "."
}

// whole emits what an algorithm makes by itself.
func (e *enumeration) whole(w *whole) bool {
	return e.g.run(w.algorithm, func(name []byte) bool { return e.emit(name, w.algorithm) })
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
			return appendLabel(e.name[:e.prefix], e.runes)
		}
	}
	n := len(label)
	if n == 0 || n > maxLabelLen || label[0] == '-' || label[n-1] == '-' || n >= 4 && label[2] == '-' && label[3] == '-' {
		return e.name[:e.prefix], false
	}
	return append(e.name[:e.prefix], label...), true
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

// batchSize is how many names are looked up in the set at a time: enough for
// the reads of its memory to overlap.
const batchSize = 32

// batch holds names of one cost until they are looked up together.
type batch struct {
	text  []byte // one after the other
	names [batchSize]batchName
	n     int
}

type batchName struct {
	end       int // of the name in text; it begins where the one before ends
	algorithm Algorithm
	key       nameKey
}

// emit takes a name for the batch. It returns false when no more are wanted.
func (e *enumeration) emit(name []byte, a Algorithm) bool {
	b := &e.batch
	b.text = append(b.text, name...)
	b.names[b.n] = batchName{end: len(b.text), algorithm: a, key: e.seen.key(name)}
	b.n++
	return b.n < batchSize || e.flush()
}

// flush yields the names of the batch in order, but those that came before or
// are no look-alikes. It returns false when no more are wanted.
func (e *enumeration) flush() bool {
	b := &e.batch
	names, start := b.names[:b.n], 0
	for i := range names {
		e.seen.touch(names[i].key)
	}
	for i := range names {
		name := b.text[start:names[i].end]
		start = names[i].end
		if !e.seen.add(names[i].key) || !e.other.hold(name) {
			continue
		}
		if !e.yield(Variant{FQDN: e.slab.text(name), Algorithm: names[i].algorithm, Passes: e.r.passes, Likelihood: e.likely, ranked: e.r}) {
			return false
		}
		if e.left--; e.left == 0 {
			return false
		}
	}
	b.text, b.n = b.text[:0], 0
	return true
}
