// Package cli is the `caddy webhooks` command. It manages the webhooks of a
// running Caddy through its API, and signs and verifies webhooks offline.
// Importing it registers the command.
//
// This file registers the commands and sets the exit codes. The rest:
//
//   - connect.go finds the API, and client.go makes requests to it, on the admin
//     endpoint (admin.go) or in a webhook_api (public.go).
//   - act.go requests one thing or one change, list.go a list, and bulk.go a
//     change of everything that matches filters.
//   - input.go reads files, secrets and other values; output.go prints.
//   - terms.go finds the scheme and secrets to sign and verify with, and facts.go
//     describes a scheme in words.
//   - Each noun has a file of its own. Subscriptions have more: subscriptionflags.go and
//     oauth2.go for their fields, and preview.go and replay.go, a verb each.
package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "webhooks",
		Usage: "<noun> <verb>",
		Short: "Publishes events, manages subscriptions and deliveries, signs and verifies webhooks",
		Long: `
Manages the webhooks of a running Caddy through its admin endpoint, '` + caddy.DefaultAdminListen + `'
unless --address names another one or --config names a file that does.

From another machine, use a webhook_api, with --api or the variable ` + apiVariable + `:
a URL such as ` + exampleAPI + `. Its token is read from the variable
` + tokenVariable + ` or from --token-file, and only sent over https or to this machine.

The commands sign, verify and providers work offline, without a running Caddy.

Output is formatted for people. With --json, it is the response of the API, and
errors are a JSON object on standard error.

The exit code is 0 on success, 1 if something failed, was refused or is not
valid, and 2 if the command line is wrong.`,
		CobraFunc: func(cmd *cobra.Command) {
			(&tool{now: time.Now, zone: time.Local, progressInterval: 2 * time.Second}).addCommands(cmd)
		},
	})
}

// exitUsage is the exit code for a wrong command line. Other errors exit with 1.
const exitUsage = 2

// tool makes the commands. Its fields are what tests replace.
type tool struct {
	now              func() time.Time
	zone             *time.Location // in which times are shown
	progressInterval time.Duration  // how often long operations print their progress
}

func (t *tool) addCommands(cmd *cobra.Command) {
	t.group(cmd,
		t.events(), t.eventTypes(), t.subscriptions(), t.deliveries(), t.deadLetters(), t.tenants(),
		t.status(), t.tail(), t.store(), t.providers(), t.sign(), t.verify(),
	)
	cmd.PersistentFlags().Bool("json", false, "Print JSON for programs")
}

// group makes cmd a group of subcommands. Without a subcommand, it prints its
// help. With an unknown one, it fails, so that scripts notice. If there is a flag
// that it doesn't know as well, the error is about the subcommand, which the flag
// was meant for.
func (t *tool) group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subcommands...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.SilenceErrors = true // report prints them
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if words := cmd.Flags().Args(); len(words) > 0 {
			return report(cmd, unknownCommand(cmd, words[0]))
		}
		return flagError(cmd, err)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return report(cmd, unknownCommand(cmd, args[0]))
	}
	return cmd
}

