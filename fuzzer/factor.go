package fuzzer

import (
	"math"
	"slices"
	"strings"
)

// costUnit is how many steps of cost make a bit: a cost is −log2 of a
// probability in eighths of a bit.
const costUnit = 8

// maxCost is where the full profile ends: at most 2^25 names can be likelier.
const maxCost = 25 * costUnit

// costOf turns a probability into a cost. Zero is beyond every limit.
func costOf(p float64) int {
	if p <= 0 {
		return 1 << 20
	}
	return max(0, int(math.Round(-math.Log2(p)*costUnit)))
}

// token is one value of a factor.
type token struct {
	text      string
	cost      int32
	algorithm Algorithm // of a form
	idn       bool      // the text has characters beyond ASCII
}

// factor is a list of tokens by rising cost, with an index by cost.
type factor struct {
	tokens []token
	starts []int32 // of the tokens of cost lowest+i; one entry more at the end
	lowest int
	costs  []int // the distinct costs
}

// newFactor sorts by counting: costs are few. Tokens of one cost keep their order.
func newFactor(tokens []token) *factor {
	var counts [maxCost + 1]int32
	n := int32(0)
	for _, t := range tokens {
		if t.cost <= maxCost {
			counts[t.cost]++
			n++
		}
	}
	f := &factor{}
	for cost, count := range counts {
		if count > 0 {
			f.costs = append(f.costs, cost)
		}
	}
	if n == 0 {
		return f
	}
	f.lowest = f.costs[0]
	next := counts // where the next token of a cost goes
	start := int32(0)
	for cost := f.lowest; cost <= f.costs[len(f.costs)-1]; cost++ {
		f.starts = append(f.starts, start)
		next[cost] = start
		start += counts[cost]
	}
	f.starts = append(f.starts, n)
	f.tokens = make([]token, n)
	for _, t := range tokens {
		if t.cost <= maxCost {
			f.tokens[next[t.cost]] = t
			next[t.cost]++
		}
	}
	return f
}

func (f *factor) highest() int { return int(f.tokens[len(f.tokens)-1].cost) }

// at returns the tokens of one cost.
func (f *factor) at(cost int) []token {
	i := cost - f.lowest
	if i < 0 || i >= len(f.starts)-1 {
		return nil
	}
	return f.tokens[f.starts[i]:f.starts[i+1]]
}

// tokensOf turns chances into tokens in the order of their texts.
func tokensOf(chances map[string]float64) []token {
	tokens := make([]token, 0, len(chances))
	for text, p := range chances {
		tokens = append(tokens, token{text: text, cost: int32(costOf(p)), idn: !isASCII(text)})
	}
	slices.SortFunc(tokens, func(a, b token) int { return strings.Compare(a.text, b.text) })
	return tokens
}
