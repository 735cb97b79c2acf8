package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/typostream/typostream/fuzzer"
)

// classNames are the classes of squats by what they are made of, in the order of the table.
var classNames = []string{
	"the brand, another suffix",
	"a letter or digit added at an end",
	"another typo",
	"letters beyond ASCII",
	"the brand and a word",
	"the brand and two words",
	"the brand and one or two random letters or digits",
	"the brand and three or more random letters or digits",
	"the brand, a word and random letters or digits",
	"an edited brand and words or random letters",
	"three words and more",
	"a word that no list has, or letters like one",
	"the brand and what nothing describes",
	"the brand only in a host name under another domain",
	"no brand, nor an edit of it",
}

// class tells what a squat is made of.
func class(r result) string {
	if r.pattern == "" {
		registrable := fuzzer.Registrable(r.name)
		label, _, _ := strings.Cut(registrable, ".")
		switch {
		case strings.Contains(label, r.seed.Label):
			return classNames[12]
		case strings.Contains(r.name, r.seed.Label):
			return classNames[13]
		}
		return classNames[14]
	}
	words, runs, longest, edited := 0, 0, 0, false
	for unit := range strings.FieldsSeq(r.pattern) {
		switch unit[0] {
		case '?':
			return classNames[11]
		case 'w':
			words++
		case 'x', 'n':
			runs++
			longest = max(longest, int(unit[1]-'0'))
		case 'A', 'E', 'I':
			edited = true
		}
	}
	alone := map[string]string{"B": classNames[0], "A": classNames[1], "E": classNames[2], "I": classNames[3]}
	switch {
	case alone[r.pattern] != "":
		return alone[r.pattern]
	case words+runs > 2:
		return classNames[10]
	case edited:
		return classNames[9]
	case runs == 0 && words == 1:
		return classNames[4]
	case runs == 0:
		return classNames[5]
	case words > 0:
		return classNames[8]
	case longest <= 2 && runs == 1:
		return classNames[6]
	}
	return classNames[7]
}

// classes writes, by source and class, how many squats there are and how many were found.
func (r report) classes(w io.Writer) error {
	names, groups := r.bySource()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, name := range names {
		fmt.Fprintf(table, "%s\t\t\t", name)
	}
	fmt.Fprintln(table, "  class")
	for _, kind := range classNames {
		for _, name := range names {
			var of []result
			for _, res := range groups[name] {
				if class(res) == kind {
					of = append(of, res)
				}
			}
			fmt.Fprintf(table, "%d\t%d\t%d\t", len(of), within(of, 5000, ours), within(of, 50000, ours))
		}
		fmt.Fprintln(table, "  "+kind)
	}
	return table.Flush()
}
