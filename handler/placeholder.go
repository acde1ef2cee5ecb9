package handler

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// resolveText replaces the global placeholders, such as {env.NAME}, in a text of
// the config. An unknown or empty placeholder is an error. Errors begin with the
// option, and never contain the text around the placeholder, which may be a secret.
//
// Call it when a config is loaded, not when a Caddyfile is adapted: an adapted
// config is saved and shown, and may be loaded elsewhere.
func resolveText(option, raw string) (string, error) {
	text, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %s", option, whyUnresolved(raw))
	case unclosed.MatchString(raw):
		return "", fmt.Errorf("%s: the brace of a placeholder is not closed: write {env.NAME} or {file./path}; for a literal brace, put a backslash before it", option)
	}
	return text, nil
}

// unclosed matches a text that ends within a placeholder. Caddy's replacer leaves
// that as it is, so the beginning of a placeholder would become the secret.
var unclosed = regexp.MustCompile(`(^|[^\\])\{(env|file)\.[^}]*$`)

// whyUnresolved says why the placeholders in a text can't be replaced. It quotes
// a placeholder only if it names an environment variable or a file: any other text
// in braces could be part of a secret.
func whyUnresolved(raw string) string {
	if problem := emptyPlaceholder(raw); problem != "" {
		return problem
	}
	return `the text in braces is not a placeholder that is known when the config is loaded: use {env.NAME} or {file./path}; to write a literal brace, put a backslash before it`
}

// emptyPlaceholder describes the first environment variable or file in a text that
// is empty or missing. It returns an empty string if there is none.
func emptyPlaceholder(raw string) string {
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
			return fmt.Sprintf("the file %s is empty, missing or not readable: correct its name, or give it its content, readable by the process that loads the config", file)
		}
	}
}

// checkPlaceholders checks the placeholders of an option that is evaluated for each
// request, as far as that is possible without one.
func checkPlaceholders(option, raw string) error {
	if problem := emptyPlaceholder(raw); problem != "" {
		return fmt.Errorf("%s: %s", option, problem)
	}
	if name := unknownPlaceholder(raw); name != "" {
		return fmt.Errorf("%s: there is no {%s}: the placeholders of a webhook are {http.webhook.event_type}, .id, .provider, .timestamp, .secret_index, .signed, .verified and .error", option, name)
	}
	return nil
}

// texts replaces the placeholders in the options of a block. After the first
// error, which it keeps, its methods do nothing.
type texts struct {
	block string // the prefix of errors, such as "subscription crm"
	err   error
}

// text resolves a single text.
func (t *texts) text(option, raw string) string { return t.resolve(resolveText, option, raw) }

// secret resolves a secret.
func (t *texts) secret(option, raw string) string { return t.resolve(resolveSecret, option, raw) }

func (t *texts) resolve(how func(option, raw string) (string, error), option, raw string) (text string) {
	if t.err != nil {
		return ""
	}
	if t.block != "" {
		option = t.block + ": " + option
	}
	text, t.err = how(option, raw)
	return text
}

// named resolves the names and values of a map.
func (t *texts) named(option string, raw map[string]string) map[string]string {
	if len(raw) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(raw)) { // sorted, so that the first error is always the same
		place := option + " " + name
		resolved, value := t.text(place, name), t.text(place, raw[name])
		if _, twice := out[resolved]; twice && t.err == nil {
			t.err = fmt.Errorf("%s: %s %s is given twice", t.block, option, resolved)
		}
		out[resolved] = value
	}
	return out
}

func (t *texts) list(option string, raw []string) []string {
	var out []string
	for _, r := range raw {
		out = append(out, t.text(option, r))
	}
	return out
}