// unknownCommand is the error for an unknown subcommand, with suggestions.
func unknownCommand(cmd *cobra.Command, word string) error {
	err := usagef("%q has no command %q", cmd.CommandPath(), word)
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		err = usagef("%v: did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// flagError reports a wrong flag, with suggestions if it is unknown.
func flagError(cmd *cobra.Command, err error) error {
	wrong := usagef("%v", err)
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if near := nearFlags(cmd, unknown.GetSpecifiedName()); len(near) > 0 {
			wrong = usagef("%v: did you mean %s?", err, strings.Join(near, " or "))
		}
	}
	return report(cmd, wrong)
}

// nearFlags suggests flags for an unknown one: the usage, if the word is an argument;
// else those that begin with the word; else those that contain it, along with such
// commands of the same group; else those that share its first letters, and for a flag that
// only dead letters have, their list.
func nearFlags(cmd *cobra.Command, word string) []string {
	const sharedLetters = 3
	word = strings.ReplaceAll(strings.ToLower(word), "_", "-") // the API's names have underscores
	if len(word) < sharedLetters {
		return nil
	}
	if strings.Contains(cmd.Use, "<"+word+">") {
		return []string{"`" + cmd.UseLine() + "`"}
	}
	var begin, contain, similar []string
	if cmd.HasParent() {
		for _, sibling := range cmd.Parent().Commands() {
			if strings.Contains(sibling.Name(), word) && sibling != cmd && !sibling.HasSubCommands() {
				contain = append(contain, "`"+sibling.CommandPath()+"`")
			}
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch flag := "--" + f.Name; {
		case strings.HasPrefix(f.Name, word):
			begin = append(begin, flag)
		case strings.Contains(f.Name, word):
			contain = append(contain, flag)
		case strings.HasPrefix(f.Name, word[:sharedLetters]):
			similar = append(similar, flag)
		}
	})
	for _, near := range [][]string{begin, contain} {
		if len(near) > 0 {
			return near
		}
	}
	if slices.Contains(failureFilters, word) && cmd.Flag("subscription-id") != nil {
		similar = append(similar, "`caddy webhooks dead-letters list`")
	}
	return similar
}

// noun makes a group of commands that talk to a running Caddy.
func (t *tool) noun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	return online(t.group(&cobra.Command{Use: name + " <verb>", Short: short}, verbs...))
}

// verb describes a command that does something.
type verb struct {
	use      string // its name and arguments
	short    string
	long     string
	example  string
	min, max int      // number of arguments; max < 0 for any number
	filters  []string // its flags that select rows; see filters
	run      func(*call) error
}

func (t *tool) command(v verb) *cobra.Command {
	cmd := &cobra.Command{Use: v.use, Short: v.short, Long: v.long, Example: indent(v.example), SilenceErrors: true}
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < v.min:
			return report(cmd, usagef("an argument is missing: the usage is %q", cmd.UseLine()))
		case v.max >= 0 && len(args) > v.max:
			return report(cmd, usagef("there are too many arguments: the usage is %q", cmd.UseLine()))
		case slices.Contains(args, ""):
			return report(cmd, usagef("an argument is empty: check that the variable that it comes from is set"))
		}
		return report(cmd, v.run(newCall(t, cmd, args)))
	}
	for _, filter := range filters {
		if slices.Contains(v.filters, filter.flag) {
			cmd.Flags().String(filter.flag, "", filter.usage)
		}
	}
	return cmd
}

func indent(example string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(example), "\n", "\n  ")
}

// call is one run of a command.
type call struct {
	*tool
	cmd  *cobra.Command
	args []string
	in   io.Reader
	out  io.Writer
	err  io.Writer
	json bool

	stdinFor   string // what was read from standard input, "" for nothing yet
	connection *client
}

func newCall(t *tool, cmd *cobra.Command, args []string) *call {
	asJSON, _ := cmd.Flags().GetBool("json")
	return &call{
		tool: t, cmd: cmd, args: args, json: asJSON,
		in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(),
	}
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// isUsage reports whether an error is a mistake on the command line, found by the
// command itself or, in a list's parameters, by the API.
func isUsage(err error) bool {
	var usage *usageError
	var p *problem
	return errors.As(err, &usage) || errors.As(err, &p) && p.Code == "invalid_parameter"
}

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// verdict is a negative result that has been printed already, such as an invalid
// signature. It only sets the exit code.
type verdict struct{ reason string }

func (e *verdict) Error() string { return e.reason }

// report prints an error and returns one that carries the exit code. Caddy would
// print it as a line of its log.
func report(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*verdict](err); !ok {
		asJSON, _ := cmd.Flags().GetBool("json")
		printError(cmd.ErrOrStderr(), cmd.CommandPath(), err, asJSON)
	}
	if !isUsage(err) {
		return err
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
		return exitUsage, nil
	})(cmd, nil)
}
