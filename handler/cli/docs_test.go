package cli

import (
	"encoding/json"
	"os"
	"path"
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

// Lists have a flag for each parameter of the API, and subscriptions for each field that
// can be changed.
func TestFlagsAreThoseOfTheAPI(t *testing.T) {
	type parameter struct {
		Name string
		Ref  string `json:"$ref"`
	}
	var document struct {
		Paths map[string]struct {
			Get struct{ Parameters []parameter }
		}
		Components struct {
			Parameters map[string]parameter
			Schemas    map[string]struct{ Properties map[string]any }
		}
	}
	must.Do(t, json.Unmarshal(must.Get(os.ReadFile("../api/openapi.json"))(t), &document))
	flagOf := strings.NewReplacer("_", "-", "headers", "header", "oauth2", "oauth2-token-url", "timeout", "attempt-timeout")
	compare := func(command string, documented map[string]bool) {
		cmd, _, err := commandTree(nil).Find(strings.Fields("webhooks " + command))
		must.Do(t, err)
		for flag := range documented {
			if cmd.Flag(flag) == nil {
				t.Errorf("%s has no flag --%s", command, flag)
			}
		}
		for _, f := range filters {
			if cmd.Flag(f.flag) != nil && !documented[f.flag] {
				t.Errorf("%s has a flag --%s, and the API has no such parameter", command, f.flag)
			}
		}
	}
	for command, list := range map[string]string{
		"events list": "/events", "deliveries list": "/deliveries", "dead-letters list": "/dead-letters",
		"subscriptions list": "/subscriptions", "event-types list": "/event-types", "tail": "/tail",
	} {
		documented := map[string]bool{}
		for _, p := range document.Paths[list].Get.Parameters {
			documented[flagOf.Replace(document.Components.Parameters[path.Base(p.Ref)].Name)] = true
		}
		delete(documented, "payload") // for that, there is dead-letters export
		compare(command, documented)
	}
	fields := map[string]bool{}
	for name := range document.Components.Schemas["SubscriptionChange"].Properties {
		fields[flagOf.Replace(name)] = true
	}
	compare("subscriptions update", fields)
}
