package fuzzer

import "strings"

// userChance is the least probability of a word or suffix that the user asks for.
const userChance = 0.002

// wordsOf returns the words that may stand on one side of the brand.
func (b *builder) wordsOf(side string) *factor {
	if f := b.words[side]; f != nil {
		return f
	}
	prior := priorWords()
	themes := map[string]float64{}
	for _, theme := range prior.themes {
		themes[theme] = b.model.prob(theme, 1/float64(len(prior.themes)), "theme", "theme"+b.region)
	}
	chances := map[string]float64{}
	contexts := []string{"word", "word/" + side, "word/" + side + b.region}
	prob := func(key string) float64 {
		unseen := 1.0 / 5000
		if known, found := prior.byText[key]; found {
			unseen = b.model.weights.Words * themes[known.theme] * known.share
		}
		return b.model.prob(key, unseen, contexts...)
	}
	for _, w := range prior.list {
		chances[w] = prob(w)
	}
	for _, w := range b.options.Words {
		chances[displayWord(w)] = max(prob(displayWord(w)), userChance)
	}
	for _, key := range b.model.keys("word") {
		if key != "?" && key[0] != '{' {
			chances[key] = prob(key)
		}
	}
	own := ownWords(b.seed)
	same := map[string]int{}
	for _, pair := range own {
		same[pair[0]]++
	}
	for _, pair := range own {
		chances[pair[1]] += prob(pair[0]) / float64(same[pair[0]])
	}
	b.words[side] = newFactor(tokensOf(chances))
	return b.words[side]
}

// runsOf returns the runs of letters (x1 to x3) or digits (n1 to n4) of one length.
func (b *builder) runsOf(class string) *factor {
	if f := b.runs[class]; f != nil {
		return f
	}
	if len(class) != 2 || class[0] != 'x' && class[0] != 'n' || class[1] < '1' || class[1] > '4' {
		return nil
	}
	alphabet := "abcdefghijklmnopqrstuvwxyz"
	if class[0] == 'n' {
		alphabet = "0123456789"
	}
	chances := make([]float64, len(alphabet))
	for i, c := range alphabet {
		chances[i] = 0.1
		if class[0] == 'x' {
			chances[i] = b.letter(c)
		}
	}
	n, count := int(class[1]-'0'), 1
	for range n {
		count *= len(alphabet)
	}
	var all strings.Builder // of which the tokens are parts
	all.Grow(count * n)
	tokens := make([]token, 0, count)
	for i := range count {
		p, start, place := 1.0, all.Len(), count
		for range n {
			place /= len(alphabet)
			c := i / place % len(alphabet)
			all.WriteByte(alphabet[c])
			p *= chances[c]
		}
		tokens = append(tokens, token{text: all.String()[start:], cost: int32(costOf(p))})
	}
	b.runs[class] = newFactor(tokens)
	return b.runs[class]
}

// letter is the probability of a letter where no word explains it.
func (b *builder) letter(r rune) float64 {
	if r < 'a' || r > 'z' {
		return 1.0 / 26
	}
	return b.model.prob(string(r), 1.0/26, "letter")
}
