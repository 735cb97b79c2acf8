package fuzzer

import (
	_ "embed"
	"strings"
	"sync"
)

// soundGroups are letter groups that can sound alike in English or in the
// languages that brands are named in. Each may stand for each other of its group.
var soundGroups = parseGroups(`
	f ph gh
	c k ck q ch
	qu kw q
	c s ss sc
	s z x
	s ce se
	x ks cks cs
	j g dg dge
	ei ie ee ea i
	y i ie ey
	e ae ea
	ai ay ei a
	oo ou u ew
	o oa ow oe
	au aw or
	u ou uh
	er or ar ur re
	le el al il
	wh w
	wr r
	kn n
	mb m
	ps s
	sh ch sch ti
	tion sion shun
	th t
	ts z tz
	v w
	ous us
	ent ant
	ence ance
	able ible
	ise ize
	our or
`)

// homophones are words that sound the same.
var homophones = parseGroups(`
	ad add
	air heir
	aisle isle
	allowed aloud
	bare bear
	be bee
	beach beech
	bean been
	blew blue
	board bored
	brake break
	bred bread
	buy by bye
	cell sell
	cent sent scent
	cite site sight
	check cheque czech
	cloth clothe
	coarse course
	coin coyne
	council counsel
	cue queue
	days daze
	deal deel
	dear deer
	die dye
	fair fare
	feat feet
	find fined
	flour flower
	for four fore
	gate gait
	great grate
	grown groan
	guest guessed
	hall haul
	heal heel
	hear here
	high hi
	hole whole
	hour our
	key quay
	knew new nu
	know no
	knight night nite
	lead led
	lean lien
	lite light
	loan lone
	made maid
	mail male
	main mane
	meat meet
	mine myne
	morning mourning
	one won
	pail pale
	pair pear pare
	passed past
	pay pey
	peace piece
	peer pier
	plain plane
	pole poll
	principal principle
	prise prize pries
	profit prophet
	quick kwik quik
	rain reign
	read reed
	real reel
	rite right write
	road rode
	role roll
	sail sale
	scene seen
	sea see
	serve surf
	shop shoppe
	some sum
	son sun
	stair stare
	stake steak
	steal steel
	suite sweet
	tail tale
	team teem
	tea tee
	through thru threw
	tide tied
	to too two
	trade trayed
	tax tacks
	vain vein
	wait weight
	ware wear where
	waste waist
	way weigh whey
	weak week
	weather whether
	wood would
	you u ewe
`)

func parseGroups(text string) [][][]rune {
	var groups [][][]rune
	for line := range strings.Lines(text) {
		var group [][]rune
		for member := range strings.FieldsSeq(strip(line)) {
			group = append(group, []rune(member))
		}
		if len(group) > 1 {
			groups = append(groups, group)
		}
	}
	return groups
}

// sound: see [Sound]. A homophone replaces one of the label's words, or four
// letters and more anywhere; a letter group any place where it stands.
func (g *generator) sound(yield editFunc) bool {
	for _, group := range homophones {
		if !g.swapGroup(yield, group, g.wordAt) {
			return false
		}
	}
	anywhere := func(int, int) bool { return true }
	for _, group := range soundGroups {
		if !g.swapGroup(yield, group, anywhere) {
			return false
		}
	}
	return true
}

// swapGroup yields the label with one member of the group in place of another,
// once for each place that is allowed.
func (g *generator) swapGroup(yield editFunc, group [][]rune, allowed func(start, end int) bool) bool {
	for start := range g.label {
		for from, member := range group {
			end := start + len(member)
			if !hasPrefix(g.label[start:], member) || !allowed(start, end) {
				continue
			}
			for to, other := range group {
				if to != from && !g.splice(yield, start, end, other...) {
					return false
				}
			}
		}
	}
	return true
}

// wordAt reports whether label[start:end] is one of the label's words or long
// enough to be read as one.
func (g *generator) wordAt(start, end int) bool {
	if end-start >= 4 {
		return true
	}
	at := 0
	for _, part := range g.segments() {
		if at == start && at+len(part) == end {
			return true
		}
		at += len(part)
		for at < len(g.label) && g.label[at] == '-' {
			at++
		}
	}
	return false
}

//go:embed lists/misspellings.txt
var misspellingsText string

// misspellings are words, each followed by its misspellings.
var misspellings = sync.OnceValue(func() [][][]rune { return parseGroups(misspellingsText) })

// misspelling: see [Misspelling].
func (g *generator) misspelling(yield editFunc) bool {
	for _, group := range misspellings() {
		right := group[0]
		for start := range g.label {
			if !hasPrefix(g.label[start:], right) {
				continue
			}
			for _, wrong := range group[1:] {
				if !g.splice(yield, start, start+len(right), wrong...) {
					return false
				}
			}
		}
	}
	return true
}
