package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v3"
)

const exitCodesHelp = `EXIT CODES:
   0    all done and delivered
   1    something failed
   2    usage, configuration, or an argument that is no domain
   3    finished but incomplete: too many names unknown, or events left in the spool
   130  interrupted`

// newCommand is the whole command line; each subcommand has a file of its own.
func newCommand(t *terminal) *cli.Command {
	root := &cli.Command{
		Name:                  "typostream",
		Usage:                 "watch brands: find the registered look-alikes of their domains",
		Version:               version(),
		Description:           exitCodesHelp,
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			c.Hidden, c.Usage = false, "print the completion script of a shell: bash, zsh, fish or pwsh"
			c.Action = func(_ context.Context, cmd *cli.Command) error {
				if cmd.Args().Present() {
					return usagef("there are bash, zsh, fish and pwsh", "no completion for %q", cmd.Args().First())
				}
				return usagef("typostream completion bash; there are zsh, fish and pwsh too", "no shell named")
			}
		},
		Suggest:         true,
		HideHelpCommand: true, // --help does it
		Commands: []*cli.Command{
			scanCommand(t), generateCommand(t), explainCommand(t), resolveCommand(t), workerCommand(t), replayCommand(t), dlqCommand(t), statusCommand(t), reportCommand(t), diffCommand(t), doctorCommand(t), healthcheckCommand(t), configCommand(t), manCommand(t), versionCommand(t),
		},
		Reader: t.stdin, Writer: t.stdout, ErrWriter: t.stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run prints errors and chooses the exit code
		Action: func(_ context.Context, cmd *cli.Command) error {
			name := cmd.Args().First()
			switch {
			case name == "":
				return usagef("typostream --help lists the commands; typostream scan example.com is a beginning", "no command given")
			case strings.Contains(name, "."):
				return usagef("typostream scan "+name, "%q is no command", name)
			default:
				return usagef("typostream --help lists the commands", "%q is no command", name)
			}
		},
	}
	root.OnUsageError = onUsageError
	for _, sub := range root.Commands {
		sub.OnUsageError = onUsageError
	}
	return root
}

func onUsageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	return usagef(cmd.FullName()+" --help lists the options", "%w", err)
}

// command completes the parts that all subcommands share: options are assigned
// before the action runs.
func (t *terminal) command(cmd *cli.Command, options []option, action func(context.Context, *settings, []string) error) *cli.Command {
	cmd.Flags = append(cmd.Flags, flags(options)...)
	cmd.DisableSliceFlagSeparator = true // names of files may have commas
	cmd.Action = func(ctx context.Context, cmd *cli.Command) error {
		var s settings
		if _, err := assign(&s, options, cmd, t.lookupEnv); err != nil {
			return err
		}
		return action(ctx, &s, cmd.Args().Slice())
	}
	return cmd
}

func versionCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version",
		Action: func(_ context.Context, cmd *cli.Command) error {
			if cmd.Args().Present() {
				return usagef("", "version takes no arguments (got %q)", cmd.Args().First())
			}
			_, err := fmt.Fprintln(t.output(), "typostream", version())
			return err
		},
	}
}

// version is that of the module, which Go stamps into the binary: a tag, or a
// commit with its time.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
