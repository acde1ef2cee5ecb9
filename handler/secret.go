package handler

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// maxSecret is longer than any secret. {file.*} cuts what it reads at 1 MiB
// without a word, so that a wrong path could make a wrong key.
const maxSecret = 64 << 10

// resolveSecret returns the secret that a user wrote, its {env.*} and {file.*}
// placeholders replaced. It never returns an empty one: whoever has no secret
// could sign. Directive opens the error, which says what to do and never holds
// anything of the secret.
//
// To be called when a config is loaded, so that a secret that can't be had is a
// config that doesn't load.
func resolveSecret(directive, raw string) (string, error) {
	if raw == "" {
		return "", fmt.Errorf("%s: the secret is empty: write a placeholder such as {env.NAME} or {file./run/secrets/name}, or the secret itself", directive)
	}
	// the Caddyfile adapter takes {file.name} for its shorthand of a request's file
	raw = strings.ReplaceAll(raw, "{http.request.uri.path.file.", "{file.")
	secret, err := caddy.NewReplacer().ReplaceOrErr(raw, true, true)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %s", directive, unresolved(raw))
	case secret == "":
		return "", fmt.Errorf("%s: the secret is empty", directive)
	case len(secret) > maxSecret:
		return "", fmt.Errorf("%s: the secret is longer than %d bytes: does its placeholder name the right file?", directive, maxSecret)
	}
	return secret, nil
}

// unresolved says what is wrong with a secret whose placeholders can't be
// replaced. What stands in braces is shown only where it is the name of an
// environment variable or a file, since it could as well be a piece of a secret.
func unresolved(raw string) string {
	for rest := raw; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			break
		}
		name, after, _ := strings.Cut(after, "}")
		rest = after
		if value, ok := caddy.NewReplacer().GetString(name); ok && value != "" {
			continue
		}
		if variable, ok := strings.CutPrefix(name, "env."); ok {
			return fmt.Sprintf("the environment variable %s is empty or not set: set it for the Caddy process, then load the config again", variable)
		}
		if file, ok := strings.CutPrefix(name, "file."); ok {
			return fmt.Sprintf("the file %s is empty, missing or not readable: put the secret there, readable by the user that Caddy runs as", file)
		}
	}
	return `what stands in braces is no placeholder that is known when the config is loaded: use {env.NAME} or {file./path}; to write a brace that belongs to the secret, put a backslash in front of it`
}
