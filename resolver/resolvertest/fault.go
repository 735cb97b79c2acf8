package resolvertest

import (
	"errors"
	"fmt"
	"net/netip"
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
	referral      bool
	aliasFails    bool
	rotate        int
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
	"ALIAS-FAILS":    func(f *fault) { f.aliasFails = true },
	"REFERRAL":       func(f *fault) { f.referral = true },
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
	if name == "LIE" {
		addr, err := netip.ParseAddr(word)
		if err != nil || !addr.Is4() || len(args) > 0 {
			return fmt.Errorf("LIE takes one IPv4 address, not %q", strings.Join(words[1:], " "))
		}
		z.lie = addr
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
	if strings.Contains(name, "?") && !slices.Contains(z.patterns, name) {
		z.patterns = append(z.patterns, name)
	}
	z.faults[name] = append(z.faults[name], d)
	return nil
}

// counted reads the directives with an argument.
func counted(word string, args []string) (func(*fault), []string, error) {
	if slices.Contains([]string{"DROP", "ROTATE", "FLOOD", "DELAY"}, word) && len(args) == 0 {
		return nil, nil, fmt.Errorf("%s needs an argument", word)
	}
	switch word {
	case "DROP", "ROTATE", "FLOOD":
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return nil, nil, fmt.Errorf("%s needs a number from 1 up, not %q", word, args[0])
		}
		apply := map[string]func(*fault){
			"DROP":   func(f *fault) { f.drop = n },
			"ROTATE": func(f *fault) { f.rotate = n },
			"FLOOD":  func(f *fault) { f.flood = n },
		}
		return apply[word], args[1:], nil
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
		pattern := slices.IndexFunc(z.patterns, func(p string) bool { return fits(p, q.name) })
		if pattern >= 0 {
			list = z.faults[z.patterns[pattern]]
		} else {
			list = z.faults[dns.CanonicalName("*")]
		}
	}
	var f fault
	for _, d := range list {
		if len(d.kinds) == 0 || slices.Contains(d.kinds, q.kind) {
			d.apply(&f)
		}
	}
	return f
}

// fits reports whether name is pattern, in which ? stands for any one byte.
func fits(pattern, name string) bool {
	if len(pattern) != len(name) {
		return false
	}
	for i := range len(name) {
		if pattern[i] != name[i] && pattern[i] != '?' {
			return false
		}
	}
	return true
}
