package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
)

// option is the one definition of a setting: its flag, its environment
// variables, its defaults and what it means. A flag wins over the environment,
// the environment over the default with --compat, that over the option's own; of
// several variables the first that is set and not empty counts.
type option struct {
	name    string // the flag without its dashes, and the key in "typostream config"
	short   string // the flag's letter, if any
	env     []string
	value   string // default, as it would be typed
	compat  string // default with --compat ps02; empty: the same
	usage   string
	toggle  bool // a flag without a value
	inverse bool // a toggle that also has a --no- form
	repeat  bool // may be given several times; the value has a line for each, in the environment too
	secret  bool // never printed
	set     func(s *settings, value string, from source) error
}

// source says where a value came from.
type source struct {
	kind string // "flag", "environment", "compat" or "default"
	name string // the flag, the variable or the service that is stood in for
}

func (s source) String() string {
	if s.kind == "default" {
		return s.kind
	}
	return s.kind + " " + s.name
}

// assigned is an option with the value it got.
type assigned struct {
	option option
	value  string
	from   source
}

// flags turns the options into those of the command line library, which parses
// and documents them; the values are read by assign.
func flags(options []option) []cli.Flag {
	list := make([]cli.Flag, 0, len(options))
	for _, o := range options {
		var aliases []string
		if o.short != "" {
			aliases = []string{o.short}
		}
		switch {
		case o.inverse:
			list = append(list, &cli.BoolWithInverseFlag{Name: o.name, Aliases: aliases, Usage: o.help(), HideDefault: true})
		case o.toggle:
			list = append(list, &cli.BoolFlag{Name: o.name, Aliases: aliases, Usage: o.help(), HideDefault: true})
		case o.repeat:
			list = append(list, &cli.StringSliceFlag{Name: o.name, Aliases: aliases, Usage: o.help(), HideDefault: true})
		default:
			list = append(list, &cli.StringFlag{Name: o.name, Aliases: aliases, Usage: o.help(), HideDefault: true})
		}
	}
	return list
}

// help is the option's text with its default and variables.
func (o option) help() string {
	text := o.usage
	if o.repeat {
		text += "; may be repeated"
	}
	if o.value != "" && !o.toggle {
		text += fmt.Sprintf(" (default %s)", o.value)
	}
	if len(o.env) > 0 {
		text += fmt.Sprintf(" [$%s]", strings.Join(o.env, ", $"))
	}
	return text
}

// assign gives every option its value and returns where each came from. A
// value that is wrong is a usage error that names its flag or variable. Option
// compat, where a command has it, comes before those whose defaults it changes.
func assign(s *settings, options []option, cmd *cli.Command, lookupEnv func(string) (string, bool)) ([]assigned, error) {
	all := make([]assigned, 0, len(options))
	s.sources = map[string]source{}
	for _, o := range options {
		a := assigned{option: o, value: o.value, from: source{kind: "default"}}
		if s.Compat != "" && o.compat != "" {
			a.value, a.from = o.compat, source{"compat", s.Compat}
		}
		for _, name := range o.env {
			if value, ok := lookupEnv(name); ok && value != "" {
				a.value, a.from = value, source{"environment", name}
				break
			}
		}
		if cmd.IsSet(o.name) {
			a.from = source{"flag", "--" + o.name}
			if o.repeat {
				a.value = strings.Join(cmd.StringSlice(o.name), "\n")
			} else if o.toggle {
				a.value = fmt.Sprint(cmd.Bool(o.name))
				if o.inverse && !cmd.Bool(o.name) {
					a.from.name = "--no-" + o.name
				}
			} else {
				a.value = cmd.String(o.name)
			}
		}
		if err := o.set(s, a.value, a.from); err != nil {
			shown := fmt.Sprintf(" (got %q)", a.value)
			if o.secret {
				shown = ""
			}
			return nil, usagef("", "%s: %w%s", a.from.name, err, shown)
		}
		all = append(all, a)
		s.sources[o.name] = a.from
	}
	return all, nil
}
