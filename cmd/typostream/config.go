package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
)

func configCommand(t *terminal) *cli.Command {
	options := workerCatalogue()
	return &cli.Command{
		Name: "config", Usage: "print every setting of the worker with its source",
		Description: "Takes the worker's options, so that a command line can be tried out; secrets are not printed.",
		Flags:       append(flags(options), &cli.BoolFlag{Name: "json", Usage: "print JSON"}),
		Action: func(_ context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return usagef("its options are those of typostream worker", "config takes no arguments (got %q)", cmd.Args().First())
			}
			var s settings
			all, err := assign(&s, options, cmd, t.lookupEnv)
			if err != nil {
				return err
			}
			if cmd.Bool("json") {
				return t.printConfigJSON(all)
			}
			return t.printConfig(all)
		},
	}
}

// shown is the value as it may be printed.
func (a assigned) shown() string {
	if a.option.secret && a.value != "" {
		return "(redacted)"
	}
	return a.value
}

func (t *terminal) printConfig(all []assigned) error {
	w := tabwriter.NewWriter(t.output(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tSOURCE\tENVIRONMENT")
	for _, a := range all {
		value := a.shown()
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.option.name, value, a.from, strings.Join(a.option.env, " "))
	}
	return w.Flush()
}

func (t *terminal) printConfigJSON(all []assigned) error {
	type setting struct {
		Name        string   `json:"name"`
		Value       string   `json:"value"`
		Source      string   `json:"source"`
		Environment []string `json:"environment"`
	}
	settings := make([]setting, 0, len(all))
	for _, a := range all {
		settings = append(settings, setting{a.option.name, a.shown(), a.from.String(), a.option.env})
	}
	encoder := json.NewEncoder(t.output())
	encoder.SetIndent("", "  ")
	return encoder.Encode(settings)
}
