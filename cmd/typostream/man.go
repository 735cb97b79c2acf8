package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"
)

func manCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the manual page of typostream or of one of its commands", ArgsUsage: "[COMMAND]",
		Description: "EXAMPLES:\n   typostream man scan | man -l -\n   typostream man worker > typostream-worker.1",
		Action: func(_ context.Context, cmd *cli.Command) error {
			page := cmd.Root()
			if name := cmd.Args().First(); name != "" {
				if page = page.Command(name); page == nil || page.Hidden {
					return usagef("typostream --help lists the commands", "%q is no command", name)
				}
			}
			if cmd.Args().Len() > 1 {
				return usagef("", "man takes one command (got %q too)", cmd.Args().Get(1))
			}
			_, err := fmt.Fprint(t.output(), manual(page))
			return err
		},
	}
}

// manual is a command's page in the man macros of roff, made of what its help
// says.
func manual(cmd *cli.Command) string {
	name := strings.ReplaceAll(cmd.FullName(), " ", "-")
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"typostream\" \"typostream\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", strings.ToUpper(roff(name)), roff(name), roff(cmd.Usage))
	manualSynopsis(&b, cmd)
	if cmd.Description != "" {
		b.WriteString(".SH DESCRIPTION\n")
		manualText(&b, cmd.Description)
	}
	manualFlags(&b, ".SH OPTIONS\n", cmd)
	var pages []string
	if cmd == cmd.Root() {
		b.WriteString(".SH COMMANDS\n")
	}
	for _, sub := range cmd.VisibleCommands() {
		if cmd == cmd.Root() {
			page := fmt.Sprintf("\\fB%s\\fR(1)", roff("typostream-"+sub.Name))
			fmt.Fprintf(&b, ".TP\n%s\n%s\n", page, roff(sub.Usage))
			pages = append(pages, page)
			continue
		}
		fmt.Fprintf(&b, ".SH COMMAND %s\n", strings.ToUpper(roff(sub.Name)))
		manualSynopsis(&b, sub)
		fmt.Fprintf(&b, ".PP\n%s\n", roff(sub.Usage))
		manualText(&b, sub.Description)
		manualFlags(&b, "", sub)
	}
	if pages == nil {
		pages = []string{"\\fBtypostream\\fR(1)"}
	}
	fmt.Fprintf(&b, ".SH SEE ALSO\n%s\n", strings.Join(pages, ",\n"))
	return b.String()
}

func manualSynopsis(b *strings.Builder, cmd *cli.Command) {
	rest := "[options]"
	if len(cmd.VisibleCommands()) > 0 {
		rest = "COMMAND [options]"
	}
	fmt.Fprintf(b, "\\fB%s\\fR %s\n", roff(cmd.FullName()), roff(strings.TrimSpace(rest+" "+cmd.ArgsUsage)))
}

// manualText turns a description into paragraphs: indented lines stay as they
// are, a line that ends in a colon is a heading.
func manualText(b *strings.Builder, text string) {
	example := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, "   ")
		if indented != example && line != "" {
			if example = indented; example {
				b.WriteString(".PP\n.nf\n.RS\n")
			} else {
				b.WriteString(".RE\n.fi\n")
			}
		}
		switch {
		case line == "":
			b.WriteString(".PP\n")
		case strings.HasSuffix(line, ":") && strings.ToUpper(line) == line:
			fmt.Fprintf(b, ".PP\n\\fB%s\\fR\n", roff(strings.TrimSuffix(line, ":")))
		default:
			b.WriteString(roff(strings.TrimPrefix(line, "   ")) + "\n")
		}
	}
	if example {
		b.WriteString(".RE\n.fi\n")
	}
}

// manualFlags lists the options as the help does: names, a tab, and what they
// mean.
func manualFlags(b *strings.Builder, heading string, cmd *cli.Command) {
	for _, f := range cmd.VisibleFlags() {
		names, meaning, _ := strings.Cut(f.String(), "\t")
		fmt.Fprintf(b, "%s.TP\n\\fB%s\\fR\n%s\n", heading, roff(strings.TrimSpace(names)), roff(strings.TrimSpace(meaning)))
		heading = ""
	}
}

// roff is text that roff prints as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
