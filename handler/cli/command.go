// Package cli is the `caddy webhooks` command: what people and scripts do
// with a running Caddy by its API, and signatures made and judged offline.
// Importing it registers the command.
//
// Here are the frame and the exit codes; connect.go finds the API, client.go
// speaks to it, on the admin endpoint (admin.go) or in a webhook_api
// (public.go); act.go and list.go are the usual ways to ask for one thing and
// for many, input.go reads what users give, output.go prints; terms.go says by
// which scheme and secrets to sign and verify, and facts.go what is to be said of
// a scheme. Then there is a file for each noun.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
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
			(&tool{now: time.Now, zone: time.Local, pace: 2 * time.Second}).fill(cmd)
		},
	})
}

// exitUsage is the exit code for a wrong command line. Any other error has 1.
const exitUsage = 2

// tool makes the commands. Its fields are what tests set.
type tool struct {
	now  func() time.Time
	zone *time.Location // in which times are shown
	pace time.Duration  // how often long work tells how far it has come
}

// fill makes cmd the parent of every command.
func (t *tool) fill(cmd *cobra.Command) {
	t.parent(cmd,
		t.events(), t.eventTypes(), t.subscriptions(), t.deliveries(), t.deadLetters(), t.tenants(),
		t.status(), t.tail(), t.store(), t.providers(), t.sign(), t.verify(),
	)
	cmd.PersistentFlags().Bool("json", false, "Print JSON for programs")
}

// parent makes cmd a command that only has others under it. Alone it prints
// its help; with a word that it does not know it fails, as a script must see, and
// by that word, since the flags behind it are those of the command that was meant.
func (t *tool) parent(cmd *cobra.Command, under ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(under...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.SilenceErrors = true // end has printed it
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if words := cmd.Flags().Args(); len(words) > 0 {
			return end(cmd, unknownVerb(cmd, words[0]))
		}
		return flagError(cmd, err)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return end(cmd, unknownVerb(cmd, args[0]))
	}
	return cmd
}

// unknownVerb names the commands that may be meant by one that isn't there.
func unknownVerb(cmd *cobra.Command, word string) error {
	err := usagef("there is no %q in %q", word, cmd.CommandPath())
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		err = usagef("%v: did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// flagError names what may be meant by a flag that isn't there.
func flagError(cmd *cobra.Command, err error) error {
	wrong := usagef("%v", err)
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if near := nearFlags(cmd, unknown.GetSpecifiedName()); len(near) > 0 {
			wrong = usagef("%v: did you mean %s?", err, strings.Join(near, " or "))
		}
	}
	return end(cmd, wrong)
}

// nearFlags are the flags that begin with a word, else the flags and the verbs
// beside the command's that contain it, else the flags that begin as it does.
func nearFlags(cmd *cobra.Command, word string) []string {
	const beginning = 3
	word = strings.ReplaceAll(strings.ToLower(word), "_", "-") // as the API writes names
	if len(word) < beginning {
		return nil
	}
	var begin, contain, alike []string
	if cmd.HasParent() {
		for _, beside := range cmd.Parent().Commands() {
			if strings.Contains(beside.Name(), word) && beside != cmd && !beside.HasSubCommands() {
				contain = append(contain, "`"+beside.CommandPath()+"`")
			}
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch flag := "--" + f.Name; {
		case strings.HasPrefix(f.Name, word):
			begin = append(begin, flag)
		case strings.Contains(f.Name, word):
			contain = append(contain, flag)
		case strings.HasPrefix(f.Name, word[:beginning]):
			alike = append(alike, flag)
		}
	})
	for _, near := range [][]string{begin, contain} {
		if len(near) > 0 {
			return near
		}
	}
	return alike
}

// noun is a parent whose commands talk to a running Caddy.
func (t *tool) noun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	return online(t.parent(&cobra.Command{Use: name + " <verb>", Short: short}, verbs...))
}

// verb describes a command that does something.
type verb struct {
	use      string // its name and arguments
	short    string
	long     string
	example  string
	min, max int // how many arguments; max < 0 for any number
	run      func(*call) error
}

func (t *tool) command(v verb) *cobra.Command {
	cmd := &cobra.Command{Use: v.use, Short: v.short, Long: v.long, Example: indent(v.example), SilenceErrors: true}
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) < v.min || v.max >= 0 && len(args) > v.max {
			return end(cmd, usagef("%s: it is used as %q", wrongCount(len(args), v.min), cmd.UseLine()))
		}
		return end(cmd, v.run(newCall(t, cmd, args)))
	}
	return cmd
}

func wrongCount(got, least int) string {
	if got < least {
		return "an argument is missing"
	}
	return "there are too many arguments"
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

	stdinFor   string // what has been read from standard input
	connection *client
}

func newCall(t *tool, cmd *cobra.Command, args []string) *call {
	asJSON, _ := cmd.Flags().GetBool("json")
	return &call{
		tool: t, cmd: cmd, args: args, json: asJSON,
		in: cmd.InOrStdin(), out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(),
	}
}

func (c *call) context() context.Context {
	if ctx := c.cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// isUsage tells whether the command line is wrong, as the command sees or the API
// does by what a list was asked for.
func isUsage(err error) bool {
	var usage *usageError
	var p *problem
	return errors.As(err, &usage) || errors.As(err, &p) && p.Code == "invalid_parameter"
}

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// verdict is an error whose words have been printed as the command's result.
type verdict struct{ reason string }

func (e *verdict) Error() string { return e.reason }

// end prints an error and gives it the exit code. Caddy's own way would print
// it as a line of its log.
func end(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	var said *verdict
	if !errors.As(err, &said) {
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
