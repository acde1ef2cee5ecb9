package handler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// resolveText returns a text of the config, its global placeholders such as
// {env.NAME} replaced. One that is unknown or empty is an error, which opens
// with the option and never holds what stands around the placeholder: a text
// may be a secret.
//
// To be called when a config is loaded, and not before: an adapted config is
// kept and shown, and may be loaded elsewhere.
func resolveText(option, raw string) (string, error) {
	text, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	if err != nil {
		return "", fmt.Errorf("%s: %s", option, unresolved(raw))
	}
	return text, nil
}

// unresolved says what is wrong with a text whose placeholders can't be
// replaced. What stands in braces is shown only where it is the name of an
// environment variable or a file, since it could as well be a piece of a secret.
func unresolved(raw string) string {
	if words := absent(raw); words != "" {
		return words
	}
	return `what stands in braces is no placeholder that is known when the config is loaded: use {env.NAME} or {file./path}; to write a brace as it is, put a backslash in front of it`
}

// absent names the first environment variable or file in a text that is empty or
// missing, and is empty where none is.
func absent(raw string) string {
	for rest := raw; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return ""
		}
		name, after, _ := strings.Cut(after, "}")
		rest = after
		if value, ok := caddy.NewReplacer().GetString(name); ok && value != "" {
			continue
		}
		if variable, ok := strings.CutPrefix(name, "env."); ok {
			return fmt.Sprintf("the environment variable %s is empty or not set in the process that loads the config: set it there, then load the config again", variable)
		}
		if file, ok := strings.CutPrefix(name, "file."); ok {
			return fmt.Sprintf("the file %s is empty, missing or not readable: put what is meant there, readable by the process that loads the config", file)
		}
	}
}

// checkPlaceholders says which placeholder of an option there isn't, or is empty
// before there is a request.
func checkPlaceholders(option, raw string) error {
	if words := absent(raw); words != "" {
		return fmt.Errorf("%s: %s", option, words)
	}
	if name := misspelt(raw); name != "" {
		return fmt.Errorf("%s: there is no {%s}: what is known of a webhook is {http.webhook.event_type}, .id, .provider, .timestamp, .secret_index, .signed, .verified and .error", option, name)
	}
	return nil
}

// texts resolves the texts of a block, one after another, and keeps the first
// error.
type texts struct {
	block string // opens the errors: "subscription crm"
	err   error
}

func (t *texts) one(option, raw string) string {
	if t.err != nil {
		return ""
	}
	if t.block != "" {
		option = t.block + ": " + option
	}
	var text string
	text, t.err = resolveText(option, raw)
	return text
}

// named resolves the names too.
func (t *texts) named(option string, raw map[string]string) map[string]string {
	if len(raw) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(raw)) { // so that one mistake gives one error
		place := option + " " + name
		resolved, value := t.one(place, name), t.one(place, raw[name])
		if _, twice := out[resolved]; twice && t.err == nil {
			t.err = fmt.Errorf("%s: %s %s is given twice", t.block, option, resolved)
		}
		out[resolved] = value
	}
	return out
}

func (t *texts) all(option string, raw []string) []string {
	var out []string
	for _, r := range raw {
		out = append(out, t.one(option, r))
	}
	return out
}
