package resolvertest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// fault is how a server misbehaves for one question.
type fault struct {
	rcode         int
	silent        bool
	truncate      bool
	formErrEDNS   bool
	wrongID       bool
	wrongQuestion bool
	garbage       bool
	malformed     bool
	lowercase     bool
	flood         int
	drop          int
	delay         time.Duration
}

// directive is one line of the zone text.
type directive struct {
	apply func(*fault)
	kinds []uint16 // none: all
}

var directives = map[string]func(*fault){
	"SERVFAIL":       func(f *fault) { f.rcode = dns.RcodeServerFailure },
	"REFUSED":        func(f *fault) { f.rcode = dns.RcodeRefused },
	"FORMERR":        func(f *fault) { f.rcode = dns.RcodeFormatError },
	"NOTIMP":         func(f *fault) { f.rcode = dns.RcodeNotImplemented },
	"SILENT":         func(f *fault) { f.silent = true },
	"TRUNCATE":       func(f *fault) { f.truncate = true },
	"FORMERR-EDNS":   func(f *fault) { f.formErrEDNS = true },
	"WRONG-ID":       func(f *fault) { f.wrongID = true },
	"WRONG-QUESTION": func(f *fault) { f.wrongQuestion = true },
	"GARBAGE":        func(f *fault) { f.garbage = true },
	"MALFORMED":      func(f *fault) { f.malformed = true },
	"LOWERCASE":      func(f *fault) { f.lowercase = true },
}

// directive reads the words after ";!".
func (z *zone) directive(words []string) error {
	if len(words) < 2 {
		return errors.New("a directive needs a name and a word")
	}
	name, word, args := words[0], strings.ToUpper(words[1]), words[2:]
	if name == "OUTSIDE" {
		rcode, ok := dns.StringToRcode[word]
		if !ok || len(args) > 0 {
			return fmt.Errorf("OUTSIDE takes one response code, not %q", strings.Join(words[1:], " "))
		}
		z.outside = rcode
		return nil
	}
	if name != "*" && !strings.HasSuffix(name, ".") {
		return fmt.Errorf("the name %q of a directive needs a trailing dot", name)
	}
	apply, ok := directives[word]
	if !ok {
		var err error
		if apply, args, err = counted(word, args); err != nil {
			return err
		}
	}
	d := directive{apply: apply}
	for _, arg := range args {
		kind, ok := dns.StringToType[strings.ToUpper(arg)]
		if !ok {
			return fmt.Errorf("%q is no record type", arg)
		}
		d.kinds = append(d.kinds, kind)
	}
	name = dns.CanonicalName(name)
	z.faults[name] = append(z.faults[name], d)
	return nil
}

// counted reads the directives with an argument.
func counted(word string, args []string) (func(*fault), []string, error) {
	if (word == "DROP" || word == "DELAY" || word == "FLOOD") && len(args) == 0 {
		return nil, nil, fmt.Errorf("%s needs an argument", word)
	}
	switch word {
	case "DROP":
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return nil, nil, fmt.Errorf("DROP needs a number from 1 up, not %q", args[0])
		}
		return func(f *fault) { f.drop = n }, args[1:], nil
	case "FLOOD":
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return nil, nil, fmt.Errorf("FLOOD needs a number from 1 up, not %q", args[0])
		}
		return func(f *fault) { f.flood = n }, args[1:], nil
	case "DELAY":
		d, err := time.ParseDuration(args[0])
		if err != nil || d <= 0 {
			return nil, nil, fmt.Errorf("DELAY needs a duration such as 50ms, not %q", args[0])
		}
		return func(f *fault) { f.delay = d }, args[1:], nil
	}
	return nil, nil, fmt.Errorf("there is no directive %q", word)
}

// faultOf adds up the directives for a question that owner answers.
func (z *zone) faultOf(q question, owner string) fault {
	list, ok := z.faults[q.name]
	if !ok {
		list, ok = z.faults[owner]
	}
	if !ok {
		list = z.faults[dns.CanonicalName("*")]
	}
	var f fault
	for _, d := range list {
		if len(d.kinds) == 0 || slices.Contains(d.kinds, q.kind) {
			d.apply(&f)
		}
	}
	return f
}
