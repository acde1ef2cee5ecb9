package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-webhooks/caddy-webhooks/internal/must"
)

// written matches a command with its arguments in a text.
var written = regexp.MustCompile("caddy webhooks ([a-z][^`\"\n|<>()]*)")

// quoted matches an argument in quotes.
var quoted = regexp.MustCompile(`'[^']*'`)

// Every command in the documentation, the help and the examples exists, with its flags,
// and has an example.
func TestCommandsInDocs(t *testing.T) {
	texts := map[string]string{}
	pages := must.Get(filepath.Glob("../../docs/*.md"))(t)
	for _, page := range append(pages, "../../README.md") {
		text := must.Get(os.ReadFile(page))(t)
		texts[filepath.Base(page)] = string(text)
	}
	var collect func(cmd *cobra.Command)
	collect = func(cmd *cobra.Command) {
		texts[cmd.CommandPath()] = cmd.Long + "\n" + cmd.Example
		if !cmd.HasSubCommands() && strings.TrimSpace(cmd.Example) == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, under := range cmd.Commands() {
			collect(under)
		}
	}
	collect(commandTree(nil))
	for where, text := range texts {
		for _, found := range written.FindAllStringSubmatch(text, -1) {
			args := append([]string{"webhooks"}, strings.Fields(quoted.ReplaceAllString(found[1], "x"))...)
			cmd, rest, err := commandTree(nil).Find(args)
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			switch {
			case err != nil:
				t.Errorf("%s: %q: %v", where, found[0], err)
			case cmd.HasSubCommands() && cmd.Flags().NArg() > 0:
				t.Errorf("%s: %q is no command", where, found[0])
			}
		}
	}
}
